//! What the kernel tells about a link: which program, and where it is attached.
//!
//! Every link type has a shape of its own in `struct bpf_link_info`; [`Hook`] has one variant for each. An older
//! kernel may know a link type without telling about it (perf events before 6.6, say); its fields are then empty, and
//! never made up.

use crate::sys::info::RawLinkInfo;
use crate::sys::{self, Errno, LinkFd, LinkTargets, ObjectKind, SysError};
use crate::uapi::{AttachType, LinkType};

/// What the kernel keeps about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its id, unique while it lives.
    pub id: u32,
    /// What kind of attachment it is.
    pub link_type: LinkType,
    /// The program behind it; 0 for struct_ops, which has a map.
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
        /// The interface, in a network namespace that the kernel does not tell.
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
    /// The sockets of a sockmap or sockhash.
    Sockmap {
        /// The map.
        map_id: u32,
        /// The hook.
        attach_type: AttachType,
    },
    /// A netfilter hook.
    Netfilter {
        /// Protocol family: 2 IPv4, 10 IPv6.
        pf: u32,
        /// Hook number: 0 prerouting to 4 postrouting.
        hook: u32,
        /// Priority; the lowest runs first.
        priority: i32,
        /// `BPF_F_NETFILTER_IP_DEFRAG` is 1.
        flags: u32,
    },
    /// A kernel function or type, by BTF.
    Tracing {
        /// fentry, fexit, LSM ...
        attach_type: AttachType,
        /// Id of the BTF object, or of the program for freplace.
        target_obj_id: u32,
        /// Type id in it.
        target_btf_id: u32,
        /// Value that the program gets. Told since Linux 6.17.
        cookie: u64,
    },
    /// Several kernel functions, by BTF.
    TracingMulti {
        /// fentry, fexit or fsession.
        attach_type: AttachType,
        /// Id of the BTF object.
        target_obj_id: u32,
        /// Type ids in it.
        targets: LinkTargets,
    },
    /// A raw tracepoint.
    RawTracepoint {
        /// Its name.
        name: String,
        /// Value that the program gets. Told since Linux 6.17.
        cookie: u64,
    },
    /// An iterator.
    Iter {
        /// What it iterates over.
        name: String,
        /// Which of them.
        over: IterOver,
    },
    /// A kprobe, uprobe, tracepoint or counter. Told since Linux 6.6.
    PerfEvent(PerfHook),
    /// Several kernel functions.
    KprobeMulti {
        /// At the return of each.
        is_return: bool,
        /// How many.
        count: u32,
        /// Hits that did not run the program.
        missed: u64,
        /// Addresses and cookies.
        targets: LinkTargets,
    },
    /// Several places of an executable.
    UprobeMulti {
        /// At the return of each.
        is_return: bool,
        /// The file.
        path: String,
        /// Only this process; 0 for all.
        pid: u32,
        /// How many.
        count: u32,
        /// Offsets, reference counters and cookies.
        targets: LinkTargets,
    },
    /// A struct_ops map.
    StructOps {
        /// The map.
        map_id: u32,
    },
    /// A classic tc filter. Never a link's.
    Filter {
        /// The interface.
        ifindex: u32,
        /// What it hangs on: the clsact qdisc's ingress (`0xfffffff2`) or egress (`0xfffffff3`), another qdisc, a class.
        parent: u32,
        /// The lowest runs first.
        priority: u16,
        /// Which of that priority.
        handle: u32,
        /// The program's return value is the verdict.
        direct_action: bool,
    },
    /// A route through programs. Never a link's.
    Route {
        /// Destination and way: `10.9.0.0/16 xmit`.
        destination: String,
    },
    /// Something else; the link type says what.
    Other,
}

/// Which of its objects an iterator visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IterOver {
    /// All.
    All,
    /// The elements of one map.
    Map(u32),
    /// The cgroups of a subtree, by the id of its top; 0 is the root.
    Cgroup {
        /// Id (inode number).
        id: u64,
        /// `enum bpf_cgroup_iter_order`.
        order: u32,
    },
    /// One task or process; 0 is all.
    Task {
        /// Thread.
        tid: u32,
        /// Process.
        pid: u32,
    },
}

