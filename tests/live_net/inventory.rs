//! One list of everything that is attached, whichever way it was made.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rawbpf::links::inventory::By;
use rawbpf::links::{
    Attachment, Cgroup, Direction, Hook, Inventory, Lifetime, NetNs, NetnsHook, PerfHook, Route, Scope,
    Share, Tc, TcHook, Via, XdpNetlink, inventory,
};
use rawbpf::sys::attr::{self, Fd, LinkCreate, LinkExtra, TargetFd};
use rawbpf::sys::{self, ProgLoadParts};
use rawbpf::uapi::{AttachType, LinkType, ProgType};
use rawbpf::{Link, Program, Target, Xdp, XdpMode};

use super::world::{attach, has_tcx, id, in_world, load, program, try_load};
use crate::gate::{
    CLS_BPF, LWT_BPF, NETFILTER, PERF_LINK, ROOT, SOCKMAP_QUERY, TCX, TRACEPOINT, VETH, require,
};
use crate::net::{Veth, in_namespace, mount_bpffs};

/// Those of a program, in the list of this namespace.
fn of(prog_id: u32) -> Vec<Attachment> {
    let all = inventory(&Scope::Here);
    assert!(all.problems.is_empty(), "{:?}", all.problems);
    all.attachments.into_iter().filter(|a| a.prog_id == prog_id).collect()
}

/// The only one of a program.
#[track_caller]
fn only(prog_id: u32) -> Attachment {
    let mut found = of(prog_id);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn is_link(a: &Attachment, link: &Link) -> bool {
    a.by.link_id() == Some(link.info().expect("a link tells").id)
}

fn xdp() -> Target {
    Target::Xdp(Xdp { interface: "near0".into(), mode: XdpMode::Generic })
}

#[test]
fn xdp_is_listed_by_link_and_by_netlink() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let loaded = load("packet_count.o", &[]);
        let counter = program(&loaded, "count_packets");
        let link = attach(counter, xdp());
        link.pin("/sys/fs/bpf/the_link").expect("it is pinned");
        counter.pin("/sys/fs/bpf/the_program").expect("it is pinned");
        let a = only(id(counter));
        assert!(is_link(&a, &link));
        assert_eq!((a.kind(), a.place.as_str(), a.detail.as_str()), ("xdp", "near0", "generic"));
        assert_eq!(a.hook, Hook::Xdp { ifindex: veth.near });
        assert_eq!(a.program.as_deref(), Some("count_packets"));
        assert_eq!(a.prog_type, Some(ProgType::Xdp));
        assert_eq!(a.pins, [Path::new("/sys/fs/bpf/the_link")]);
        assert_eq!(a.program_pins, [Path::new("/sys/fs/bpf/the_program")]);
        fs::remove_file("/sys/fs/bpf/the_link").expect("the pin is removed");
        fs::remove_file("/sys/fs/bpf/the_program").expect("the pin is removed");
        link.detach().expect("it is detached");
        // A kernel lets go of what a removed pin held a moment later.
        let until = Instant::now() + Duration::from_secs(20);
        while !of(id(counter)).is_empty() {
            assert!(Instant::now() < until, "{:?}", of(id(counter)));
            std::thread::sleep(Duration::from_millis(20));
        }

        let held = attach(counter, Target::XdpNetlink(XdpNetlink::new("near0", XdpMode::Native)));
        held.leak();
        let all = inventory(&Scope::Here);
        let a = all.attachments.iter().find(|a| a.prog_id == id(counter)).expect("it is listed");
        assert_eq!((&a.by, a.detail.as_str()), (&By::Netlink, "native"));
        let again = all.open(a).expect("it is opened");
        assert_eq!(again.lifetime(), Lifetime::Hook);
        again.detach().expect("it is ended by whoever finds it");
        assert!(of(id(counter)).is_empty());
        assert!(all.open(a).is_err_and(|e| e.errno == sys::Errno::ENOENT), "it is not there any more");
    });
}

#[test]
fn who_holds_a_link_is_named() {
    require!(ROOT);
    in_namespace(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        let loaded = load("packet_count.o", &[]);
        let counter = program(&loaded, "count_packets");
        let link = attach(counter, xdp());
        let a = only(id(counter));
        let own = std::process::id();
        let name = fs::read_to_string("/proc/self/comm").expect("procfs is mounted");
        assert!(a.holders.iter().any(|h| h.pid == own && h.name == name.trim_end()), "{:?}", a.holders);
        assert!(a.program_holders.iter().any(|h| h.pid == own), "{:?}", a.program_holders);
        drop(link);
    });
}

