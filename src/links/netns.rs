//! Network namespaces: how one is named, opened and entered.
//!
//! Every process lives in one network namespace, and so does every interface, route and netfilter hook: interface 2
//! of one namespace has nothing to do with interface 2 of another. A system call acts on the namespace of the *thread*
//! that makes it, so to attach elsewhere is to go there:
//!
//! ```text
//!   NetNs::named("blue")  ──open──►  OpenNetNs  ──enter(|| attach(..))──►  a thread that has moved there
//!   /run/netns/blue                  a descriptor                          runs the closure, and ends
//! ```
//!
//! [`OpenNetNs::enter`] takes a thread of its own, so that there is no way back to fail: the caller's thread never
//! moves. What is attached inside stays where it is; links are held from anywhere.

use std::fmt;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::fstatfs;

use crate::sys::{Errno, SysError};

/// Where named namespaces are, by the convention of `ip netns`.
const NAMED: &str = "/run/netns";

/// A network namespace, as a user names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NetNs {
    /// That of the calling thread.
    #[default]
    Current,
    /// One that `ip netns add` made.
    Named(String),
    /// That of a process.
    Process(u32),
    /// A file such as `/proc/7/ns/net`.
    Path(PathBuf),
}

/// Why a network namespace could not be opened or entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetNsError {
    /// There is no namespace of this name.
    #[error("there is no network namespace `{name}` in {NAMED}; there are: {known}")]
    NoName {
        /// The name.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// There is no such process.
    #[error("there is no process {pid}")]
    NoProcess {
        /// The process.
        pid: u32,
    },
    /// The file is something else.
    #[error("{path} is no network namespace{stale}")]
    NotOne {
        /// The file.
        path: PathBuf,
        /// What may have happened: begins with `: ` or is empty.
        stale: &'static str,
    },
    /// The file could not be opened.
    #[error("cannot open the network namespace {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SysError,
    },
    /// The kernel does not let us in.
    #[error("cannot enter the network namespace {name}")]
    Enter {
        /// The namespace.
        name: String,
        /// Why: `EPERM` without `CAP_SYS_ADMIN`.
        source: SysError,
    },
}

/// An open network namespace: it lives at least as long as this does.
#[derive(Debug)]
pub struct OpenNetNs {
    fd: OwnedFd,
    name: String,
    inode: u64,
}

impl NetNs {
    /// The namespace of this name, made by `ip netns add`.
    pub fn named(name: impl Into<String>) -> NetNs {
        NetNs::Named(name.into())
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        match self {
            NetNs::Current => "/proc/thread-self/ns/net".into(),
            NetNs::Named(name) => Path::new(NAMED).join(name),
            NetNs::Process(pid) => format!("/proc/{pid}/ns/net").into(),
            NetNs::Path(path) => path.clone(),
        }
    }

    /// Opens it.
    pub fn open(&self) -> Result<OpenNetNs, NetNsError> {
        /// `NSFS_MAGIC`
        const NSFS: u64 = 0x6e73_6673;
        let path = self.path();
        let file = File::open(&path).map_err(|e| self.unopened(&path, e))?;
        let open = |source| NetNsError::Open { path: path.clone(), source };
        let fs = fstatfs(&file).map_err(|e| open(SysError::other("statfs", e)))?;
        let kind = fs::read_link(format!("/proc/thread-self/fd/{}", file.as_raw_fd()));
        let is_net = kind.as_ref().is_ok_and(|k| k.to_string_lossy().starts_with("net:"));
        if fs.filesystem_type().0 as u64 & 0xffff_ffff != NSFS {
            let stale = match self {
                NetNs::Named(_) => {
                    ": nothing is mounted on it; `ip netns del` and `ip netns add` make it anew"
                }
                _ => "",
            };
            return Err(NetNsError::NotOne { path, stale });
        }
        let inode = file.metadata().map_err(|e| open(SysError::other("stat", e)))?.ino();
        // The link of a bind-mounted namespace shows the mount, not its kind; setns(2) will tell those.
        if !is_net && path.starts_with("/proc") {
            kind.map_err(|e| open(SysError::other("readlink", e)))?;
            return Err(NetNsError::NotOne { path, stale: ": it is a namespace of another kind" });
        }
        Ok(OpenNetNs { fd: file.into(), name: self.to_string(), inode })
    }

