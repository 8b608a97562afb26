//! The list while it is made: what each hook shows is put together with the links, and with who holds them.

use std::collections::HashMap;
use std::path::PathBuf;

use super::names;
use super::namespaces::Namespace;
use super::pins::Pins;
use super::processes::{Holder, Processes};
use super::scope::Problem;
use crate::links::cgroup::Share;
use crate::links::info::{self, Hook, LinkInfo, PerfHook};
use crate::links::order::Via;
use crate::progs::ProgInfo;
use crate::sys::{Errno, SysError};
use crate::uapi::{AttachType, LinkType, ProgType};

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

/// A list that is being made.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Links that no hook has shown yet.
    pub(super) links: Vec<LinkInfo>,
    pub(super) found: Vec<Attachment>,
    pub(super) problems: Vec<Problem>,
    pub(super) processes: Processes,
    pub(super) pins: Pins,
}

impl Survey {
    pub(super) fn links(&mut self) {
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

    pub(super) fn problem(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.problems.push(Problem { what: what.into(), why: why.to_string() });
    }

    /// Takes what a hook shows: by a link, if one of those that no hook has shown yet fits. `link_id` is 0 where the
    /// hook does not tell it.
    pub(super) fn see(&mut self, seen: Attachment, link_id: u32) {
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
    pub(super) fn finish(mut self, namespaces: Vec<Namespace>) -> Inventory {
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
    pub(super) fn new(hook: Hook, by: By, prog_id: u32, place: String) -> Attachment {
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
pub(super) fn is_unknown(e: SysError) -> bool {
    [Errno::EINVAL, Errno::EOPNOTSUPP, Errno::ENOTSUPP].contains(&e.errno)
}
