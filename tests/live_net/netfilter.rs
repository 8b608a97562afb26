//! Programs among the rules of the IP stack.

use std::net::UdpSocket;
use std::time::Duration;

use rawbpf::Target;
use rawbpf::links::{Hook, Netfilter};

use super::world::{attach, id, in_world, number, program, refused, set_number, try_load};
use crate::gate::{NETFILTER, ROOT, require};

fn spot(text: &str) -> Target {
    Target::Netfilter(text.parse::<Netfilter>().expect("a netfilter hook"))
}

/// Sends a datagram to itself; does it arrive?
fn arrives() -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a time limit");
    let _ = socket.send_to(b"hello", socket.local_addr().expect("an address"));
    socket.recv_from(&mut [0; 16]).is_ok()
}

#[test]
fn a_program_counts_and_drops_what_comes_in() {
    require!(ROOT);
    in_world(|| {
        let loaded = require!(NETFILTER, try_load("netfilter.o", &[]));
        let gate = program(&loaded, "gate");
        let link = attach(gate, spot("ipv4:input:-150"));
        let info = link.info().expect("a link tells");
        assert_eq!(info.hook, Hook::Netfilter { pf: 2, hook: 1, priority: -150, flags: 0 });
        assert!(arrives());
        assert_eq!(number(&loaded, "netfilter_map", 0), 1);
        set_number(&loaded, "netfilter_map", 1, 1);
        assert!(!arrives(), "it is dropped");
        link.detach().expect("it is detached");
        assert!(arrives(), "and no longer");
        assert_eq!(number(&loaded, "netfilter_map", 0), 2);
    });
}

#[test]
fn a_refusal_says_why() {
    require!(ROOT);
    in_world(|| {
        let loaded = require!(NETFILTER, try_load("netfilter.o", &[]));
        let gate = program(&loaded, "gate");
        let link = attach(gate, spot("ipv4:output:7"));
        let other = try_load("netfilter.o", &[]).expect("it loads again");
        let second = program(&other, "gate");
        assert_eq!(
            refused(second, spot("ipv4:output:7")),
            format!(
                "cannot attach `gate` to netfilter ipv4:output:7: program `gate` (id {}) (link {}) is attached there with \
                 this priority; choose another",
                id(gate),
                link.info().expect("a link").id
            )
        );
        drop(attach(second, spot("ipv4:output:8")));
        drop(attach(second, spot("ipv6:output:7")));
        let said = refused(second, spot(&format!("ipv4:output:{}", i32::MIN)));
        assert!(
            said.contains("is the kernel's own; choose one between -2147483647 and 2147483646"),
            "{said}"
        );
        let said = refused(second, spot("ipv4:prerouting:-400:defrag"));
        assert!(said.contains("to see them whole the program has to run later"), "{said}");
        drop(link);
    });
}

#[test]
fn a_hook_is_read_as_it_is_typed() {
    let wrong = |text: &str| text.parse::<Netfilter>().expect_err("it is wrong");
    assert_eq!(wrong("ipx:input"), "`ipx` is no protocol family: ipv4, ipv6");
    assert_eq!(
        wrong("ipv4:sideways"),
        "`sideways` is no netfilter hook: prerouting, input, forward, output, postrouting"
    );
    assert_eq!(
        wrong("ipv4:input:soon"),
        "`soon` is neither a priority (a number, the lowest runs first) nor `defrag`"
    );
}
