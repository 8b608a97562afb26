//! Programs on the two ends of a netkit pair.

use rawbpf::links::{Netkit, NetkitEnd, Via};
use rawbpf::sys::netlink::{ACK, Message, Netlink, NetlinkError};
use rawbpf::{Link, Target};

use super::world::{attach, in_world, load, number, program, refused, send_out_of, set_number, try_load};
use crate::gate::{NETKIT, NO_NETKIT, ROOT, VETH, require};
use crate::net::{Veth, up};

/// Makes a pair that carries Ethernet frames: `near0`, the primary device, and `far0`.
fn pair() -> Result<Veth, NetlinkError> {
    const RTM_NEWLINK: u16 = 16;
    const CREATE: u16 = 0x600;
    const IFNAME: u16 = 3;
    const LINKINFO: u16 = 18;
    const KIND: u16 = 1;
    const DATA: u16 = 2;
    const PEER: u16 = 1;
    const MODE: u16 = 5;
    let mut peer = vec![0; 16];
    peer.extend(9u16.to_ne_bytes()); // length of the attribute: 4, and the name with its NUL
    peer.extend(IFNAME.to_ne_bytes());
    peer.extend(b"far0\0");
    let message =
        Message::new(RTM_NEWLINK, ACK | CREATE, &[0; 16]).attr(IFNAME, b"near0\0").nest(LINKINFO, |info| {
            info.push(KIND, b"netkit");
            *info = info.clone().nest(DATA, |data| {
                data.push(PEER | 1 << 15, &peer);
                data.push(MODE, &0u32.to_ne_bytes());
            });
        });
    Netlink::route()?.request(message)?;
    let index = |name: &str| nix::net::if_::if_nametoindex(name).expect("the interface was just made");
    let pair = Veth { near: index("near0"), far: index("far0") };
    for end in [pair.near, pair.far] {
        up(end)?;
    }
    Ok(pair)
}

fn on(end: NetkitEnd) -> Target {
    Target::Netkit(Netkit::new("near0", end))
}

#[test]
fn both_ends_have_their_programs() {
    require!(ROOT);
    in_world(|| {
        let pair = require!(NETKIT, pair());
        let loaded = require!(NETKIT, try_load("netkit.o", &[]));
        let links: Vec<Link> = vec![
            attach(program(&loaded, "from_primary"), on(NetkitEnd::Primary)),
            attach(program(&loaded, "from_peer"), on(NetkitEnd::Peer)),
        ];
        let back = Veth { near: pair.far, far: pair.near };
        pair.send(2);
        back.send(3);
        let counted = || (number(&loaded, "netkit_map", 0), number(&loaded, "netkit_map", 1));
        assert_eq!(counted(), (3, 2));
        set_number(&loaded, "netkit_map", 2, 1);
        send_out_of(pair.far).expect_err("it is dropped before it enters the other end");
        assert_eq!(counted(), (3, 3));
        drop(links);
        send_out_of(pair.far).expect("detached");
        assert_eq!(counted(), (3, 3), "detached");
        set_number(&loaded, "netkit_map", 2, 0);
        // Without a link the device keeps it, until it is taken away.
        let direct = Netkit { via: Via::Direct, ..Netkit::new("near0", NetkitEnd::Peer) };
        let held = attach(program(&loaded, "from_peer"), Target::Netkit(direct));
        pair.send(2);
        assert_eq!(counted(), (3, 5));
        held.detach().expect("it is taken away");
    });
}

#[test]
fn the_wrong_interface_is_named() {
    require!(ROOT);
    in_world(|| {
        let _pair = require!(NETKIT, pair());
        let loaded = require!(NETKIT, try_load("netkit.o", &["from_primary"]));
        let from_primary = program(&loaded, "from_primary");
        let to = |interface: &str| Target::Netkit(Netkit::new(interface, NetkitEnd::Primary));
        assert_eq!(
            refused(from_primary, to("far0")),
            "cannot attach `from_primary` to netkit primary of far0: far0 is the peer end of its pair; programs of both \
             ends are attached through the primary one"
        );
        assert_eq!(
            refused(from_primary, to("lo")),
            "cannot attach `from_primary` to netkit primary of lo: lo is the loopback device, not a netkit device"
        );
        let _veth = require!(VETH, Veth::new("v0", "v1"));
        assert!(refused(from_primary, to("v0")).ends_with(": v0 is a veth, not a netkit device"));
    });
}

#[test]
fn a_kernel_without_netkit_is_named() {
    require!(ROOT);
    in_world(|| {
        require!(NO_NETKIT, pair().is_err());
        let loaded = load("tc_order.o", &["one"]);
        let said = refused(program(&loaded, "one"), Target::Netkit(Netkit::new("lo", NetkitEnd::Primary)));
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("procfs is mounted");
        let old = format!("netkit came with Linux 6.7, and this kernel is {}", release.trim());
        let without = format!("this kernel ({}) was built without CONFIG_NETKIT", release.trim());
        assert!(said.contains(&old) || said.contains(&without), "{said}");
    });
}
