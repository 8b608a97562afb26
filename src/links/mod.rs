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

pub mod cgroup;
mod cgroup_dir;
mod clsact;
mod direct;
mod error;
mod exe;
mod filter;
mod functions;
mod hook_kind;
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
mod table;
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
pub use table::{Target, attach, attach_on, auto};
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
