//! Programs that see the packets of one route.

use std::net::UdpSocket;

use rawbpf::Target;
use rawbpf::links::{Lifetime, Route};

use super::world::{add_address, attach, in_world, load, number, program, refused};
use crate::gate::{LWT_BPF, ROOT, VETH, require};
use crate::net::Veth;

fn route(text: &str) -> Target {
    Target::Route(text.parse::<Route>().expect("a route"))
}

#[test]
fn the_packets_of_a_route_pass_its_program() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        add_address(veth.near, "10.1.0.1".parse().expect("an address"), 24);
        let loaded = load("lwt.o", &["count_leaving", "drop_at_device"]);
        let socket = UdpSocket::bind("10.1.0.1:0").expect("a socket");
        let send = || socket.send_to(b"hello", "10.9.0.7:7");
        assert!(send().is_err(), "there is no route");
        let to = route("10.9.0.0/16,dev=near0");
        let link = require!(LWT_BPF, rawbpf::attach(program(&loaded, "count_leaving"), &to));
        assert_eq!(link.lifetime(), Lifetime::Hook);
        send().expect("the route is there");
        send().expect("the route is there");
        assert_eq!(number(&loaded, "lwt_map", 1), 2);
        let said = refused(program(&loaded, "drop_at_device"), to.clone());
        assert!(
            said.contains("another route is attached there; remove it, or choose a longer prefix"),
            "{said}"
        );
        drop(link);
        assert!(send().is_err(), "the route went with its program");
        let link = attach(program(&loaded, "drop_at_device"), to);
        let _ = send();
        assert_eq!(number(&loaded, "lwt_map", 2), 1);
        link.detach().expect("it is detached");
    });
}

#[test]
fn packets_that_arrive_pass_the_program_of_their_route() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        add_address(veth.near, "10.1.0.1".parse().expect("an address"), 24);
        for file in ["ip_forward", "conf/near0/rp_filter", "conf/all/rp_filter"] {
            let value = if file == "ip_forward" { "1" } else { "0" };
            std::fs::write(format!("/proc/sys/net/ipv4/{file}"), value).expect("a setting is written");
        }
        let loaded = load("lwt.o", &["count_arriving"]);
        let to = route("10.9.0.0/16,dev=far0");
        let link = require!(LWT_BPF, rawbpf::attach(program(&loaded, "count_arriving"), &to));
        veth.send_frame(&datagram([10, 1, 0, 9], [10, 9, 0, 7], veth.near));
        assert_eq!(number(&loaded, "lwt_map", 0), 1);
        drop(link);
    });
}

/// A frame with an empty UDP datagram, to the address of this interface.
fn datagram(from: [u8; 4], to: [u8; 4], interface: u32) -> Vec<u8> {
    let name = rawbpf::links::Interface::numbered(interface).expect("interfaces").expect("it is there").name;
    let text = std::fs::read_to_string(format!("/proc/self/net/../../sys/class/net/{name}/address"))
        .unwrap_or_default();
    let hardware: Vec<u8> = text.trim().split(':').filter_map(|b| u8::from_str_radix(b, 16).ok()).collect();
    let hardware = if hardware.len() == 6 { hardware } else { vec![0xff; 6] };
    let mut frame = [hardware.as_slice(), &[2, 0, 0, 0, 0, 9], &[8, 0]].concat();
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    ip.extend(from);
    ip.extend(to);
    let sum: u32 = ip.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend([0x10, 0, 0, 7, 0, 8, 0, 0]);
    frame
}

#[test]
fn a_route_is_read_as_it_is_typed() {
    let route: Route = "fd00::/64,via=fe80::1,dev=eth0,headroom=64".parse().expect("a route");
    assert_eq!((route.prefix, route.headroom), (64, 64));
    assert_eq!(route.to_string(), "fd00::/64 via fe80::1 dev eth0");
    for wrong in ["10.0.0.0", "10.0.0.0/8", "10.0.0.0/8,eth0", "x/8,dev=lo", "10.0.0.0/8,dev=lo,via=y"] {
        assert!(wrong.parse::<Route>().is_err_and(|e| e.contains("a route is ADDRESS/BITS")), "{wrong}");
    }
}
