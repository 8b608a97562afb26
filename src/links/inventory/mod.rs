//! Everything that is attached on this machine, in one list.
//!
//! No single place of the kernel knows it. A program may be attached by a link, over netlink, by the old call to a
//! cgroup, map or namespace, or to a perf event that some process has open. Each is asked for in its own way, and a
//! program that two of them show is listed once:
//!
//! ```text
//!   all links                      BPF_LINK_GET_NEXT_ID, and what each tells
//!   each network namespace         RTM_GETLINK: XDP of each interface
//!     each interface               BPF_PROG_QUERY: tcx, netkit
//!     each qdisc and class         RTM_GETTFILTER: classic filters
//!     routes                       RTM_GETROUTE: encapsulations
//!     itself                       BPF_PROG_QUERY: flow dissector, socket lookup
//!   each cgroup                    BPF_PROG_QUERY, for each of its 29 hooks
//!   each map of sockets            BPF_PROG_QUERY
//!   each struct_ops map            its state: in use without a link?
//!   each process                   /proc/PID/fd: perf events, and who holds which link and program
//!   each bpffs                     which link and program has which name
//! ```
//!
//! The list is taken while the machine runs: what comes or goes meanwhile may be in it or not. What cannot be asked is
//! put on a list of problems, and the rest goes on.
//!
//! What it cannot see: filters of sockets (only the socket's holder can ask), programs in the elements of a map
//! (program arrays, devmaps), and interfaces of namespaces that nothing names and no process is in.

use std::collections::HashMap;
use std::path::PathBuf;

use super::cgroup::Share;
use super::info::{self, Hook, LinkInfo, PerfHook};
use super::netns::NetNs;
use super::order::Via;
use crate::progs::ProgInfo;
use crate::sys::{Errno, SysError};
use crate::uapi::{AttachType, LinkType, ProgType};

mod cgroups;
mod interfaces;
mod maps;
mod names;
mod namespaces;
mod open;
mod perf;
mod pins;
mod processes;

pub use namespaces::Namespace;
pub use pins::{Pins, scan as pins};
pub use processes::{Holder, Processes, scan as processes};

/// What is attached.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The attachments, sorted by kind of hook, then by place, then in the order in which they run.
    pub attachments: Vec<Attachment>,
    /// The network namespaces that were visited.
    pub namespaces: Vec<Namespace>,
    /// What could not be asked.
    pub problems: Vec<Problem>,
}

/// A program at a hook.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Where.
    pub hook: Hook,
    /// By which means.
    pub by: By,
    /// The program's id; 0 if it is not known.
    pub prog_id: u32,
    /// The program's name, as far as it is known.
    pub program: Option<String>,
    /// The program's type, as far as it is known.
    pub prog_type: Option<ProgType>,
    /// Inode number of the network namespace that the hook belongs to, if it belongs to one that was visited.
    pub netns: Option<u64>,
    /// Which of the programs at this hook runs when: 0 is first. Only for hooks with a list.
    pub position: Option<u32>,
    /// Directory of the cgroup.
    pub cgroup: Option<PathBuf>,
    /// How a cgroup's hook is shared.
    pub share: Option<Share>,
    /// The hook in words: `eth0`, `eth0 ingress`, `/sys/fs/cgroup/user.slice`, `tcp_connect+8`.
    pub place: String,
    /// More about it, in words: a mode, a priority, how it is shared; empty if there is nothing to say.
    pub detail: String,
    /// Processes that hold the link.
    pub holders: Vec<Holder>,
    /// Processes that hold the program.
    pub program_holders: Vec<Holder>,
    /// Names of the link in a bpffs.
    pub pins: Vec<PathBuf>,
    /// Names of the program in a bpffs.
    pub program_pins: Vec<PathBuf>,
}

/// By which means a program is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A link object.
    Link {
        /// Its id.
        id: u32,
        /// Its type.
        link_type: LinkType,
    },
    /// XDP over netlink.
    Netlink,
    /// A classic tc filter; its name.
    Filter(String),
    /// A route's encapsulation.
    Route,
    /// `BPF_PROG_ATTACH`.
    ProgAttach,
    /// A registered struct_ops map.
    Map,
    /// A perf event that this process has open.
    PerfEvent {
        /// The process.
        pid: u32,
        /// Its descriptor.
        fd: u32,
    },
}