    fn unopened(&self, path: &Path, e: std::io::Error) -> NetNsError {
        let missing = e.kind() == std::io::ErrorKind::NotFound;
        match self {
            NetNs::Named(name) if missing => {
                let known: Vec<String> = names().into_iter().map(|(name, _)| name).collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                NetNsError::NoName { name: name.clone(), known }
            }
            NetNs::Process(pid) if missing => NetNsError::NoProcess { pid: *pid },
            _ => NetNsError::Open { path: path.into(), source: SysError::other("open", e) },
        }
    }
}

/// The namespaces that have a name, by the convention of `ip netns`: name and path.
pub fn names() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(NAMED).into_iter().flatten().filter_map(Result::ok);
    let mut out: Vec<(String, PathBuf)> =
        entries.map(|e| (e.file_name().to_string_lossy().into_owned(), e.path())).collect();
    out.sort();
    out
}

impl OpenNetNs {
    /// Its inode number, which tells namespaces apart.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// How it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `act` in this namespace, in a thread of its own, and waits for it. Needs `CAP_SYS_ADMIN`.
    ///
    /// ```no_run
    /// use rawbpf::links::{NetNs, interfaces};
    ///
    /// let there = NetNs::named("blue").open()?.enter(interfaces)??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If `act` does.
    pub fn enter<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, NetNsError> {
        std::thread::scope(|scope| {
            let inside = std::thread::Builder::new().spawn_scoped(scope, || {
                self.join()?;
                Ok(act())
            });
            let inside = inside.map_err(|e| NetNsError::Enter {
                name: self.name.clone(),
                source: SysError::other("clone", e),
            })?;
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread into it, for good. A process of one thread is moved as a whole.
    pub fn join(&self) -> Result<(), NetNsError> {
        match setns(&self.fd, CloneFlags::CLONE_NEWNET) {
            Ok(()) => Ok(()),
            Err(nix::errno::Errno::EINVAL) => Err(NetNsError::NotOne {
                path: self.name.clone().into(),
                stale: ": it is a namespace of another kind",
            }),
            Err(e) => {
                let source = SysError::other("setns", Errno::from(e));
                Err(NetNsError::Enter { name: self.name.clone(), source })
            }
        }
    }
}

/// The namespace that an attachment was made in, for calls that name an interface by its number: they have to be made
/// in the same namespace again, wherever the caller is by then.
#[derive(Debug)]
pub(super) struct Home(OpenNetNs);

impl Home {
    /// That of the calling thread.
    pub(super) fn here() -> Result<Home, SysError> {
        let path = NetNs::Current.path();
        let open = |file: File| {
            let inode = file.metadata()?.ino();
            Ok(Home(OpenNetNs { fd: file.into(), name: NetNs::Current.to_string(), inode }))
        };
        File::open(path).and_then(open).map_err(|e| SysError::other("open of /proc/thread-self/ns/net", e))
    }

    /// The open namespace `there`.
    pub(super) fn of(there: OpenNetNs) -> Home {
        Home(there)
    }

    /// Does it there.
    pub(super) fn act<T: Send>(
        &self,
        act: impl FnOnce() -> Result<T, SysError> + Send,
    ) -> Result<T, SysError> {
        let here = fs::metadata(NetNs::Current.path()).map(|m| m.ino());
        if here.is_ok_and(|inode| inode == self.0.inode) {
            return act();
        }
        match self.0.enter(act) {
            Ok(result) => result,
            Err(NetNsError::Enter { source, .. }) => Err(source),
            Err(_) => Err(SysError::other("setns", Errno::EINVAL)),
        }
    }
}

impl AsFd for OpenNetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for NetNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetNs::Current => f.write_str("self"),
            NetNs::Named(name) => f.write_str(name),
            NetNs::Process(pid) => write!(f, "{pid}"),
            NetNs::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for NetNs {
    type Err = String;

    /// `self`, a process id, a path (anything with a `/`), or a name.
    ///
    /// ```
    /// use rawbpf::links::NetNs;
    /// assert_eq!("blue".parse(), Ok(NetNs::named("blue")));
    /// assert_eq!("17".parse(), Ok(NetNs::Process(17)));
    /// assert_eq!("/proc/17/ns/net".parse(), Ok(NetNs::Path("/proc/17/ns/net".into())));
    /// ```
    fn from_str(text: &str) -> Result<NetNs, String> {
        match text {
            "" => Err("the name of a network namespace is empty".into()),
            "self" => Ok(NetNs::Current),
            text if text.contains('/') => Ok(NetNs::Path(text.into())),
            text => Ok(text.parse().map_or_else(|_| NetNs::named(text), NetNs::Process)),
        }
    }
}