/// What a program behind a perf event runs at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PerfHook {
    /// A kernel function.
    Kprobe {
        /// At its return.
        is_return: bool,
        /// Its name; empty for a probe at an address.
        function: String,
        /// Bytes from its start.
        offset: u32,
        /// Its address, 0 for callers that may not see it.
        address: u64,
        /// Hits that did not run the program. Told since Linux 6.7.
        missed: u64,
        /// Value that the program gets. Told since Linux 6.9.
        cookie: u64,
    },
    /// A place in an executable.
    Uprobe {
        /// At the function's return.
        is_return: bool,
        /// The file.
        path: String,
        /// Bytes from its start.
        offset: u32,
        /// Value that the program gets. Told since Linux 6.9.
        cookie: u64,
        /// Offset of the reference counter, 0 for none. Told since Linux 6.17.
        ref_ctr_offset: u64,
    },
    /// A tracepoint.
    Tracepoint {
        /// Its name, without its category.
        name: String,
        /// Value that the program gets. Told since Linux 6.9.
        cookie: u64,
    },
    /// A counter.
    Event {
        /// `PERF_TYPE_*`.
        kind: u32,
        /// Which of that type.
        config: u64,
        /// Value that the program gets. Told since Linux 6.9.
        cookie: u64,
    },
    /// The kernel does not tell.
    Unknown,
}

impl LinkInfo {
    /// Asks about an open link.
    pub fn of(fd: &LinkFd) -> Result<LinkInfo, SysError> {
        let raw = sys::link_info(fd)?;
        let hook = hook(fd, &raw)?;
        Ok(LinkInfo { id: raw.id, link_type: raw.link_type, prog_id: raw.prog_id, hook })
    }
}