/// Something that could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot look at {what}: {why}")]
pub struct Problem {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Which network namespaces to visit. What belongs to none (cgroups, probes) is always listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// That of the caller.
    #[default]
    Here,
    /// These.
    Of(Vec<NetNs>),
    /// All that a process is in, or that a file stands for.
    Everywhere,
}

/// Lists what is attached. Needs `CAP_SYS_ADMIN` for links, `CAP_NET_ADMIN` for the rest; what is not permitted is a
/// problem, not an error.
pub fn inventory(scope: &Scope) -> Inventory {
    survey(&Look { scope: scope.clone(), cgroups: true, maps: true, holders: true })
}

/// Which hooks to look at; links are always listed.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// The interfaces and hooks of these network namespaces.
    pub scope: Scope,
    /// The cgroups.
    pub cgroups: bool,
    /// Maps of sockets, and struct_ops maps.
    pub maps: bool,
    /// The perf events of all processes, and who holds what, by processes and by pins: the dearest part on a machine
    /// with many processes.
    pub holders: bool,
}

/// Lists what is attached at some hooks. What belongs to the others may be in the list, by its link, or not.
pub fn survey(look: &Look) -> Inventory {
    let mut survey = Survey::default();
    survey.links();
    if look.holders {
        survey.processes = processes::scan(&mut survey.problems);
        survey.pins = pins::scan(&mut survey.problems);
    }
    let namespaces = namespaces::find(&look.scope, &mut survey.problems);
    for namespace in &namespaces {
        interfaces::look(&mut survey, namespace);
    }
    if look.cgroups {
        cgroups::look(&mut survey);
    }
    if look.maps {
        maps::look(&mut survey);
    }
    if look.holders {
        perf::look(&mut survey);
    }
    survey.finish(namespaces)
}

/// A list that is being made.
#[derive(Debug, Default)]
struct Survey {
    /// Links that no hook has shown yet.
    links: Vec<LinkInfo>,
    found: Vec<Attachment>,
    problems: Vec<Problem>,
    processes: processes::Processes,
    pins: pins::Pins,
}

impl Survey {
    fn links(&mut self) {
        match info::list_each() {
            Err(e) => self.problem("the links", e),
            Ok(list) => {
                for (id, info) in list {
                    match info {
                        Ok(info) => self.links.push(info),
                        Err(e) => self.problem(format!("link {id}"), e),
                    }
                }
            }
        }
    }

    fn problem(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.problems.push(Problem { what: what.into(), why: why.to_string() });
    }

    /// Takes what a hook shows: by a link, if one of those that no hook has shown yet fits. `link_id` is 0 where the
    /// hook does not tell it.
    fn see(&mut self, seen: Attachment, link_id: u32) {
        let fits = |l: &LinkInfo| match link_id {
            0 => l.prog_id == seen.prog_id && l.hook == seen.hook,
            id => l.id == id,
        };
        let at = self.links.iter().position(fits);
        self.found.push(match at {
            Some(at) => {
                let link = self.links.remove(at);
                let by = By::Link { id: link.id, link_type: link.link_type };
                Attachment { hook: link.hook, by, ..seen }
            }
            None => seen,
        });
    }

    /// Lists the links that no hook has shown, and says of each who it is and who holds it.
    fn finish(mut self, namespaces: Vec<Namespace>) -> Inventory {
        let mut words = names::Names::default();
        for link in std::mem::take(&mut self.links) {
            let (place, detail) = words.of(&link.hook);
            let netns = match link.hook {
                Hook::Netns { inode, .. } if inode != 0 => Some(u64::from(inode)),
                _ => None,
            };
            let by = By::Link { id: link.id, link_type: link.link_type };
            self.found.push(Attachment {
                netns,
                detail,
                ..Attachment::new(link.hook, by, link.prog_id, place)
            });
        }
        let mut programs: HashMap<u32, Option<ProgInfo>> = HashMap::new();
        for attachment in &mut self.found {
            let id = attachment.prog_id;
            let program =
                programs.entry(id).or_insert_with(|| (id != 0).then(|| ProgInfo::by_id(id).ok()).flatten());
            if let Some(program) = program {
                attachment.program = Some(program.name.clone()).filter(|n| !n.is_empty());
                attachment.prog_type = Some(program.prog_type);
            }
            if let By::Link { id, .. } = attachment.by {
                attachment.holders = self.processes.links.get(&id).cloned().unwrap_or_default();
                attachment.pins = self.pins.links.get(&id).cloned().unwrap_or_default();
            }
            attachment.program_holders = self.processes.programs.get(&id).cloned().unwrap_or_default();
            attachment.program_pins = self.pins.programs.get(&id).cloned().unwrap_or_default();
        }
        let mut attachments = self.found;
        attachments.sort_by(|a, b| {
            let key =
                |a: &Attachment| (a.kind(), a.netns, a.place.clone(), a.position, a.by.link_id(), a.prog_id);
            key(a).cmp(&key(b))
        });
        Inventory { attachments, namespaces, problems: self.problems }
    }
}

