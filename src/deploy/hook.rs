//! Which place a hook is, as the kernel says it.
//!
//! A file name says what a hook was called when it was made. Interfaces are renamed, deleted and made again, and moved
//! to other namespaces; what stays is what the kernel counts: the inode of a namespace and the number of an interface in
//! it, the id of a cgroup, the id of a map. A [`HookKey`] is that, made in two ways that meet:
//!
//! ```text
//!   Target (what is wanted) ──looked up now──►  HookKey  ◄──told by the kernel── Attachment (what is)
//! ```
//!
//! Two keys are equal if and only if the place is the same one.

use std::fmt;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;

use super::error::{DeployError, Result};
use crate::links::{
    AttachError, Attachment, Direction, Interface, MapRef, NetNs, NetkitEnd, Target, TcHook, cgroup,
    interfaces, tcx_is_known,
};
use crate::links::{Hook, PerfHook};
use crate::maps::Map;
use crate::uapi::{AttachType, ProgType};

/// A place where programs are attached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HookKey {
    /// The receive path of an interface: one program, by whatever means.
    Xdp {
        /// Inode of the network namespace.
        netns: u64,
        /// Number of the interface in it.
        ifindex: u32,
    },
    /// A list of tc programs.
    Tcx {
        /// Inode of the network namespace.
        netns: u64,
        /// Number of the interface in it.
        ifindex: u32,
        /// What it sends, not what it receives.
        egress: bool,
    },
    /// The filters of an interface's clsact qdisc.
    Clsact {
        /// Inode of the network namespace.
        netns: u64,
        /// Number of the interface in it.
        ifindex: u32,
        /// What it sends, not what it receives.
        egress: bool,
    },
    /// A list of programs of a netkit pair.
    Netkit {
        /// Inode of the network namespace of the primary end.
        netns: u64,
        /// Number of the primary end in it.
        ifindex: u32,
        /// What the peer sends, not the primary end.
        peer: bool,
    },
    /// A hook of the IP stack. The kernel does not tell of which namespace.
    Netfilter {
        /// Protocol family.
        family: u32,
        /// Hook number.
        hook: u32,
        /// Priority.
        priority: i32,
    },
    /// A hook of a network namespace.
    Netns {
        /// Its inode.
        netns: u64,
        /// Flow dissector or socket lookup.
        attach_type: AttachType,
    },
    /// A hook of a cgroup.
    Cgroup {
        /// Its id: its inode.
        id: u64,
        /// Which hook.
        attach_type: AttachType,
    },
    /// A hook of a map of sockets.
    Sockmap {
        /// The map.
        map: MapKey,
        /// Which hook.
        attach_type: AttachType,
    },
    /// The packets of a route.
    Route {
        /// Inode of the network namespace.
        netns: u64,
        /// Destination and way.
        destination: String,
    },
    /// A table of the kernel's, by the map that takes its place.
    StructOps {
        /// Name of the map.
        map: String,
    },
    /// What a program traces. A function does not move: program and kind of hook say enough, with the name of the
    /// function where the kernel tells it.
    Traced {
        /// The program.
        program: String,
        /// Kind of hook, and what of.
        what: String,
    },
    /// A place that the kernel does not tell anything of.
    Untold {
        /// What it is called.
        name: String,
    },
}

/// A map that programs are attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapKey {
    /// One of the object's own.
    Own(String),
    /// Another, by its id.
    Id(u32),
}

/// What is looked up for targets of one network namespace: that of the calling thread.
#[derive(Debug)]
pub struct Here {
    netns: u64,
    interfaces: Vec<Interface>,
    tcx: OnceLock<bool>,
}

impl Here {
    /// Looks at the namespace of the calling thread.
    pub fn look() -> Result<Here> {
        let path = NetNs::Current.path();
        let netns = std::fs::metadata(&path).map_err(DeployError::io("look at the network namespace"))?.ino();
        let interfaces = interfaces().map_err(|e| DeployError::Lib(e.into()))?;
        Ok(Here { netns, interfaces, tcx: OnceLock::new() })
    }

