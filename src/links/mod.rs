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
//! What there is to attach to:
//!
//! ```text
//!   the kernel's functions   any instruction          kprobe, kretprobe, ksyscall       Kprobe, Ksyscall
//!                            many functions           kprobe.multi, kprobe.session      KprobeMulti
//!                            with types, from BTF     fentry, fexit, fmod_ret, fsession Trace
//!                            many, with types         fentry.multi ...                  TracingMulti
//!   its tracepoints          a record, or arguments   tracepoint, raw_tracepoint        Tracepoint, RawTracepoint
//!   its security hooks       all, or of a cgroup      lsm, lsm_cgroup                   Trace, LsmCgroup
//!   its counters             every Nth time           perf_event                        PerfEvent
//!   its objects              on reading a file        iter                              Iter
//!   user space               functions of a file      uprobe, uprobe.multi              Uprobe, UprobeMulti
//!                            probes put there         usdt                              Usdt
//!   another program          a function of it         freplace                          Trace
//!   packets                  as they come in          xdp                               Xdp
//! ```
//!
//! Section names are the language in which a tracing hook is said ([`Target::of_section`]), in a program's
//! source as on the command line; [`auto`] attaches a program to what its own section says.
//!
//! [`attach`] makes the link that a [`Target`] describes. One file a kind of hook; each knows why the
//! kernel may refuse and asks it for the reason.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::{self, Errno, ObjectKind, SysError};

mod cause;
pub mod cgroup;
mod clsact;
mod direct;
mod exe;
mod filter;
mod functions;
mod hook;
mod info;
mod interface;
pub mod inventory;
mod iter;
mod kprobe;
mod kprobe_multi;
mod lirc;
mod lsm_cgroup;
mod lwt;
mod mprog;
mod netfilter;
mod netkit;
mod netns;
mod netns_hook;
mod order;
mod perf_event;
mod perf_link;
pub mod probes;
mod raw_tracepoint;
mod socket;
mod sockmap;
pub mod struct_ops;
mod tc;
mod trace;
mod tracefs;
mod tracepoint;
mod tracing_multi;
mod uprobe;
mod uprobe_multi;
mod usdt;
mod why;
pub mod xdp;
mod xdp_features;
mod xdp_netlink;

pub use cgroup::{Cgroup, Share};
pub use hook::HookError;
pub use info::{Hook, IterOver, LinkInfo, PerfHook, list};
pub use interface::{AttachedMode, Interface, interfaces};
pub use inventory::{Attachment, Inventory, Scope, inventory};
pub use iter::{CgroupOrder, Iter};
pub use kprobe::{Kprobe, Ksyscall, ProbeVia};
pub use kprobe_multi::{Functions, KprobeMulti, MultiKind};
pub use lsm_cgroup::LsmCgroup;
pub use lwt::Route;
pub use netfilter::{Netfilter, NfFamily, NfHook};
pub use netkit::{Netkit, NetkitEnd};
pub use netns::{NetNs, NetNsError, OpenNetNs, names as netns_names};
pub use netns_hook::NetnsHook;
pub use order::{Anchor, Order, Place, Via};
pub use perf_event::PerfEvent;
pub use raw_tracepoint::RawTracepoint;
pub use socket::{attach_reuseport, attach_socket_filter, detach_reuseport, detach_socket_filter};
pub use sockmap::{MapRef, Sockmap};
pub use tc::{Direction, Tc, TcHook};
pub use trace::Trace;
pub use tracefs::{LeftProbe, left_probes};
pub use tracepoint::Tracepoint;
pub use tracing_multi::TracingMulti;
pub use uprobe::{Spot, Uprobe};
pub use uprobe_multi::{Spots, UprobeMulti};
pub use usdt::Usdt;
pub use xdp::{Xdp, XdpMode};
pub use xdp_features::{XdpFeatures, features as xdp_features};
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
    /// A function of the kernel, at its entry, at its return, or in between.
    Kprobe(Kprobe),
    /// Many functions of the kernel at once.
    KprobeMulti(KprobeMulti),
    /// A system call, by its name.
    Ksyscall(Ksyscall),
    /// A tracepoint, with its arguments as the kernel's format file describes them.
    Tracepoint(Tracepoint),
    /// A tracepoint, with its arguments as the kernel passes them.
    RawTracepoint(RawTracepoint),
    /// A function of a user-space program or library.
    Uprobe(Uprobe),
    /// Many functions of a program or library at once.
    UprobeMulti(UprobeMulti),
    /// A probe that the developers of a program placed in it.
    Usdt(Usdt),
    /// What the program was bound to when it was loaded: fentry and its kin, `tp_btf`, LSM, freplace.
    Trace(Trace),
    /// Many functions of the kernel at once, by BTF.
    TracingMulti(TracingMulti),
    /// A walk that reading a file makes.
    Iter(Iter),
    /// A counter of the CPU or of the kernel.
    PerfEvent(PerfEvent),
    /// A security module's hook, for a cgroup.
    LsmCgroup(LsmCgroup),
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
            other => vec![("target", other.to_string())],
        }
    }
}

