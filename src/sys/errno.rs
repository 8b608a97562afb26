//! The kernel's error numbers, including the one that C libraries do not know.

use std::fmt;

use crate::uapi::Cmd;

/// An error number as the kernel returned it.
///
/// The number is kept as it is. BPF returns 524 (`ENOTSUPP`), which is internal to the kernel and has no
/// name in libc; wrappers that map numbers to an enumeration turn it into "unknown" or even success.
///
/// ```
/// use rawbpf::sys::Errno;
/// assert_eq!(Errno(22).name(), "EINVAL");
/// assert_eq!(Errno(524).to_string(), "ENOTSUPP (Operation not supported by the kernel)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

#[allow(missing_docs)]
impl Errno {
    pub const EPERM: Errno = Errno(libc::EPERM);
    pub const ENOENT: Errno = Errno(libc::ENOENT);
    pub const ESRCH: Errno = Errno(libc::ESRCH);
    pub const EINTR: Errno = Errno(libc::EINTR);
    pub const EIO: Errno = Errno(libc::EIO);
    pub const E2BIG: Errno = Errno(libc::E2BIG);
    pub const EBADF: Errno = Errno(libc::EBADF);
    pub const EAGAIN: Errno = Errno(libc::EAGAIN);
    pub const ENOMEM: Errno = Errno(libc::ENOMEM);
    pub const EACCES: Errno = Errno(libc::EACCES);
    pub const EMFILE: Errno = Errno(libc::EMFILE);
    pub const ENFILE: Errno = Errno(libc::ENFILE);
    pub const EFAULT: Errno = Errno(libc::EFAULT);
    pub const EBUSY: Errno = Errno(libc::EBUSY);
    pub const EEXIST: Errno = Errno(libc::EEXIST);
    pub const ENODEV: Errno = Errno(libc::ENODEV);
    pub const ENOTDIR: Errno = Errno(libc::ENOTDIR);
    pub const EINVAL: Errno = Errno(libc::EINVAL);
    pub const ENOSPC: Errno = Errno(libc::ENOSPC);
    pub const ERANGE: Errno = Errno(libc::ERANGE);
    pub const ENOSYS: Errno = Errno(libc::ENOSYS);
    pub const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);
    pub const ESTALE: Errno = Errno(libc::ESTALE);
    pub const EAFNOSUPPORT: Errno = Errno(libc::EAFNOSUPPORT);
    pub const EADDRNOTAVAIL: Errno = Errno(libc::EADDRNOTAVAIL);
    pub const ENXIO: Errno = Errno(libc::ENXIO);
    pub const ENODATA: Errno = Errno(libc::ENODATA);
    pub const EILSEQ: Errno = Errno(libc::EILSEQ);
    pub const EPROTO: Errno = Errno(libc::EPROTO);
    /// The kernel-internal "not supported", 524, which BPF lets through to user space.
    pub const ENOTSUPP: Errno = Errno(524);
}

impl Errno {
    /// The error number of the last failed C library call of this thread.
    pub fn last() -> Errno {
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }

    /// The symbolic name, such as `EINVAL`.
    pub fn name(self) -> String {
        if self == Errno::ENOTSUPP {
            return "ENOTSUPP".into();
        }
        match nix::errno::Errno::from_raw(self.0) {
            nix::errno::Errno::UnknownErrno => format!("errno {}", self.0),
            known => format!("{known:?}"),
        }
    }

    /// What the C library says about it, such as `Invalid argument`.
    pub fn text(self) -> &'static str {
        if self == Errno::ENOTSUPP {
            return "Operation not supported by the kernel";
        }
        // The C library speaks of sockets, whatever was asked for.
        if self == Errno::EOPNOTSUPP {
            return "Operation not supported";
        }
        nix::errno::Errno::from_raw(self.0).desc()
    }

    /// True for the two numbers by which the kernel refuses a caller: `EPERM` and `EACCES`.
    pub fn is_permission(self) -> bool {
        self == Errno::EPERM || self == Errno::EACCES
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.text())
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<nix::errno::Errno> for Errno {
    fn from(e: nix::errno::Errno) -> Errno {
        Errno(e as i32)
    }
}

impl From<std::io::Error> for Errno {
    fn from(e: std::io::Error) -> Errno {
        Errno(e.raw_os_error().unwrap_or(libc::EIO))
    }
}

/// Which system call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// A command of `bpf(2)`.
    Bpf(Cmd),
    /// Any other system call, by its name.
    Other(&'static str),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Bpf(cmd) => write!(f, "{cmd}"),
            Call::Other(name) => f.write_str(name),
        }
    }
}

/// A system call failed: which one, and with which number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{call} failed: {errno}")]
pub struct SysError {
    /// The call.
    pub call: Call,
    /// Its error number.
    pub errno: Errno,
}

impl SysError {
    /// A failure of the `bpf(2)` command `cmd`.
    pub fn bpf(cmd: Cmd, errno: Errno) -> SysError {
        SysError { call: Call::Bpf(cmd), errno }
    }

    /// A failure of another system call.
    pub fn other(name: &'static str, errno: impl Into<Errno>) -> SysError {
        SysError { call: Call::Other(name), errno: errno.into() }
    }
}