    /// Inode of the namespace.
    pub fn netns(&self) -> u64 {
        self.netns
    }

    /// The interfaces of the namespace.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn index(&self, name: &str) -> Result<u32> {
        let found = self.interfaces.iter().find(|i| i.is_called(name));
        found.map(|i| i.index).ok_or_else(|| {
            let known = self.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", ");
            AttachError::NoInterface { name: name.into(), known }.into()
        })
    }
}

/// A program, as far as its hook depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramFacts {
    /// Its name.
    pub name: String,
    /// Its type.
    pub prog_type: ProgType,
    /// The attach type that its section says.
    pub attach_type: AttachType,
    /// What it is and where it attaches, as a section name.
    pub section: String,
}

impl HookKey {
    /// The place that a target of a program names now, for the calling thread.
    ///
    /// # Errors
    /// There is no such place; [`DeployError::may_come`] tells whether it may come.
    pub fn of_target(target: &Target, program: &ProgramFacts, here: &Here) -> Result<HookKey> {
        let netns = here.netns;
        Ok(match target {
            Target::Xdp(xdp) => HookKey::Xdp { netns, ifindex: here.index(&xdp.interface)? },
            Target::XdpNetlink(xdp) => HookKey::Xdp { netns, ifindex: here.index(&xdp.interface)? },
            Target::Tc(tc) => {
                let (ifindex, egress) = (here.index(&tc.interface)?, tc.direction == Direction::Egress);
                match tc.hook {
                    TcHook::Clsact => HookKey::Clsact { netns, ifindex, egress },
                    TcHook::Auto if !here.tcx.get_or_init(tcx_is_known) => {
                        HookKey::Clsact { netns, ifindex, egress }
                    }
                    _ => HookKey::Tcx { netns, ifindex, egress },
                }
            }
            Target::Netkit(netkit) => {
                let ifindex = here.index(&netkit.interface)?;
                HookKey::Netkit { netns, ifindex, peer: netkit.end == NetkitEnd::Peer }
            }
            Target::Netfilter(spot) => {
                let (family, hook) = (spot.family.number(), spot.hook.number());
                HookKey::Netfilter { family, hook, priority: spot.priority }
            }
            Target::Netns(hook) => {
                let attach_type = match program.prog_type {
                    ProgType::SkLookup => AttachType::SkLookup,
                    _ => AttachType::FlowDissector,
                };
                HookKey::Netns { netns: hook.netns.open()?.inode(), attach_type }
            }
            Target::Cgroup(group) => {
                let (id, attach_type) =
                    cgroup::locate(&program.name, program.prog_type, program.attach_type, group)?;
                HookKey::Cgroup { id, attach_type }
            }
            Target::Sockmap(sockmap) => {
                let attach_type = sockmap.attach_type.unwrap_or(match program.prog_type {
                    ProgType::SkMsg => AttachType::SkMsgVerdict,
                    _ => program.attach_type,
                });
                HookKey::Sockmap { map: map_key(&sockmap.map)?, attach_type }
            }
            Target::Route(route) => HookKey::Route { netns, destination: route.place(program.prog_type) },
            Target::Lirc(device) => HookKey::Untold { name: format!("lirc {}", device.display()) },
            traced => HookKey::Traced { program: program.name.clone(), what: traced_target(traced) },
        })
    }