impl Target {
    /// The call that attaches it, as far as it is known before it is made.
    pub fn call(&self) -> &'static str {
        let by = |via: Via| if via == Via::Direct { "BPF_PROG_ATTACH" } else { "BPF_LINK_CREATE" };
        match self {
            Target::XdpNetlink(_) => "RTM_SETLINK",
            Target::Route(_) => "RTM_NEWROUTE",
            Target::Tc(tc) if tc.hook == TcHook::Clsact => "RTM_NEWTFILTER",
            Target::Tc(tc) => by(tc.via),
            Target::Netkit(netkit) => by(netkit.via),
            Target::Netns(hook) => by(hook.via),
            Target::Sockmap(sockmap) => by(sockmap.via),
            Target::Cgroup(cgroup) => by(cgroup.via),
            Target::Lirc(_) => "BPF_PROG_ATTACH",
            _ => "BPF_LINK_CREATE",
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
            Target::Kprobe(t) => t.fmt(f),
            Target::KprobeMulti(t) => t.fmt(f),
            Target::Ksyscall(t) => t.fmt(f),
            Target::Tracepoint(t) => t.fmt(f),
            Target::Uprobe(t) => t.fmt(f),
            Target::UprobeMulti(t) => t.fmt(f),
            Target::Usdt(t) => t.fmt(f),
            Target::RawTracepoint(t) => t.fmt(f),
            Target::Trace(t) => t.fmt(f),
            Target::TracingMulti(t) => t.fmt(f),
            Target::Iter(t) => t.fmt(f),
            Target::PerfEvent(t) => t.fmt(f),
            Target::LsmCgroup(t) => t.fmt(f),
        }
    }
}

/// Attaches a program.
///
/// # Errors
/// [`AttachError`] with the reason, as far as it can be found out.
pub fn attach(program: &Program, target: &Target) -> Result<Link, AttachError> {
    attach_on(&Kernel::host(), program, target)
}

/// As [`attach`], with what is known of this machine's kernel already: types and symbols are read at most
/// once for all programs.
///
/// # Errors
/// As for [`attach`].
pub fn attach_on(kernel: &Kernel, program: &Program, target: &Target) -> Result<Link, AttachError> {
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
        Target::Kprobe(probe) => kprobe::attach(kernel, program, probe),
        Target::KprobeMulti(multi) => kprobe_multi::attach(kernel, program, multi),
        Target::Ksyscall(call) => kprobe::attach_syscall(kernel, program, call),
        Target::Tracepoint(point) => tracepoint::attach(kernel, program, point),
        Target::RawTracepoint(point) => raw_tracepoint::attach(kernel, program, point),
        Target::Uprobe(probe) => uprobe::attach(kernel, program, probe),
        Target::UprobeMulti(multi) => uprobe_multi::attach(kernel, program, multi),
        Target::Usdt(usdt) => usdt::attach(kernel, program, usdt),
        Target::Trace(trace) => trace::attach(kernel, program, trace),
        Target::TracingMulti(multi) => tracing_multi::attach(kernel, program, multi),
        Target::Iter(iter) => iter::attach(kernel, program, iter),
        Target::PerfEvent(event) => perf_event::attach(kernel, program, event),
        Target::LsmCgroup(target) => lsm_cgroup::attach(kernel, program, target),
    }
}

