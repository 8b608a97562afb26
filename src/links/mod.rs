//! Attachments: what makes a loaded program run.
//!
//! A program that is loaded does nothing. It runs once it is attached to a hook: an interface, a kernel
//! function, a cgroup. Modern kernels represent an attachment by an object of its own, the *link*:
//!
//! ```text
//!   Program ──BPF_LINK_CREATE(target)──► Link     the hook runs the program
//!                                          │ drop     detaches it (the last descriptor is closed)
//!                                          │ pin      the attachment outlives the process
//!                                          │ update   another program, without a gap
//!                                          ▼ detach   by force, though others hold it
//! ```
//!
//! [`attach`] makes the link that a [`Target`] describes. One file a kind of hook; each knows why the
//! kernel may refuse and asks it for the reason.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use crate::progs::Program;
use crate::sys::info::RawLinkInfo;
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::{AttachType, LinkType};

mod interface;
pub mod xdp;

pub use interface::{Interface, interfaces};
pub use xdp::{Xdp, XdpMode};

/// Where a program is to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The receive path of a network interface.
    Xdp(Xdp),
}

impl Target {
    /// The fields of the `BPF_LINK_CREATE` call that it stands for, by their UAPI names.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Target::Xdp(xdp) => xdp.fields(),
        }
    }
}

/// Attaches a program.
///
/// # Errors
/// [`AttachError`] with the reason, as far as it can be found out.
pub fn attach(program: &Program, target: &Target) -> Result<Link, AttachError> {
    match target {
        Target::Xdp(xdp) => xdp::attach(program, xdp),
    }
}

/// Why a program could not be attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is no such interface.
    #[error("there is no interface `{name}` in this network namespace; there are: {known}")]
    NoInterface {
        /// The name.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// The program is of another kind.
    #[error("program `{program}` is of type {found}; a {hook} hook takes {wanted}")]
    WrongType {
        /// The program.
        program: String,
        /// Its type.
        found: crate::uapi::ProgType,
        /// The hook.
        hook: &'static str,
        /// What it takes.
        wanted: crate::uapi::ProgType,
    },
    /// The hook is taken.
    #[error("cannot attach `{program}` to {hook}: {holder} is attached there{advice}")]
    Taken {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What is there: program, id, mode.
        holder: String,
        /// What to do.
        advice: String,
    },
    /// The kernel refused.
    #[error("cannot attach `{program}` to {hook}{why}")]
    Refused {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// The error number.
        source: SysError,
        /// The reason, if it could be found: it begins with `: ` or is empty.
        why: String,
    },
}

/// An attachment. Dropping it detaches the program, unless it is pinned or held elsewhere too.
#[must_use = "dropping a Link detaches the program"]
#[derive(Debug)]
pub struct Link {
    hold: Hold,
    note: Option<String>,
}

/// What keeps an attachment up.
#[derive(Debug)]
enum Hold {
    /// A link object of the kernel: it ends with its last descriptor and pin.
    Object(OwnedFd),
    /// An attachment from before there were links for the hook, or one that never got any: something has
    /// to be undone. `None` once it is.
    Undo(Option<Box<dyn Undo>>),
}

/// An attachment without a link object, and how to end it.
pub(crate) trait Undo: std::fmt::Debug + Send + Sync {
    /// Ends the attachment.
    fn undo(&mut self) -> Result<(), SysError>;
}

impl Link {
    pub(crate) fn new(fd: OwnedFd) -> Link {
        Link { hold: Hold::Object(fd), note: None }
    }

    /// An attachment that has no link object.
    #[allow(dead_code, reason = "for hooks of older kernels")]
    pub(crate) fn undone_by(undo: impl Undo + 'static) -> Link {
        Link { hold: Hold::Undo(Some(Box::new(undo))), note: None }
    }

    fn noting(self, note: String) -> Link {
        Link { note: Some(note), ..self }
    }

    /// Opens a pinned link.
    pub fn open_pin(path: impl AsRef<Path>) -> Result<Link, SysError> {
        Ok(Link::new(sys::obj_get(path.as_ref(), 0)?))
    }

    /// Opens the link with this id. Needs `CAP_SYS_ADMIN`. Linux 5.8.
    pub fn open_id(id: u32) -> Result<Link, SysError> {
        Ok(Link::new(sys::fd_by_id(ObjectKind::Link, id)?))
    }

    /// Something to tell the user about how it was attached, such as a fallback.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The descriptor of the link object; `None` if the kernel has no link for this attachment.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.hold {
            Hold::Object(fd) => Some(fd.as_fd()),
            Hold::Undo(_) => None,
        }
    }

    /// The link object, or the error that says that there is none.
    fn object(&self) -> Result<BorrowedFd<'_>, SysError> {
        self.fd()
            .ok_or(SysError::other("this attachment has no link object in this kernel", Errno::EOPNOTSUPP))
    }

    /// What the kernel says of it.
    pub fn info(&self) -> Result<LinkInfo, SysError> {
        LinkInfo::of(self.object()?)
    }

    /// Gives it a name in a bpffs: the program stays attached when this process ends. `EOPNOTSUPP` for
    /// attachments that have no link object.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), SysError> {
        sys::obj_pin(self.object()?, path.as_ref())
    }

    /// Puts another program behind it, in one step: no packet or event passes without one. With `old`, only
    /// if that program is behind it now (`EPERM` otherwise). `EINVAL` for links that cannot be updated, such
    /// as those of perf events and raw tracepoints.
    pub fn update(&self, program: &Program, old: Option<&Program>) -> Result<(), SysError> {
        sys::link_update(self.object()?, program, old.map(AsFd::as_fd))
    }

    /// Detaches the program though others may hold the link. `EOPNOTSUPP` for links of perf events and raw
    /// tracepoints: those end with their last descriptor and pin.
    pub fn detach(mut self) -> Result<(), SysError> {
        match &mut self.hold {
            Hold::Object(fd) => sys::link_detach(&*fd),
            Hold::Undo(undo) => undo.take().map_or(Ok(()), |mut undo| undo.undo()),
        }
    }

    /// Leaves the program attached for as long as this process lives, and longer where there is no link
    /// object.
    pub fn leak(self) {
        std::mem::forget(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Hold::Undo(Some(undo)) = self {
            let _ = undo.undo();
        }
    }
}