    /// The place of an attachment that was found on the machine; `own` has the ids and names of the entry's maps.
    /// `None` if the place is gone, or the namespace of its interface was not found.
    pub fn of_attachment(found: &Attachment, own: &[(u32, String)]) -> Option<HookKey> {
        let netns = found.netns;
        Some(match &found.hook {
            Hook::Xdp { ifindex } if *ifindex != 0 => HookKey::Xdp { netns: netns?, ifindex: *ifindex },
            Hook::Tcx { ifindex, attach_type } if *ifindex != 0 => HookKey::Tcx {
                netns: netns?,
                ifindex: *ifindex,
                egress: *attach_type == AttachType::TcxEgress,
            },
            Hook::Netkit { ifindex, attach_type } if *ifindex != 0 => {
                let peer = *attach_type == AttachType::NetkitPeer;
                HookKey::Netkit { netns: netns?, ifindex: *ifindex, peer }
            }
            Hook::Filter { ifindex, parent, .. } => {
                HookKey::Clsact { netns: netns?, ifindex: *ifindex, egress: *parent == EGRESS }
            }
            Hook::Netfilter { pf, hook, priority, .. } => {
                HookKey::Netfilter { family: *pf, hook: *hook, priority: *priority }
            }
            Hook::Netns { inode, attach_type } if *inode != 0 => {
                HookKey::Netns { netns: u64::from(*inode), attach_type: *attach_type }
            }
            Hook::Cgroup { cgroup_id, attach_type } if *cgroup_id != 0 => {
                HookKey::Cgroup { id: *cgroup_id, attach_type: *attach_type }
            }
            Hook::Sockmap { map_id, attach_type } if *map_id != 0 => {
                let name = own.iter().find(|(id, _)| id == map_id).map(|(_, name)| name.clone());
                let map = name.map_or(MapKey::Id(*map_id), MapKey::Own);
                HookKey::Sockmap { map, attach_type: *attach_type }
            }
            Hook::Route { destination } => HookKey::Route { netns: netns?, destination: destination.clone() },
            Hook::StructOps { map_id } => {
                let name = own.iter().find(|(id, _)| id == map_id).map(|(_, name)| name.clone());
                HookKey::StructOps { map: name.unwrap_or_else(|| map_id.to_string()) }
            }
            Hook::Xdp { .. }
            | Hook::Tcx { .. }
            | Hook::Netkit { .. }
            | Hook::Netns { .. }
            | Hook::Cgroup { .. }
            | Hook::Sockmap { .. } => return None,
            hook => HookKey::Traced { program: found.program.clone()?, what: traced_hook(hook) },
        })
    }

    /// Inode of the network namespace that the place belongs to, if it belongs to one.
    pub fn netns(&self) -> Option<u64> {
        match self {
            HookKey::Xdp { netns, .. }
            | HookKey::Tcx { netns, .. }
            | HookKey::Clsact { netns, .. }
            | HookKey::Netkit { netns, .. }
            | HookKey::Netns { netns, .. }
            | HookKey::Route { netns, .. } => Some(*netns),
            _ => None,
        }
    }

    /// True if only one program can stand there.
    pub fn is_single(&self) -> bool {
        match self {
            HookKey::Xdp { .. }
            | HookKey::Sockmap { .. }
            | HookKey::StructOps { .. }
            | HookKey::Route { .. } => true,
            HookKey::Netns { attach_type, .. } => *attach_type == AttachType::FlowDissector,
            _ => false,
        }
    }

    /// True if what is attached there is known by its program alone, and cannot move.
    pub fn is_traced(&self) -> bool {
        matches!(self, HookKey::Traced { .. })
    }
}

