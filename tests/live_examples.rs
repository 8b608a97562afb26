//! The programs of examples/, by what they compute. Each example is a module here, so that what runs is what a reader
//! sees.

use std::net::Ipv6Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use rawbpf::elf::Object;
use rawbpf::insn::prelude::*;
use rawbpf::sys::TestRun;
use rawbpf::{Kernel, Loaded, Options, Program, Target, Xdp, XdpMode};

use crate::gate::{BPF_LOOP, HOST, ROOT, TRACEFS, VETH, require};
use crate::net::{Veth, in_namespace, stay_on, up};

#[allow(dead_code, reason = "its main")]
#[path = "../examples/bpf_loop.rs"]
mod bpf_loop;
#[allow(dead_code, reason = "its main")]
#[path = "../examples/exec_events.rs"]
mod exec_events;
#[allow(dead_code, reason = "its main")]
#[path = "../examples/packet_counter.rs"]
pub(crate) mod packet_counter;
#[allow(dead_code, reason = "its main")]
#[path = "../examples/socket_filter.rs"]
mod socket_filter;
#[allow(dead_code, reason = "its main")]
#[path = "../examples/source_hash.rs"]
mod source_hash;
#[allow(dead_code, reason = "its main")]
#[path = "../examples/tail_call.rs"]
mod tail_call;

/// Every example's object.
fn all() -> [(&'static str, Object); 6] {
    [
        ("packet_counter", packet_counter::program().expect("packet_counter")),
        ("socket_filter", socket_filter::program().expect("socket_filter")),
        ("source_hash", source_hash::program().expect("source_hash")),
        ("exec_events", exec_events::program().expect("exec_events")),
        ("tail_call", tail_call::program().expect("tail_call")),
        ("bpf_loop", bpf_loop::program().expect("bpf_loop")),
    ]
}

fn load(object: &Object) -> Loaded {
    object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it loads")
}

/// What a program returns for a packet.
fn verdict(program: &Program, packet: &[u8]) -> i32 {
    let run = TestRun { data: packet.to_vec(), ..TestRun::default() };
    program.test_run(&run).expect("it runs").retval as i32
}

#[test]
fn a_socket_filter_drops_and_cuts() {
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        // Datagrams that one CPU sends arrive in their order; two would race.
        stay_on(nix::sched::sched_getcpu().expect("the kernel says"));
        // One may be lost, be it the last, for which the ear waits in vain; but not one each time.
        let sent = ["short", "# dropped", "cut to eight", "", "#", "a # b"];
        let heard =
            (0..5).map(|_| socket_filter::heard(&sent)).find(|h| h.as_ref().is_ok_and(|h| h.len() >= 3));
        let heard = heard.expect("they arrive").expect("it was just looked at");
        assert_eq!(heard, ["short", "cut to e", "a # b"]);
    });
}

/// An Ethernet frame: IPv4 with the source 192.0.2.`last`, or IPv6 with 2001:db8::`last`.
fn frame(ipv6: bool, last: u8) -> Vec<u8> {
    let (proto, header, source) = match ipv6 {
        false => (ETH_P_IP, ipv4::BYTES, vec![192, 0, 2, last]),
        true => (ETH_P_IPV6, ipv6::BYTES, address(true, last).octets().to_vec()),
    };
    let mut bytes = vec![0; (eth::BYTES + header) as usize];
    bytes[12..14].copy_from_slice(&(proto as u16).to_be_bytes());
    let at = 14 + if ipv6 { ipv6::SADDR } else { ipv4::SADDR.off } as usize;
    bytes[at..at + source.len()].copy_from_slice(&source);
    bytes
}

fn address(ipv6: bool, last: u8) -> Ipv6Addr {
    match ipv6 {
        false => std::net::Ipv4Addr::new(192, 0, 2, last).to_ipv6_mapped(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()),
    }
}

#[test]
fn a_hash_of_sources_counts_both_families_and_reads_no_byte_too_many() {
    require!(ROOT);
    let (program, map) = source_hash::load().expect("it loads");
    for (ipv6, last, times) in [(false, 1, 3), (true, 1, 2), (false, 2, 1)] {
        for _ in 0..times {
            assert_eq!(verdict(&program, &frame(ipv6, last)), XDP_PASS);
        }
    }
    // Every shorter packet passes uncounted, whatever its EtherType promises.
    for whole in [frame(false, 7), frame(true, 7)] {
        for len in 14..whole.len() {
            assert_eq!(verdict(&program, &whole[..len]), XDP_PASS);
        }
    }
    verdict(&program, &[0; 60]);
    let counted = source_hash::sources(&map).expect("the map is read");
    assert_eq!(counted, [(address(false, 1), 3), (address(true, 1), 2), (address(false, 2), 1)]);
}