#[test]
fn tc_is_listed_in_the_order_in_which_programs_run() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        let loaded = load("tc_order.o", &[]);
        let [one, two] = ["one", "two"].map(|name| program(&loaded, name));
        let spot = Tc { hook: TcHook::Tcx, ..Tc::new("near0", Direction::Ingress) };
        let link = attach(one, Target::Tc(spot.clone()));
        let held = attach(two, Target::Tc(Tc { via: Via::Direct, ..spot }));
        let (first, second) = (only(id(one)), only(id(two)));
        assert!(is_link(&first, &link));
        assert_eq!((first.position, second.position), (Some(0), Some(1)));
        assert_eq!(
            (second.kind(), second.place.as_str(), &second.by),
            ("tcx", "near0 ingress", &By::ProgAttach)
        );
        held.leak();
        let all = inventory(&Scope::Here);
        assert_eq!(all.end_without_link(&[id(one), id(two)]).0, 1, "the link is not touched");
        assert!(of(id(two)).is_empty());
        drop(link);
    });
}

#[test]
fn filters_are_listed_and_ended() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let loaded = load("tc_count.o", &[]);
        let (into, out) = (program(&loaded, "count_in"), program(&loaded, "count_out"));
        let to = |direction| Target::Tc(Tc { hook: TcHook::Clsact, ..Tc::new("near0", direction) });
        require!(CLS_BPF, rawbpf::attach(into, &to(Direction::Ingress))).leak();
        attach(out, to(Direction::Egress)).leak();
        let a = only(id(into));
        assert_eq!((a.kind(), a.place.as_str()), ("tc", "near0 ingress"));
        match a.hook {
            Hook::Filter { ifindex, direct_action, .. } => {
                assert_eq!((ifindex, direct_action), (veth.near, true))
            }
            other => panic!("{other:?}"),
        }
        let all = inventory(&Scope::Here);
        let (ended, problems) = all.end_without_link(&[id(into), id(out)]);
        assert_eq!((ended, problems.len()), (2, 0), "{problems:?}");
        // The qdisc, made for them, went with the last: `in_world` looks.
    });
}

#[test]
fn a_route_is_listed_by_its_programs_name() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        let loaded = load("lwt.o", &["count_leaving"]);
        let route: Route = "10.9.0.0/16,dev=near0".parse().expect("a route");
        let leaving = program(&loaded, "count_leaving");
        let link = require!(LWT_BPF, rawbpf::attach(leaving, &Target::Route(route)));
        let all = inventory(&Scope::Here);
        let a = all.attachments.iter().find(|a| a.kind() == "route").expect("it is listed");
        assert_eq!((a.place.as_str(), a.program.as_deref()), ("10.9.0.0/16 out", Some("count_leaving")));
        drop(link);
    });
}

#[test]
fn programs_of_a_namespace_are_listed() {
    require!(ROOT);
    in_world(|| {
        let lookup = load("sk_lookup.o", &[]);
        let dissector = load("flow_dissector.o", &[]);
        let (to_server, dissect) = (program(&lookup, "to_server"), program(&dissector, "dissect"));
        let link = attach(to_server, Target::Netns(NetnsHook::default()));
        let held = attach(dissect, Target::Netns(NetnsHook { netns: NetNs::Current, via: Via::Direct }));
        let (a, b) = (only(id(to_server)), only(id(dissect)));
        assert!(is_link(&a, &link));
        assert_eq!((a.kind(), b.kind(), &b.by), ("sk_lookup", "flow_dissector", &By::ProgAttach));
        assert_eq!(b.place, "network namespace here");
        held.leak();
        let all = inventory(&Scope::Here);
        assert_eq!(all.end_without_link(&[id(dissect)]).0, 1);
        assert!(of(id(dissect)).is_empty());
        drop(link);
    });
}

