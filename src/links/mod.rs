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

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel::Kernel;
use crate::progs::Program;
use crate::sys::info::RawLinkInfo;
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::{AttachType, LinkType};

mod exe;
mod functions;
mod hook;
mod interface;
mod iter;
mod kprobe;
mod kprobe_multi;
mod lsm_cgroup;
mod perf_event;
mod perf_link;
mod raw_tracepoint;
pub mod struct_ops;
mod trace;
mod tracefs;
mod tracepoint;
mod tracing_multi;
mod uprobe;
mod uprobe_multi;
mod usdt;
mod why;
pub mod xdp;

pub use hook::HookError;
pub use interface::{Interface, interfaces};
pub use iter::{CgroupOrder, Iter};
pub use kprobe::{Kprobe, Ksyscall, ProbeVia};
pub use kprobe_multi::{Functions, KprobeMulti, MultiKind};
pub use lsm_cgroup::LsmCgroup;
pub use perf_event::PerfEvent;
pub use raw_tracepoint::RawTracepoint;
pub use trace::Trace;
pub use tracepoint::Tracepoint;
pub use tracing_multi::TracingMulti;
pub use uprobe::{Spot, Uprobe};
pub use uprobe_multi::{Spots, UprobeMulti};
pub use usdt::Usdt;
pub use xdp::{Xdp, XdpMode};

/// Where a program is to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The receive path of a network interface.
    Xdp(Xdp),
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
            other => vec![("target", other.to_string())],
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

/// An attachment without a link object, and how to end it.
pub(crate) trait Undo: std::fmt::Debug + Send + Sync {
    /// Ends the attachment.
    fn undo(&mut self) -> Result<(), SysError>;

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
        sys::link_update(self.object()?, program, old.map(AsFd::as_fd))
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