#[test]
fn a_hash_of_sources_counts_what_arrives() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let (program, map) = source_hash::load().expect("it loads");
        let target = Target::Xdp(Xdp { interface: "near0".into(), mode: XdpMode::Auto });
        let _link = rawbpf::attach(&program, &target).expect("it attaches");
        for last in [1, 2, 1] {
            veth.send_frame(&frame(false, last));
            veth.send_frame(&frame(true, last));
        }
        let counted = || source_hash::sources(&map).expect("the map is read");
        let since = Instant::now();
        while counted().iter().map(|(_, n)| n).sum::<u64>() < 6 && since.elapsed() < Duration::from_secs(10) {
            std::thread::yield_now();
        }
        let both = |last, n| [(address(false, last), n), (address(true, last), n)];
        assert_eq!(counted(), [both(1, 2), both(2, 1)].concat());
    });
}

#[test]
fn a_tracepoint_tells_of_a_command_by_a_ring_buffer() {
    require!(ROOT);
    let (_link, mut events) = require!(TRACEFS, exec_events::start());
    let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
        .arg("--version")
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    child.wait().expect("it ends");
    // Other commands of this machine may start, too.
    let found = std::iter::repeat_with(|| exec_events::next(&mut events).expect("an event"))
        .find(|event| event.pid == child.id());
    assert_eq!(found.expect("it goes on for ever").comm, "rawbpf");
}

#[test]
fn a_tail_call_leads_to_the_program_of_the_protocol() {
    require!(ROOT);
    let loaded = load(&tail_call::program().expect("an object"));
    let dispatch = loaded.program("dispatch").expect("it is there");
    let udp_to = |port: u8| tail_call::packet(IPPROTO_UDP, &[0x80, 0, 0, port, 0, 8, 0, 0]);
    for (packet, want) in [
        (tail_call::packet(IPPROTO_ICMP, &[8, 0, 0, 0]), XDP_TX),
        (udp_to(53), XDP_DROP),
        (udp_to(80), XDP_PASS),
        (tail_call::packet(IPPROTO_UDP, &[0x80, 0]), XDP_PASS),
        (tail_call::packet(IPPROTO_TCP, &[0; 20]), XDP_PASS),
        (vec![0; 60], XDP_PASS),
    ] {
        assert_eq!(verdict(dispatch, &packet), want, "{packet:?}");
    }
    // The programs can be exchanged while they run.
    let programs = loaded.map("by_protocol").expect("it is there");
    programs.delete(&IPPROTO_UDP.to_ne_bytes()).expect("it is taken out");
    assert_eq!(verdict(dispatch, &udp_to(53)), XDP_PASS);
}

#[test]
fn a_callback_loops_until_it_says_so() {
    require!(ROOT);
    for (number, steps) in [(2, 1), (6, 8), (27, 111), (837_799, 524)] {
        let got = require!(BPF_LOOP, bpf_loop::steps(number));
        assert_eq!(got, steps, "{number}");
    }
}

/// The objects as files, read again, are the same; and libbpf takes them.
#[test]
fn the_examples_as_files() {
    require!(ROOT);
    for (name, object) in all() {
        let bytes = object.to_elf().expect(name);
        let again = Object::parse(name, &bytes).expect(name);
        for (a, b) in object.programs.iter().zip(&again.programs) {
            assert_eq!((&a.func.insns, &a.func.relocs), (&b.func.insns, &b.func.relocs), "{name}");
        }
        assert_eq!(object.functions.len(), again.functions.len(), "{name}");
    }
}

#[test]
fn bpftool_loads_the_examples() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        crate::net::mount_bpffs();
        let dir = tempfile::tempdir().expect("a directory");
        for (name, object) in all() {
            let file = dir.path().join(format!("{name}.o"));
            std::fs::write(&file, object.to_elf().expect(name)).expect("it is written");
            let out = Command::new("bpftool")
                .args(["prog", "loadall"])
                .arg(&file)
                .arg(format!("/sys/fs/bpf/{name}"))
                .output()
                .expect("bpftool is installed: make deps");
            assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        }
    });
}