#[test]
fn programs_of_maps_are_listed() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("sockmap.o", &["on_send"]);
        let on_send = program(&loaded, "on_send");
        let map = loaded.map("sockets_map").expect("it is in the object");
        let map_id = map.info().id;
        let target = rawbpf::links::Sockmap {
            via: Via::Direct,
            ..rawbpf::links::Sockmap::new(rawbpf::links::MapRef::Id(map_id))
        };
        let held = attach(on_send, Target::Sockmap(target));
        held.leak();
        let fd = std::os::fd::AsFd::as_fd(map);
        if sys::prog_query(TargetFd::of(&fd), AttachType::SkMsgVerdict, 0).is_ok() {
            let a = only(id(on_send));
            assert_eq!((a.kind(), &a.by), ("sockmap", &By::ProgAttach));
            assert_eq!(a.hook, Hook::Sockmap { map_id, attach_type: AttachType::SkMsgVerdict });
        }
        // Also where the map does not tell.
        let (ended, problems) = inventory(&Scope::Here).end_without_link(&[id(on_send)]);
        assert_eq!((ended, problems.len()), (1, 0), "{problems:?}");
        require!(SOCKMAP_QUERY, sys::prog_query(TargetFd::of(&fd), AttachType::SkMsgVerdict, 0));
        assert!(of(id(on_send)).is_empty());
    });
}

#[test]
fn programs_of_cgroups_are_listed() {
    require!(ROOT);
    in_world(|| {
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let path = mount.join(format!("rawbpf-inventory-{}", std::process::id()));
        fs::create_dir(&path).expect("a cgroup is made");
        let loaded = load("cgroup_net.o", &["no_port_9", "see_in"]);
        let (egress, ingress) = (program(&loaded, "no_port_9"), program(&loaded, "see_in"));
        let link = attach(egress, Target::Cgroup(Cgroup::new(&path)));
        let direct = Cgroup { via: Via::Direct, share: Share::Override, ..Cgroup::new(&path) };
        attach(ingress, Target::Cgroup(direct)).leak();
        let (a, b) = (only(id(egress)), only(id(ingress)));
        assert!(is_link(&a, &link));
        assert_eq!(
            (a.kind(), a.cgroup.as_deref(), a.share),
            ("cgroup", Some(path.as_path()), Some(Share::Multi))
        );
        assert_eq!((&b.by, b.share, b.position), (&By::ProgAttach, Some(Share::Override), Some(0)));
        let all = inventory(&Scope::Here);
        assert_eq!(all.end_without_link(&[id(ingress)]).0, 1);
        drop(link);
        fs::remove_dir(&path).expect("the cgroup is removed");
    });
}

#[test]
fn netfilter_links_are_listed() {
    require!(ROOT);
    in_world(|| {
        let loaded = require!(NETFILTER, try_load("netfilter.o", &[]));
        let gate = program(&loaded, "gate");
        let link = attach(gate, Target::Netfilter("ipv4:output:77".parse().expect("a hook")));
        let a = only(id(gate));
        assert!(is_link(&a, &link));
        assert_eq!(
            (a.kind(), a.place.as_str(), a.detail.as_str()),
            ("netfilter", "ipv4 output", "priority 77")
        );
        drop(link);
    });
}