/// What the kernel keeps about a link.
#[derive(Debug, Clone)]
pub struct LinkInfo {
    /// Its id, unique while it lives.
    pub id: u32,
    /// What kind of attachment it is.
    pub link_type: LinkType,
    /// The program behind it.
    pub prog_id: u32,
    /// Where it is attached.
    pub hook: Hook,
}

/// Where a link is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hook {
    /// An interface's receive path; index 0 if the interface is gone.
    Xdp {
        /// The interface.
        ifindex: u32,
    },
    /// A tc hook of an interface.
    Tcx {
        /// The interface.
        ifindex: u32,
        /// Ingress or egress.
        attach_type: AttachType,
    },
    /// A netkit device.
    Netkit {
        /// The interface.
        ifindex: u32,
        /// Primary or peer.
        attach_type: AttachType,
    },
    /// A cgroup.
    Cgroup {
        /// Its id (inode number).
        cgroup_id: u64,
        /// The hook in it.
        attach_type: AttachType,
    },
    /// A network namespace.
    Netns {
        /// Its inode number; 0 if it is gone.
        inode: u32,
        /// The hook in it.
        attach_type: AttachType,
    },
    /// A kernel function or type, by BTF.
    Tracing {
        /// fentry, fexit, LSM ...
        attach_type: AttachType,
        /// Id of the BTF object, or of the program for freplace.
        target_obj_id: u32,
        /// Type id in it.
        target_btf_id: u32,
    },
    /// A raw tracepoint.
    RawTracepoint {
        /// Its name.
        name: String,
    },
    /// An iterator.
    Iter {
        /// What it iterates over.
        name: String,
    },
    /// A netfilter hook.
    Netfilter {
        /// Protocol family.
        pf: u32,
        /// Hook number.
        hook: u32,
        /// Priority.
        priority: i32,
    },
    /// A struct_ops map.
    StructOps {
        /// The map.
        map_id: u32,
    },
    /// Something else; the link type says what.
    Other,
}

impl LinkInfo {
    /// Asks about an open link.
    pub fn of(fd: impl AsFd) -> Result<LinkInfo, SysError> {
        let raw = sys::link_info(&fd)?;
        let hook = hook(&fd, &raw)?;
        Ok(LinkInfo { id: raw.id, link_type: raw.link_type, prog_id: raw.prog_id, hook })
    }
}

/// Reads the part of the info that depends on the link type.
fn hook(fd: impl AsFd, raw: &RawLinkInfo) -> Result<Hook, SysError> {
    Ok(match raw.link_type {
        LinkType::Xdp => Hook::Xdp { ifindex: raw.u32_at(0) },
        LinkType::Tcx => Hook::Tcx { ifindex: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Netkit => Hook::Netkit { ifindex: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Cgroup => Hook::Cgroup { cgroup_id: raw.u64_at(0), attach_type: raw.attach_type_at(2) },
        LinkType::Netns => Hook::Netns { inode: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Tracing => Hook::Tracing {
            attach_type: raw.attach_type_at(0),
            target_obj_id: raw.u32_at(1),
            target_btf_id: raw.u32_at(2),
        },
        LinkType::RawTracepoint => Hook::RawTracepoint { name: sys::link_info_with_name(fd, 0)?.1 },
        LinkType::Iter => Hook::Iter { name: sys::link_info_with_name(fd, 0)?.1 },
        LinkType::Netfilter => {
            Hook::Netfilter { pf: raw.u32_at(0), hook: raw.u32_at(1), priority: raw.u32_at(2) as i32 }
        }
        LinkType::StructOps => Hook::StructOps { map_id: raw.u32_at(0) },
        _ => Hook::Other,
    })
}

/// All links of the machine, by id. Needs `CAP_SYS_ADMIN`; Linux 5.8. One that goes away meanwhile is left
/// out. Empty on kernels without link ids.
pub fn list() -> Result<Vec<LinkInfo>, SysError> {
    let mut out = Vec::new();
    let mut id = 0;
    loop {
        match sys::next_id(ObjectKind::Link, id) {
            Ok(Some(next)) => id = next,
            Ok(None) => return Ok(out),
            Err(e) if e.errno == Errno::EINVAL => return Ok(out),
            Err(e) => return Err(e),
        }
        if let Ok(fd) = sys::fd_by_id(ObjectKind::Link, id) {
            out.push(LinkInfo::of(&fd)?);
        }
    }
}