/// Attaches a program to what its section name says. `None` if that does not say all that is needed:
/// an interface, a cgroup, the function of a bare `kprobe` ... ([`Target::missing`] tells which).
///
/// # Errors
/// As for [`attach`], and [`AttachError::Hook`] for a section name that says something wrong.
pub fn auto(kernel: &Kernel, program: &Program) -> Result<Option<Link>, AttachError> {
    match Target::of_section(program.section())? {
        Some(target) => attach_on(kernel, program, &target).map(Some),
        None => Ok(None),
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
    /// The hook is not described right.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// There is no such function, symbol, tracepoint or file.
    #[error("cannot attach `{program}` to {hook}: there is no {what} `{name}`{near}")]
    NotFound {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// What there is none of.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked for, and what is near: it begins with a blank or a punctuation mark, or is empty.
        near: String,
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
    /// A file that the attachment depends on could not be read.
    #[error("cannot attach `{program}` to {hook}: {path} {why}")]
    File {
        /// The program.
        program: String,
        /// The hook.
        hook: String,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
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
    // After `hold`: it is dropped when the program is detached already.
    after: Option<After>,
    note: Option<String>,
    skipped: Vec<Skipped>,
}

/// A function that an attachment to many left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The function.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What keeps an attachment up.
#[derive(Debug)]
enum Hold {
    /// A link object of the kernel: it ends with its last descriptor and pin.
    Object(OwnedFd),
    /// Several of them: one for each CPU, or for each place in a file. Never empty.
    Objects(Vec<OwnedFd>),
    /// An attachment from before there were links for the hook, or one that never got any: something has
    /// to be undone. `None` once it is.
    Undo(Option<Box<dyn Undo>>),
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

    /// There will be nothing to undo: the attachment outlives this value.
    fn keep(&mut self) {}
}

/// Something to clean up once a program is detached, unless the attachment outlives this process by a pin.
#[derive(Debug)]
struct After {
    undo: Box<dyn Undo>,
    pinned: AtomicBool,
}

impl Drop for After {
    fn drop(&mut self) {
        if self.pinned.load(Ordering::Relaxed) {
            self.undo.keep();
        } else {
            let _ = self.undo.undo();
        }
    }
}

impl Link {
    pub(crate) fn new(fd: OwnedFd) -> Link {
        Link::holding(Hold::Object(fd))
    }

    fn holding(hold: Hold) -> Link {
        Link { hold, after: None, note: None, skipped: Vec::new() }
    }

    /// An attachment that consists of several link objects, or of one.
    pub(crate) fn of_objects(mut fds: Vec<OwnedFd>) -> Option<Link> {
        match fds.len() {
            0 => None,
            1 => fds.pop().map(Link::new),
            _ => Some(Link::holding(Hold::Objects(fds))),
        }
    }

    /// An attachment that has no link object.
    pub(crate) fn undone_by(undo: impl Undo + 'static) -> Link {
        Link::holding(Hold::Undo(Some(Box::new(undo))))
    }

    /// Cleans up with `undo` once the program is detached by this value.
    fn and_then(self, undo: impl Undo + 'static) -> Link {
        Link { after: Some(After { undo: Box::new(undo), pinned: AtomicBool::new(false) }), ..self }
    }

    fn skipping(self, skipped: Vec<Skipped>) -> Link {
        Link { skipped, ..self }
    }

    /// How long the attachment lasts if this value is [leaked](Link::leak) or pinned.
    pub fn lifetime(&self) -> Lifetime {
        match &self.hold {
            Hold::Object(_) | Hold::Objects(_) => Lifetime::Link,
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

    /// What an attachment to many functions left out because the kernel does not let it be probed.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The descriptor of the link object, the first if it has several; `None` if the kernel has no link for
    /// this attachment.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fds().next()
    }

    /// The descriptors of all link objects of the attachment.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let fds = match &self.hold {
            Hold::Object(fd) => std::slice::from_ref(fd),
            Hold::Objects(fds) => fds.as_slice(),
            Hold::Undo(_) => &[],
        };
        fds.iter().map(AsFd::as_fd)
    }

    /// False if the attachment ends with this process whatever is done: the kernel has no link for it that
    /// could be pinned. So it is with perf events before Linux 5.15.
    pub fn can_outlive_process(&self) -> bool {
        match &self.hold {
            Hold::Object(_) | Hold::Objects(_) => true,
            Hold::Undo(undo) => undo.as_ref().is_none_or(|u| u.outlives_process()),
        }
    }

    /// Starts an iterator: a file whose reading runs the program. `EINVAL` for other links.
    #[doc(alias = "BPF_ITER_CREATE")]
    pub fn iterate(&self) -> Result<std::fs::File, SysError> {
        sys::iter_create(self.object()?).map(std::fs::File::from)
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

    /// Gives it a name in a bpffs: the program stays attached when this process ends. An attachment of
    /// several link objects gets one name for each: the others are called `PATH+1`, `PATH+2` ...
    ///
    /// `EOPNOTSUPP` for attachments that have no link object.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), SysError> {
        sys::obj_pin(self.object()?, path.as_ref())?;
        for (i, fd) in self.fds().enumerate().skip(1) {
            let mut name = path.as_ref().as_os_str().to_owned();
            name.push(format!("+{i}"));
            sys::obj_pin(fd, Path::new(&name))?;
        }
        if let Some(after) = &self.after {
            after.pinned.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Puts another program behind it, in one step: no packet or event passes without one. With `old`, only
    /// if that program is behind it now (`EPERM` otherwise). `EINVAL` for links that cannot be updated, such
    /// as those of perf events and raw tracepoints.
    pub fn update(&self, program: &Program, old: Option<&Program>) -> Result<(), SysError> {
        match &self.hold {
            Hold::Object(fd) => sys::link_update(fd, program, old.map(AsFd::as_fd)),
            Hold::Objects(fds) => {
                fds.iter().try_for_each(|fd| sys::link_update(fd, program, old.map(AsFd::as_fd)))
            }
            Hold::Undo(Some(undo)) => undo.update(program),
            Hold::Undo(None) => Err(SysError::other("an attachment that has ended", Errno::ENOENT)),
        }
    }

    /// Detaches the program though others may hold the link. `EOPNOTSUPP` for links of perf events and raw
    /// tracepoints: those end with their last descriptor and pin.
    pub fn detach(mut self) -> Result<(), SysError> {
        match &mut self.hold {
            Hold::Object(fd) => sys::link_detach(&*fd),
            Hold::Objects(fds) => fds.iter().try_for_each(sys::link_detach),
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