impl By {
    /// The link's id; `None` if there is none.
    pub fn link_id(&self) -> Option<u32> {
        match self {
            By::Link { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// In a word or two.
    pub fn words(&self) -> String {
        match self {
            By::Link { id, .. } => format!("link {id}"),
            By::Netlink => "netlink".into(),
            By::Filter(_) => "filter".into(),
            By::Route => "route".into(),
            By::ProgAttach => "no link".into(),
            By::Map => "map".into(),
            By::PerfEvent { pid, fd } => format!("perf event {fd} of {pid}"),
        }
    }

    /// As an attachment of this kind is asked for.
    pub fn via(&self) -> Via {
        if self.link_id().is_some() { Via::Link } else { Via::Direct }
    }
}

impl Attachment {
    fn new(hook: Hook, by: By, prog_id: u32, place: String) -> Attachment {
        Attachment {
            hook,
            by,
            prog_id,
            program: None,
            prog_type: None,
            netns: None,
            position: None,
            cgroup: None,
            share: None,
            place,
            detail: String::new(),
            holders: Vec::new(),
            program_holders: Vec::new(),
            pins: Vec::new(),
            program_pins: Vec::new(),
        }
    }

    /// One of which nothing but its link is known.
    pub(crate) fn bare(hook: Hook, by: By, prog_id: u32) -> Attachment {
        Attachment::new(hook, by, prog_id, String::new())
    }

    /// What kind of hook it is, in one word.
    pub fn kind(&self) -> &'static str {
        match &self.hook {
            Hook::Xdp { .. } => "xdp",
            Hook::Tcx { .. } => "tcx",
            Hook::Netkit { .. } => "netkit",
            Hook::Filter { .. } => "tc",
            Hook::Route { .. } => "route",
            Hook::Cgroup { .. } => "cgroup",
            Hook::Netns { attach_type, .. } => attach_type.name().unwrap_or("netns"),
            Hook::Sockmap { .. } => "sockmap",
            Hook::Netfilter { .. } => "netfilter",
            Hook::Tracing { attach_type, .. } => tracing(*attach_type, self.prog_type),
            Hook::TracingMulti { .. } => "tracing.multi",
            Hook::RawTracepoint { .. } => "raw_tp",
            Hook::Iter { .. } => "iter",
            Hook::PerfEvent(event) => match event {
                PerfHook::Kprobe { is_return: false, .. } => "kprobe",
                PerfHook::Kprobe { .. } => "kretprobe",
                PerfHook::Uprobe { is_return: false, .. } => "uprobe",
                PerfHook::Uprobe { .. } => "uretprobe",
                PerfHook::Tracepoint { .. } => "tracepoint",
                PerfHook::Event { .. } | PerfHook::Unknown => "perf_event",
            },
            Hook::KprobeMulti { is_return: false, .. } => "kprobe.multi",
            Hook::KprobeMulti { .. } => "kretprobe.multi",
            Hook::UprobeMulti { is_return: false, .. } => "uprobe.multi",
            Hook::UprobeMulti { .. } => "uretprobe.multi",
            Hook::StructOps { .. } => "struct_ops",
            Hook::Other => "other",
        }
    }
}

/// As the section of such a program begins.
fn tracing(attach_type: AttachType, prog_type: Option<ProgType>) -> &'static str {
    match attach_type {
        _ if prog_type == Some(ProgType::Ext) => "freplace",
        AttachType::TraceRawTp => "tp_btf",
        AttachType::TraceFentry => "fentry",
        AttachType::TraceFexit => "fexit",
        AttachType::ModifyReturn => "fmod_ret",
        AttachType::LsmMac => "lsm",
        AttachType::TraceFsession => "fsession",
        _ => "tracing",
    }
}

/// True for the answers by which a kernel says that it does not know a hook.
fn is_unknown(e: SysError) -> bool {
    [Errno::EINVAL, Errno::EOPNOTSUPP, Errno::ENOTSUPP].contains(&e.errno)
}