/// Reads the part of the info that depends on the link type.
fn hook(fd: &LinkFd, raw: &RawLinkInfo) -> Result<Hook, SysError> {
    Ok(match raw.link_type {
        LinkType::Xdp => Hook::Xdp { ifindex: raw.u32_at(0) },
        LinkType::Tcx => Hook::Tcx { ifindex: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Netkit => Hook::Netkit { ifindex: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Cgroup => Hook::Cgroup { cgroup_id: raw.u64_at(0), attach_type: raw.attach_type_at(2) },
        LinkType::Netns => Hook::Netns { inode: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Sockmap => Hook::Sockmap { map_id: raw.u32_at(0), attach_type: raw.attach_type_at(1) },
        LinkType::Netfilter => Hook::Netfilter {
            pf: raw.u32_at(0),
            hook: raw.u32_at(1),
            priority: raw.u32_at(2) as i32,
            flags: raw.u32_at(3),
        },
        LinkType::Tracing => Hook::Tracing {
            attach_type: raw.attach_type_at(0),
            target_obj_id: raw.u32_at(1),
            target_btf_id: raw.u32_at(2),
            cookie: raw.u64_at(2),
        },
        LinkType::TracingMulti => tracing_multi(fd)?,
        LinkType::RawTracepoint => {
            let (raw, name) = sys::link_info_with_name(fd)?;
            Hook::RawTracepoint { name, cookie: raw.u64_at(2) }
        }
        LinkType::Iter => iter(fd)?,
        LinkType::PerfEvent => Hook::PerfEvent(perf_event(fd, raw)?),
        LinkType::KprobeMulti => kprobe_multi(fd)?,
        LinkType::UprobeMulti => uprobe_multi(fd)?,
        LinkType::StructOps => Hook::StructOps { map_id: raw.u32_at(0) },
        _ => Hook::Other,
    })
}

fn iter(fd: &LinkFd) -> Result<Hook, SysError> {
    let (raw, name) = sys::link_info_with_name(fd)?;
    // Which member of the union is set goes by the name alone.
    let over = match name.as_str() {
        "bpf_map_elem" | "bpf_sk_storage_map" | "sockmap" => IterOver::Map(raw.u32_at(3)),
        "cgroup" => IterOver::Cgroup { id: raw.u64_at(2), order: raw.u32_at(6) },
        "task" | "task_file" | "task_vma" => IterOver::Task { tid: raw.u32_at(4), pid: raw.u32_at(5) },
        _ => IterOver::All,
    };
    Ok(Hook::Iter { name, over })
}

fn perf_event(fd: &LinkFd, head: &RawLinkInfo) -> Result<PerfHook, SysError> {
    // `enum bpf_perf_event_type`
    const UPROBE: u32 = 1;
    const URETPROBE: u32 = 2;
    const KPROBE: u32 = 3;
    const KRETPROBE: u32 = 4;
    const TRACEPOINT: u32 = 5;
    const EVENT: u32 = 6;
    let kind = head.u32_at(0);
    if kind == 0 {
        return Ok(PerfHook::Unknown);
    }
    let (raw, name) = sys::link_info_with_name(fd)?;
    Ok(match kind {
        UPROBE | URETPROBE => PerfHook::Uprobe {
            is_return: kind == URETPROBE,
            path: name,
            offset: raw.u32_at(5),
            cookie: raw.u64_at(3),
            ref_ctr_offset: raw.u64_at(4),
        },
        KPROBE | KRETPROBE => PerfHook::Kprobe {
            is_return: kind == KRETPROBE,
            function: name,
            offset: raw.u32_at(5),
            address: raw.u64_at(3),
            missed: raw.u64_at(4),
            cookie: raw.u64_at(5),
        },
        TRACEPOINT => PerfHook::Tracepoint { name, cookie: raw.u64_at(3) },
        EVENT => PerfHook::Event { config: head.u64_at(1), kind: head.u32_at(4), cookie: head.u64_at(3) },
        _ => PerfHook::Unknown,
    })
}

fn kprobe_multi(fd: &LinkFd) -> Result<Hook, SysError> {
    /// `BPF_F_KPROBE_MULTI_RETURN`
    const RETURN: u32 = 1;
    let (raw, targets) = sys::kprobe_multi_targets(fd)?;
    let is_return = raw.u32_at(3) & RETURN != 0;
    Ok(Hook::KprobeMulti { is_return, count: raw.u32_at(2), missed: raw.u64_at(2), targets })
}

fn uprobe_multi(fd: &LinkFd) -> Result<Hook, SysError> {
    /// `BPF_F_UPROBE_MULTI_RETURN`
    const RETURN: u32 = 1;
    let (raw, path, targets) = sys::uprobe_multi_targets(fd)?;
    let is_return = raw.u32_at(10) & RETURN != 0;
    Ok(Hook::UprobeMulti { is_return, path, pid: raw.u32_at(11), count: raw.u32_at(9), targets })
}

fn tracing_multi(fd: &LinkFd) -> Result<Hook, SysError> {
    let (raw, targets) = sys::tracing_multi_targets(fd)?;
    Ok(Hook::TracingMulti { attach_type: raw.attach_type_at(0), target_obj_id: raw.u32_at(2), targets })
}

/// All links of the machine, by id. Needs `CAP_SYS_ADMIN`; Linux 5.8. One that goes away meanwhile is left
/// out, and so is one that the kernel will not tell about. Empty on kernels without link ids.
pub fn list() -> Result<Vec<LinkInfo>, SysError> {
    Ok(list_each()?.into_iter().filter_map(|(_, info)| info.ok()).collect())
}

/// A link's id, and what the kernel tells of it, or why not.
pub(crate) type Listed = (u32, Result<LinkInfo, SysError>);

/// All links of the machine.
pub(crate) fn list_each() -> Result<Vec<Listed>, SysError> {
    let mut out = Vec::new();
    let mut id = 0;
    loop {
        match sys::next_id(ObjectKind::Link, id) {
            Ok(Some(next)) => id = next,
            Ok(None) => return Ok(out),
            Err(e) if e.errno == Errno::EINVAL => return Ok(out),
            Err(e) => return Err(e),
        }
        match LinkFd::by_id(id) {
            // Gone again, or just being made: its id is taken before it is attached.
            Err(e) if [Errno::ENOENT, Errno::EAGAIN].contains(&e.errno) => {}
            Err(e) => out.push((id, Err(e))),
            Ok(fd) => out.push((id, LinkInfo::of(&fd))),
        }
    }
}
