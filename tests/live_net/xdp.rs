//! XDP by links and over netlink.

use rawbpf::links::{AttachedMode, Interface, Lifetime, XdpNetlink};
use rawbpf::{Target, Xdp, XdpMode};

use super::world::{attach, id, in_world, load, number, program, refused, try_load};
use crate::gate::{ROOT, VETH, XDP_FEATURES, XDP_FRAGS, require};
use crate::net::{Veth, set_mtu};

fn xdp(mode: XdpMode) -> Target {
    Target::Xdp(Xdp { interface: "near0".into(), mode })
}

fn on_interface() -> Vec<(AttachedMode, u32)> {
    Interface::named("near0").expect("interfaces are listed").expect("near0 is there").xdp
}

#[test]
fn a_program_counts_the_packets_of_its_interface_in_both_modes() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        for (mode, attached) in
            [(XdpMode::Native, AttachedMode::Native), (XdpMode::Generic, AttachedMode::Generic)]
        {
            let loaded = load("packet_count.o", &[]);
            let counter = program(&loaded, "count_packets");
            let link = attach(counter, xdp(mode));
            assert_eq!(link.lifetime(), Lifetime::Link);
            assert_eq!(on_interface(), [(attached, id(counter))]);
            veth.send(10);
            assert_eq!(number(&loaded, "packet_count_map", 0), 10, "{mode:?}");
            drop(link);
            assert_eq!(on_interface(), []);
            veth.send(10);
            assert_eq!(number(&loaded, "packet_count_map", 0), 10, "detached");
        }
    });
}

#[test]
fn without_a_link_it_stays_until_it_is_taken_away() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let loaded = load("packet_count.o", &[]);
        let counter = program(&loaded, "count_packets");
        let target = Target::XdpNetlink(XdpNetlink::new("near0", XdpMode::Native));
        let held = attach(counter, target.clone());
        assert_eq!(held.lifetime(), Lifetime::Hook);
        assert!(held.fd().is_none());
        held.leak();
        veth.send(3);
        assert_eq!(number(&loaded, "packet_count_map", 0), 3);

        // A second one has to say which it expects to find.
        let other = load("packet_count.o", &[]);
        let second = program(&other, "count_packets");
        let said = refused(second, target);
        let holder =
            format!("program `count_packets` (id {}), in native mode, is attached there", id(counter));
        assert!(said.contains(&holder) && said.contains("say which program to replace"), "{said}");
        let taking = |expected| {
            Target::XdpNetlink(XdpNetlink {
                replace: Some(expected),
                ..XdpNetlink::new("near0", XdpMode::Native)
            })
        };
        let said = refused(second, taking(id(second)));
        assert!(said.contains(&format!("program {} was expected", id(second))), "{said}");
        let link = attach(second, taking(id(counter)));
        assert_eq!(on_interface(), [(AttachedMode::Native, id(second))]);
        // Put another in its place without a gap, and take it away.
        link.update(counter, None).expect("it is replaced");
        assert_eq!(on_interface(), [(AttachedMode::Native, id(counter))]);
        link.detach().expect("it is taken away");
    });
}

#[test]
fn what_another_put_there_is_left_alone() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        let (first, second) = (load("packet_count.o", &[]), load("packet_count.o", &[]));
        let (ours, theirs) = (program(&first, "count_packets"), program(&second, "count_packets"));
        let target = XdpNetlink::new("near0", XdpMode::Generic);
        let link = attach(ours, Target::XdpNetlink(target.clone()));
        let taken = attach(theirs, Target::XdpNetlink(XdpNetlink { replace: Some(id(ours)), ..target }));
        drop(link);
        assert_eq!(on_interface(), [(AttachedMode::Generic, id(theirs))]);
        drop(taken);
    });
}

#[test]
fn long_packets_take_a_program_that_can_cope() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        for end in [veth.near, veth.far] {
            set_mtu(end, 9000).expect("a large MTU");
        }
        let plain = load("packet_count.o", &[]);
        let said = refused(program(&plain, "count_packets"), xdp(XdpMode::Native));
        assert!(said.contains("MTU"), "{said}");
        let loaded = require!(XDP_FRAGS, try_load("xdp_frags.o", &[]));
        let link = attach(program(&loaded, "longest"), xdp(XdpMode::Native));
        let mut frame = vec![0xff; 6000];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        veth.send_frame(&frame);
        assert_eq!(number(&loaded, "longest_map", 0), 6000);
        drop(link);
    });
}

#[test]
fn a_refusal_says_who_is_there_or_what_is_wrong() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        let loaded = load("packet_count.o", &[]);
        let counter = program(&loaded, "count_packets");
        let link = attach(counter, xdp(XdpMode::Native));
        let other = load("packet_count.o", &[]);
        let second = program(&other, "count_packets");
        assert_eq!(
            refused(second, xdp(XdpMode::Native)),
            format!(
                "cannot attach `count_packets` to XDP on near0: program `count_packets` (id {}), in native mode, is attached \
                 there",
                id(counter)
            )
        );
        let said = refused(second, xdp(XdpMode::Generic));
        assert!(said.contains("native and generic XDP exclude each other"), "{said}");
        let nowhere = Target::Xdp(Xdp { interface: "eth77".into(), mode: XdpMode::Auto });
        assert_eq!(
            refused(second, nowhere),
            "there is no interface `eth77` in this network namespace; there are: lo, far0, near0"
        );
        let said = refused(second, Target::Xdp(Xdp { interface: "lo".into(), mode: XdpMode::Native }));
        assert!(said.contains("the driver of lo has no native XDP") || said.contains("XDP"), "{said}");
        drop(link);
    });
}

#[test]
fn a_driver_says_what_it_can_do() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let found = rawbpf::links::xdp_features(veth.near).expect("netlink answers");
        let features = require!(XDP_FEATURES, found.ok_or("the kernel does not tell"));
        assert!(features.is_native() && features.has_frags(), "{features:?}");
        let names: Vec<&str> = features.names().collect();
        assert!(names.contains(&"basic") && names.contains(&"redirect"), "{names:?}");
        let lo = rawbpf::links::xdp_features(1).expect("netlink answers").expect("as before");
        assert!(!lo.is_native(), "{lo:?}");
        let told = crate::net::rawbpf_json(&["feature", "devices", "--name", "near0"]);
        assert_eq!(told["features"][0]["answer"], "yes", "{told}");
        assert!(told["features"][0]["reason"].as_str().is_some_and(|can| can.contains("redirect")), "{told}");
        let e = rawbpf::links::xdp_features(7777).expect_err("there is none");
        assert_eq!(e.source.errno, rawbpf::sys::Errno::ENODEV);
    });
}
