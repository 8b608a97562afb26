//! `xdp_drop`: a ping stops and works again; every packet is counted; what `--bench` prints.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use rawbpf::sys::netlink::{ACK, Message, Netlink};

use super::{Tool, fails, from, nothing_is_left, run};
use crate::gate::{LITTLE_ENDIAN, ROOT, VETH, require};
use crate::net::{Veth, in_namespace, up};

/// A veth pair whose far end is in a network namespace of its own, both with addresses: a wire to ping through.
struct Wire {
    far: JoinHandle<()>,
    over: Sender<()>,
}

impl Wire {
    const FAR: &str = "192.0.2.2";

    fn new(veth: &Veth) -> Wire {
        const RTM_NEWLINK: u16 = 16;
        const IFLA_NET_NS_FD: u16 = 28;
        let (send, receive) = channel();
        let (moved, wait) = channel::<()>();
        let (over, until_over) = channel::<()>();
        let far_index = veth.far;
        let (ready, is_ready) = channel::<()>();
        let far = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("root may do that");
            send.send(fs::File::open("/proc/thread-self/ns/net").expect("procfs")).expect("it waits");
            wait.recv().expect("it is moved");
            configure(far_index, [192, 0, 2, 2]);
            ready.send(()).expect("it waits");
            let _ = until_over.recv();
        });
        let netns = receive.recv().expect("a namespace");
        let fd = netns.as_raw_fd();
        let info = [0, far_index, 0, 0].map(u32::to_ne_bytes).concat();
        let message = Message::new(RTM_NEWLINK, ACK, &info).attr(IFLA_NET_NS_FD, &fd.to_ne_bytes());
        Netlink::route().expect("a socket").request(message).expect("it is moved");
        configure(veth.near, [192, 0, 2, 1]);
        moved.send(()).expect("it waits");
        is_ready.recv().expect("it is up");
        Wire { far, over }
    }

    fn end(self) {
        drop(self.over);
        self.far.join().expect("it ends well");
    }
}

/// Brings an interface of this thread's namespace up, with an IPv4 address.
fn configure(index: u32, address: [u8; 4]) {
    const RTM_NEWADDR: u16 = 20;
    up(index).expect("it comes up");
    let head = [[2, 24, 0, 0], index.to_ne_bytes()].concat();
    let message = Message::new(RTM_NEWADDR, ACK | 0x600, &head).attr(2, &address).attr(1, &address);
    Netlink::route().expect("a socket").request(message).expect("it has an address");
}

/// Pings the far end once; true if it answers within a second.
fn ping() -> bool {
    let out = Command::new("ping").args(["-c", "1", "-W", "1", Wire::FAR]).output();
    out.expect("there is a ping: make deps").status.success()
}

#[test]
fn stops_a_ping_and_lets_it_through_again() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let wire = Wire::new(&veth);
        super::eventually("a ping before", ping);
        let tool = Tool::start("xdp_drop", &["near0"]);
        tool.line_with("dropping everything that near0 receives");
        assert!(!ping(), "while it runs");
        tool.end(Signal::SIGTERM);
        nothing_is_left("near0");
        super::eventually("a ping afterwards", ping);
        wire.end();
    });
}

#[test]
fn counts_every_packet() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let tool = Tool::start("xdp_drop", &["near0"]);
        tool.line_with("dropping everything");
        veth.send(42);
        veth.send_frame(&from("10.0.0.1", 1000));
        tool.line_with("43 packets, ");
        assert_eq!(
            tool.end(Signal::SIGINT).last().map(String::as_str),
            Some("dropped 43 packets, 3520 bytes")
        );
        nothing_is_left("near0");
        assert!(fails("xdp_drop", &[]).contains("usage: xdp_drop"));
        assert!(fails("xdp_drop", &["nope0"]).contains("there are: lo"));
    });
}

#[test]
fn measures() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    in_namespace(|| {
        require!(VETH, Veth::new("near0", "far0").map(drop));
        let out = run("xdp_drop", &["--bench", "50"]);
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
        for (name, may_be_missing) in [
            ("XDP, the program alone (test run)", false),
            ("XDP, in the driver", false),
            ("XDP, in the stack (generic)", false),
            ("nftables, ingress of the interface", true),
            ("nftables, before conntrack", true),
            ("nftables, input", true),
            ("user space, a UDP socket", false),
        ] {
            let row = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            match row.trim().strip_prefix("not measured: ") {
                Some(why) => assert!(may_be_missing && !why.is_empty(), "{name}: {why}"),
                None => {
                    let rate: f64 = row.split_whitespace().next().and_then(|n| n.parse().ok()).expect(row);
                    assert!(rate > 0.0, "{name}: {row}");
                }
            }
        }
    });
}
