//! Attaching and detaching many times, in all ways that this kernel has: nothing may pile up.
//!
//! Six hundred times where all tests run; `RAWBPF_CYCLES=10000` runs as many as one wants, and then watches the memory
//! too: it takes some thousands until a leak stands out from what an allocator keeps.

use std::fs;
use std::time::{Duration, Instant};

use rawbpf::links::{
    Cgroup, Direction, MapRef, Netfilter, NetnsHook, Route, Share, Sockmap, Tc, TcHook, Via, XdpNetlink,
};
use rawbpf::{Program, Target, Xdp, XdpMode};

use super::world::{descriptors, id, in_world, load, program, try_load};
use crate::gate::{ROOT, VETH, require};
use crate::net::Veth;

/// The links of these programs. Old kernels take a moment to end one after its last descriptor is closed.
fn links_of(programs: &[u32]) -> usize {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let all = rawbpf::links::list().expect("root may list the links");
        let ours = all.iter().filter(|l| programs.contains(&l.prog_id)).count();
        if ours == 0 || Instant::now() > until {
            return ours;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kilobytes of this process's memory.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("procfs is mounted");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("it says how much");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn attaching_again_and_again_leaks_nothing() {
    require!(ROOT);
    let cycles =
        std::env::var("RAWBPF_CYCLES").map(|n| n.parse::<usize>().expect("RAWBPF_CYCLES is a number"));
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let group = mount.join(format!("rawbpf-leaks-{}", std::process::id()));
        fs::create_dir(&group).expect("a cgroup is made");
        let xdp = load("packet_count.o", &[]);
        let tc = load("tc_order.o", &["one"]);
        let cgroup = load("cgroup_net.o", &["see_in"]);
        let sockmap = load("sockmap.o", &["on_send"]);
        let dissector = load("flow_dissector.o", &[]);
        let lwt = load("lwt.o", &["count_leaving"]);
        let netfilter = try_load("netfilter.o", &[]);
        let sockets = sockmap.map("sockets_map").expect("a map").info().id;
        let one = program(&tc, "one");
        let tc_by = |hook, via| Target::Tc(Tc { hook, via, ..Tc::new("near0", Direction::Ingress) });
        let group_by = |via, share| Target::Cgroup(Cgroup { via, share, ..Cgroup::new(&group) });
        let sockets_by = |via| Target::Sockmap(Sockmap { via, ..Sockmap::new(MapRef::Id(sockets)) });
        let mut ways: Vec<(&Program, Target)> = vec![
            (
                program(&xdp, "count_packets"),
                Target::Xdp(Xdp { interface: "near0".into(), mode: XdpMode::Generic }),
            ),
            (program(&xdp, "count_packets"), Target::XdpNetlink(XdpNetlink::new("near0", XdpMode::Generic))),
            (one, tc_by(TcHook::Tcx, Via::Link)),
            (one, tc_by(TcHook::Tcx, Via::Direct)),
            (one, tc_by(TcHook::Clsact, Via::Auto)),
            (program(&cgroup, "see_in"), group_by(Via::Link, Share::Multi)),
            (program(&cgroup, "see_in"), group_by(Via::Direct, Share::Multi)),
            (program(&cgroup, "see_in"), group_by(Via::Direct, Share::Override)),
            (program(&sockmap, "on_send"), sockets_by(Via::Link)),
            (program(&sockmap, "on_send"), sockets_by(Via::Direct)),
            (program(&dissector, "dissect"), Target::Netns(NetnsHook::default())),
            (
                program(&dissector, "dissect"),
                Target::Netns(NetnsHook { via: Via::Direct, ..NetnsHook::default() }),
            ),
            (
                program(&lwt, "count_leaving"),
                Target::Route("10.9.0.0/16,dev=near0".parse::<Route>().expect("a route")),
            ),
        ];
        if let Ok(loaded) = &netfilter {
            let spot = "ipv4:input:5".parse::<Netfilter>().expect("a hook");
            ways.push((program(loaded, "gate"), Target::Netfilter(spot)));
        }
        // Those that this kernel lacks are left out; the others share the cycles.
        ways.retain(|(program, target)| rawbpf::attach(program, target).is_ok());
        assert!(ways.len() >= 6, "{ways:?}");
        let rounds = cycles.clone().unwrap_or(600).div_ceil(ways.len());
        let before = (descriptors(), memory());
        for _ in 0..rounds {
            for (program, target) in &ways {
                drop(rawbpf::attach(program, target).expect("it attaches again"));
            }
        }
        assert_eq!(descriptors(), before.0);
        let grown = memory().saturating_sub(before.1);
        assert!(cycles.is_err() || grown < 4096, "{grown} kB more than before");
        let programs: Vec<u32> = ways.iter().map(|(program, _)| id(program)).collect();
        assert_eq!(links_of(&programs), 0, "links pile up");
        fs::remove_dir(&group).expect("the cgroup is removed");
        eprintln!("{rounds} rounds of {} ways: {grown} kB more than before", ways.len());
    });
}
