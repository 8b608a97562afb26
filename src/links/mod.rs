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
use std::path::PathBuf;

use crate::kernel::Kernel;
use crate::progs::Program;

pub mod cgroup;
mod clsact;
mod direct;
mod error;
mod exe;
mod filter;
mod functions;
mod info;
mod interface;
pub mod inventory;
mod iter;
mod kprobe;
mod kprobe_multi;
mod link;
mod lirc;
mod lsm_cgroup;
mod lwt;
mod mprog;
mod nearest;
mod netfilter;
mod netkit;
mod netns;
mod netns_hook;
mod order;
mod perf_event;
mod perf_link;
pub mod probes;
mod raw_tracepoint;
mod refusal;
mod remedy;
mod section_target;
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
pub mod xdp;
mod xdp_features;
mod xdp_mode;
mod xdp_netlink;

pub use cgroup::{Cgroup, Share};
pub use error::{AttachError, HookError};
pub use info::{Hook, IterOver, LinkInfo, PerfHook, list};
pub use interface::{AttachedMode, Interface, interfaces};
pub use inventory::{Attachment, Inventory, Scope, inventory};
pub use iter::{CgroupOrder, Iter};
pub use kprobe::{Kprobe, Ksyscall, ProbeVia};
pub use kprobe_multi::{Functions, KprobeMulti, MultiKind};
pub(crate) use link::Undo;
pub use link::{Lifetime, Link, SkippedFunction};
pub use lsm_cgroup::LsmCgroup;
pub use lwt::Route;
pub use mprog::tcx_is_known;
pub use netfilter::{Netfilter, NfFamily, NfHook};
pub use netkit::{Netkit, NetkitEnd};
pub use netns::{NetNs, NetNsError, OpenNetNs, names as netns_names};
pub use netns_hook::NetnsHook;
pub use order::{Anchor, Order, Place, Via};
pub use perf_event::PerfEvent;
pub use raw_tracepoint::RawTracepoint;
pub use remedy::Remedy;
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
pub use xdp::Xdp;
pub use xdp_features::{XdpFeatures, features as xdp_features};
pub use xdp_mode::XdpMode;
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
