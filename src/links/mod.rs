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

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::progs::Program;
use crate::sys::{self, Errno, ObjectKind, SysError};

mod cause;
pub mod cgroup;
mod clsact;
mod direct;
mod filter;
mod info;
mod interface;
pub mod inventory;
mod lirc;
mod lwt;
mod mprog;
mod netfilter;
mod netkit;
mod netns;
mod netns_hook;
mod order;
mod socket;
mod sockmap;
mod tc;
pub mod xdp;
mod xdp_netlink;

pub use cgroup::{Cgroup, Share};
pub use info::{Hook, IterOver, LinkInfo, PerfHook, list};
pub use interface::{AttachedMode, Interface, interfaces};
pub use inventory::{Attachment, Inventory, Scope, inventory};
pub use lwt::Route;
pub use netfilter::{Netfilter, NfFamily, NfHook};
pub use netkit::{Netkit, NetkitEnd};
pub use netns::{NetNs, NetNsError, OpenNetNs, names as netns_names};
pub use netns_hook::NetnsHook;
pub use order::{Anchor, Order, Place, Via};
pub use socket::{attach_reuseport, attach_socket_filter, detach_reuseport, detach_socket_filter};
pub use sockmap::{MapRef, Sockmap};
pub use tc::{Direction, Tc, TcHook};
pub use xdp::{Xdp, XdpMode};
pub use xdp_netlink::XdpNetlink;

/// Where a program is to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The receive path of a network interface.
    Xdp(Xdp),
    /// The same without a link.
    XdpNetlink(XdpNetlink),
    /// What an interface receives or sends, in the stack.
    Tc(Tc),
    /// What leaves an end of a netkit pair.
    Netkit(Netkit),
    /// A hook of the IP stack.
    Netfilter(Netfilter),
    /// The flows or the new connections of a network namespace.
    Netns(NetnsHook),
    /// The sockets of a map.
    Sockmap(Sockmap),
    /// The processes of a cgroup.
    Cgroup(Cgroup),
    /// The packets of a route.
    Route(Route),
    /// An infrared receiver, by its device.
    Lirc(PathBuf),
}

impl Target {
    /// The fields of the `BPF_LINK_CREATE` call that it stands for, by their UAPI names.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Target::Xdp(xdp) => xdp.fields(),
            Target::XdpNetlink(xdp) => xdp.fields(),
            Target::Tc(tc) => tc.fields(),
            Target::Netkit(netkit) => netkit.fields(),
            Target::Netfilter(spot) => spot.fields(),
            Target::Netns(hook) => hook.fields(),
            Target::Sockmap(sockmap) => sockmap.fields(),
            Target::Cgroup(cgroup) => cgroup.fields(),
            Target::Route(route) => route.fields(),
            Target::Lirc(device) => vec![("target_fd", device.display().to_string())],
        }
    }
}

/// The hook in a few words, such as `XDP on eth0`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Xdp(Xdp { interface, .. }) => write!(f, "XDP on {interface}"),
            Target::XdpNetlink(XdpNetlink { interface, .. }) => write!(f, "XDP on {interface}"),
            Target::Tc(tc) => write!(f, "tc {} of {}", tc.direction, tc.interface),
            Target::Netkit(netkit) => write!(f, "netkit {} of {}", netkit.end, netkit.interface),
            Target::Netfilter(spot) => write!(f, "netfilter {spot}"),
            Target::Netns(hook) => write!(f, "network namespace {}", hook.netns),
            Target::Sockmap(sockmap) => write!(f, "{}", sockmap.map),
            Target::Cgroup(cgroup) => write!(f, "cgroup {}", cgroup.path.display()),
            Target::Route(route) => write!(f, "route {route}"),
            Target::Lirc(device) => write!(f, "lirc {}", device.display()),
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
        Target::XdpNetlink(xdp) => xdp_netlink::attach(program, xdp),
        Target::Tc(tc) => tc::attach(program, tc),
        Target::Netkit(netkit) => netkit::attach(program, netkit),
        Target::Netfilter(spot) => netfilter::attach(program, spot),
        Target::Netns(hook) => netns_hook::attach(program, hook),
        Target::Sockmap(sockmap) => sockmap::attach(program, sockmap),
        Target::Cgroup(cgroup) => cgroup::attach(program, cgroup),
        Target::Route(route) => lwt::attach(program, route),
        Target::Lirc(device) => lirc::attach(program, device),
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
    /// What was named as the target is not there.
    #[error("cannot attach `{program}`: {why}")]
    NoTarget {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What is not there, and what is.
        why: String,
    },
    /// The target is of another kind, or the wish makes no sense there.
    #[error("cannot attach `{program}` to {hook}: {why}")]
    WrongTarget {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// Why, and what to do.
        why: String,
    },
    /// The caller lacks a capability.
    #[error("cannot attach `{program}` to {hook}: this takes {missing}, which this process does not have")]
    NotPermitted {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// The capabilities.
        missing: String,
        /// The error number.
        source: SysError,
    },
    /// This kernel cannot do it.
    #[error("cannot attach `{program}` to {hook}: {why}")]
    Unsupported {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What is missing.
        why: String,
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

    /// Puts another program in the place of this one, in one step.
    fn update(&self, _program: &Program) -> Result<(), SysError> {
        Err(SysError::other("putting another program in its place", Errno::EOPNOTSUPP))
    }

    /// False if the attachment ends with this process in any case.
    fn outlives_process(&self) -> bool {
        true
    }
}

/// How long an attachment lasts if nobody ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as the last descriptor or pin of its link object.
    Link,
    /// Until somebody removes it: it belongs to the hook and not to a process, and cannot be pinned.
    Hook,
    /// As long as this process: it cannot be pinned.
    Process,
}

impl Link {
    pub(crate) fn new(fd: OwnedFd) -> Link {
        Link { hold: Hold::Object(fd), note: None }
    }

    /// An attachment that has no link object.
    pub(crate) fn undone_by(undo: impl Undo + 'static) -> Link {
        Link { hold: Hold::Undo(Some(Box::new(undo))), note: None }
    }

    /// How long the attachment lasts if this value is [leaked](Link::leak) or pinned.
    pub fn lifetime(&self) -> Lifetime {
        match &self.hold {
            Hold::Object(_) => Lifetime::Link,
            Hold::Undo(undo) if undo.as_ref().is_none_or(|u| u.outlives_process()) => Lifetime::Hook,
            Hold::Undo(_) => Lifetime::Process,
        }
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
        match &self.hold {
            Hold::Object(fd) => sys::link_update(fd, program, old.map(AsFd::as_fd)),
            Hold::Undo(Some(undo)) => undo.update(program),
            Hold::Undo(None) => Err(SysError::other("an attachment that has ended", Errno::ENOENT)),
        }
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
    pub fn leak(mut self) {
        if let (Lifetime::Hook, Hold::Undo(undo)) = (self.lifetime(), &mut self.hold) {
            // The hook holds it; only our descriptors are closed.
            drop(undo.take());
            return;
        }
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