/// A perf event of the tracepoint sched:sched_switch, on the first CPU.
fn perf_event() -> io::Result<OwnedFd> {
    let id = fs::read_to_string("/sys/kernel/tracing/events/sched/sched_switch/id")?;
    let id: u64 = id.trim().parse().map_err(io::Error::other)?;
    // struct perf_event_attr: type PERF_TYPE_TRACEPOINT, size, config; sample_period at byte 16.
    let mut attr = [0u8; 128];
    attr[0..4].copy_from_slice(&2u32.to_ne_bytes());
    attr[4..8].copy_from_slice(&64u32.to_ne_bytes());
    attr[8..16].copy_from_slice(&id.to_ne_bytes());
    attr[16..24].copy_from_slice(&1u64.to_ne_bytes());
    // SAFETY: the struct is as long as it says; the call returns a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attr.as_ptr(), -1, 0, -1, 8) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `r0 = 0; exit`
fn tracepoint_program() -> Program {
    let insns = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let head = attr::ProgLoad { prog_type: ProgType::Tracepoint, ..Default::default() };
    let parts = ProgLoadParts { insns: &insns, license: Some(c"GPL"), ..Default::default() };
    Program::from_fd(sys::prog_load(head, parts, &mut []).fd.expect("it loads")).expect("it is a program")
}

#[test]
fn a_perf_event_is_listed_with_its_process() {
    require!(ROOT);
    // With the descriptors of the process, not of a thread: others look for them in /proc/PID/fd.
    let event = require!(TRACEPOINT, perf_event());
    let program = tracepoint_program();
    /// `PERF_EVENT_IOC_SET_BPF`
    const SET_BPF: libc::c_ulong = 0x4004_2408;
    // SAFETY: the argument is a descriptor.
    let done =
        unsafe { libc::ioctl(event.as_raw_fd(), SET_BPF, std::os::fd::AsFd::as_fd(&program).as_raw_fd()) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    let a = only(id(&program));
    assert_eq!((a.kind(), a.place.as_str()), ("tracepoint", "sched_switch"));
    assert_eq!(a.by, By::PerfEvent { pid: std::process::id(), fd: event.as_raw_fd() as u32 });
    let all = inventory(&Scope::Here);
    assert!(all.open(&a).is_err_and(|e| e.errno == sys::Errno::EOPNOTSUPP), "it is its process's");
    drop(event);
    assert!(of(id(&program)).is_empty());
}

#[test]
fn a_link_of_a_perf_event_is_listed_once() {
    require!(ROOT);
    let event = require!(TRACEPOINT, perf_event());
    let program = tracepoint_program();
    let made = sys::link_create(&LinkCreate {
        prog_fd: Fd::of(&program),
        target_fd: TargetFd::of(&event),
        attach_type: AttachType::PerfEvent,
        extra: LinkExtra::perf_event(7),
        ..Default::default()
    });
    let link = require!(PERF_LINK, made);
    let a = only(id(&program));
    assert!(matches!(a.by, By::Link { link_type: LinkType::PerfEvent, .. }), "{:?}", a.by);
    // Before 6.6 the link does not tell; the event that this process has open does.
    match &a.hook {
        Hook::PerfEvent(PerfHook::Tracepoint { name, .. }) => assert_eq!(name, "sched_switch"),
        other => panic!("{other:?}"),
    }
    assert_eq!((a.kind(), a.place.as_str()), ("tracepoint", "sched_switch"));
    drop((link, event));
}

#[test]
fn other_namespaces_are_visited() {
    require!(ROOT);
    in_namespace(|| {
        let loaded = load("packet_count.o", &[]);
        let counter = program(&loaded, "count_packets");
        let file = in_namespace(|| File::open("/proc/thread-self/ns/net").expect("a namespace"));
        let there =
            NetNs::Path(format!("/proc/self/task/{}/fd/{}", nix::unistd::gettid(), file.as_raw_fd()).into());
        let open = there.open().expect("it opens");
        let on_lo = Target::Xdp(Xdp { interface: "lo".into(), mode: XdpMode::Generic });
        let link = open.enter(|| attach(counter, on_lo)).expect("it is entered");
        let found = |all: &Inventory| {
            let mut found = all.attachments.iter().filter(|a| a.prog_id == id(counter)).cloned();
            found.next().expect("it is listed")
        };
        // From here it is in another namespace, and the kernel does not say which.
        let a = found(&inventory(&Scope::Here));
        assert_eq!(
            (a.netns, a.place.as_str()),
            (None, "interface 1 of a network namespace that was not looked at")
        );
        let all = inventory(&Scope::Of(vec![there.clone()]));
        let a = found(&all);
        assert_eq!((a.netns, a.place.as_str()), (Some(open.inode()), "lo"));
        assert_eq!(all.namespaces.len(), 1);
        drop(link);
        // Without a link, it is ended from anywhere.
        let direct = Target::XdpNetlink(XdpNetlink::new("lo", XdpMode::Generic));
        open.enter(|| attach(counter, direct).leak()).expect("it is entered");
        let all = inventory(&Scope::Of(vec![there]));
        assert_eq!(all.end_without_link(&[id(counter)]).0, 1);
        let seen =
            open.enter(rawbpf::links::interfaces).expect("it is entered").expect("interfaces are listed");
        assert!(seen[0].xdp.is_empty());
        drop(file);
    });
}

#[test]
fn every_namespace_with_a_process_or_a_file_is_found() {
    require!(ROOT);
    in_world(|| {
        // This thread is alone in its namespace.
        let loaded = load("packet_count.o", &[]);
        let counter = program(&loaded, "count_packets");
        let link = attach(counter, Target::Xdp(Xdp { interface: "lo".into(), mode: XdpMode::Generic }));
        let all = std::thread::scope(|scope| {
            let elsewhere = scope.spawn(|| {
                let home = NetNs::Path("/proc/self/ns/net".into()).open().expect("the process has one");
                home.join().expect("it is entered");
                inventory(&Scope::Everywhere)
            });
            elsewhere.join().expect("it ends well")
        });
        let a = all.attachments.iter().find(|a| a.prog_id == id(counter)).expect("it is listed");
        assert_eq!(a.place, "lo");
        let own = NetNs::Current.open().expect("it opens").inode();
        assert_eq!(a.netns, Some(own));
        drop(link);
    });
}