/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)`
const EGRESS: u32 = 0xffff_fff3;

fn map_key(map: &MapRef) -> Result<MapKey> {
    Ok(match map {
        MapRef::Named(name) => MapKey::Own(name.clone()),
        MapRef::Id(id) => MapKey::Id(*id),
        MapRef::Pin(path) => {
            MapKey::Id(Map::open_pin(path).map_err(DeployError::open("map", path))?.info().id)
        }
        MapRef::Open(name, fd) => {
            let doing = || format!("ask about the map {name}");
            MapKey::Id(crate::sys::map_info(fd.as_fd()).map_err(DeployError::sys(doing()))?.id)
        }
    })
}

fn place(function: &str, offset: u64, exit: bool) -> String {
    let kind = if exit { "kretprobe" } else { "kprobe" };
    let plain = function.rsplit(':').next().unwrap_or(function);
    let plus = if offset == 0 { String::new() } else { format!("+{offset}") };
    format!("{kind} {plain}{plus}")
}

/// What a target traces, as exact as the kernel tells it of a link.
fn traced_target(target: &Target) -> String {
    match target {
        Target::Kprobe(t) if !t.function.starts_with("0x") => place(&t.function, t.offset, t.exit),
        Target::Kprobe(_) | Target::Ksyscall(_) => "kprobe".into(),
        Target::Tracepoint(t) => format!("tracepoint {}", t.name),
        Target::RawTracepoint(t) => format!("raw_tp {}", t.name),
        Target::KprobeMulti(_) => "kprobe.multi".into(),
        Target::Uprobe(_) | Target::Usdt(_) => "uprobe".into(),
        Target::UprobeMulti(_) => "uprobe".into(),
        Target::Iter(_) => "iter".into(),
        Target::PerfEvent(_) => "perf_event".into(),
        _ => "tracing".into(),
    }
}

/// What a link traces, in the same words.
fn traced_hook(hook: &Hook) -> String {
    match hook {
        Hook::PerfEvent(PerfHook::Kprobe { function, offset, is_return, .. }) if !function.is_empty() => {
            place(function, u64::from(*offset), *is_return)
        }
        Hook::PerfEvent(PerfHook::Kprobe { .. }) => "kprobe".into(),
        Hook::PerfEvent(PerfHook::Tracepoint { name, .. }) => format!("tracepoint {name}"),
        Hook::PerfEvent(PerfHook::Uprobe { .. }) | Hook::UprobeMulti { .. } => "uprobe".into(),
        Hook::PerfEvent(_) => "perf_event".into(),
        Hook::RawTracepoint { name, .. } => format!("raw_tp {name}"),
        Hook::KprobeMulti { .. } => "kprobe.multi".into(),
        Hook::Iter { .. } => "iter".into(),
        _ => "tracing".into(),
    }
}

/// Both of a kind that the kernel tells nothing or little of: equal as far as can be told.
pub(super) fn may_be_same(wanted: &HookKey, actual: &HookKey) -> bool {
    match (wanted, actual) {
        (HookKey::Traced { program: a, what: x }, HookKey::Traced { program: b, what: y }) => {
            let kind = |what: &str| what.split(' ').next().unwrap_or_default().replace("kretprobe", "kprobe");
            // Before Linux 6.6 a perf link does not tell what it is at, and a probe of a system call not by its name.
            a == b
                && (x == y
                    || [x, y].iter().any(|w| !w.contains(' ')) && (kind(x) == kind(y) || y == "perf_event"))
        }
        _ => wanted == actual,
    }
}

impl fmt::Display for HookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |egress: &bool| if *egress { "egress" } else { "ingress" };
        match self {
            HookKey::Xdp { netns, ifindex } => write!(f, "XDP on interface {ifindex} of namespace {netns}"),
            HookKey::Tcx { netns, ifindex, egress } => {
                write!(f, "tcx {} of interface {ifindex} of namespace {netns}", side(egress))
            }
            HookKey::Clsact { netns, ifindex, egress } => {
                write!(f, "clsact {} of interface {ifindex} of namespace {netns}", side(egress))
            }
            HookKey::Netkit { netns, ifindex, peer } => {
                let end = if *peer { "peer" } else { "primary" };
                write!(f, "netkit {end} of interface {ifindex} of namespace {netns}")
            }
            HookKey::Netfilter { family, hook, priority } => {
                write!(f, "netfilter family {family} hook {hook} priority {priority}")
            }
            HookKey::Netns { netns, attach_type } => write!(f, "{attach_type} of namespace {netns}"),
            HookKey::Cgroup { id, attach_type } => write!(f, "{attach_type} of cgroup {id}"),
            HookKey::Sockmap { map: MapKey::Own(name), attach_type } => {
                write!(f, "{attach_type} of map {name}")
            }
            HookKey::Sockmap { map: MapKey::Id(id), attach_type } => write!(f, "{attach_type} of map {id}"),
            HookKey::Route { netns, destination } => write!(f, "route {destination} of namespace {netns}"),
            HookKey::StructOps { map } => write!(f, "struct_ops {map}"),
            HookKey::Traced { program, what } => write!(f, "{what} by {program}"),
            HookKey::Untold { name } => f.write_str(name),
        }
    }
}
