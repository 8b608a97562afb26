//! tc: in the list of tcx, and as classic filters on a clsact qdisc.

use rawbpf::links::{Anchor, Direction, Lifetime, Order, Place, Remedy, Tc, TcHook, Via};
use rawbpf::uapi::AttachType;
use rawbpf::{Link, Loaded, Target};

use super::world::{attach, clsact, has_tcx, id, in_world, load, number, program, refused, set_number, tcx};
use crate::gate::{CLS_BPF, ROOT, TCX, VETH, require};
use crate::net::Veth;

fn tc(direction: Direction) -> Tc {
    Tc::new("near0", direction)
}

fn at(tc: Tc, place: Place) -> Target {
    Target::Tc(Tc { order: Order::at(place), ..tc })
}

/// The order in which the programs of `tc_order` saw one packet.
fn trace(veth: &Veth, loaded: &Loaded) -> u64 {
    set_number(loaded, "order_map", 0, 0);
    veth.send(1);
    number(loaded, "order_map", 0)
}

/// Both directions, whichever way: what comes in at near0 and what leaves it.
fn counts_both_ways(veth: &Veth, hook: TcHook) {
    let loaded = load("tc_count.o", &[]);
    let to = |direction| Target::Tc(Tc { hook, ..tc(direction) });
    let links: Vec<Link> = vec![
        attach(program(&loaded, "count_in"), to(Direction::Ingress)),
        attach(program(&loaded, "count_out"), to(Direction::Egress)),
    ];
    let back = Veth { near: veth.far, far: veth.near };
    veth.send(5);
    back.send(7);
    let counted = || (number(&loaded, "tc_count_map", 0), number(&loaded, "tc_count_map", 1));
    assert_eq!(counted(), (5, 7), "{hook:?}");
    drop(links);
    veth.send(5);
    back.send(7);
    assert_eq!(counted(), (5, 7), "{hook:?}, detached");
}

#[test]
fn packets_are_counted_in_both_directions() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        counts_both_ways(&veth, TcHook::Tcx);
    });
}

#[test]
fn packets_are_counted_in_both_directions_by_filters() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        counts_both_ways(&veth, TcHook::Clsact);
        // What a kernel without tcx does by itself.
        counts_both_ways(&veth, TcHook::Auto);
    });
}

/// A filter can be made and taken away.
fn has_clsact() -> Result<(), String> {
    let loaded = load("tc_count.o", &["count_in"]);
    let target = Target::Tc(clsact(tc(Direction::Ingress)));
    rawbpf::attach(program(&loaded, "count_in"), &target).map(drop).map_err(|e| super::world::chain(&e))
}

#[test]
fn a_program_stands_where_it_wants_in_the_list() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        let loaded = load("tc_order.o", &[]);
        let [one, two, three] = ["one", "two", "three"].map(|name| program(&loaded, name));
        let spot = || tcx(tc(Direction::Ingress));
        let first = attach(one, Target::Tc(spot()));
        let second = attach(two, at(spot(), Place::First));
        assert_eq!(trace(&veth, &loaded), 21);
        let third = attach(three, at(spot(), Place::Before(Anchor::Link(first.info().expect("a link").id))));
        assert_eq!(trace(&veth, &loaded), 231);
        third.detach().expect("it is detached");
        let third = attach(three, at(spot(), Place::After(Anchor::Any("two".into()))));
        assert_eq!(trace(&veth, &loaded), 231);
        drop(third);
        let third = attach(three, at(spot(), Place::Last));
        assert_eq!(trace(&veth, &loaded), 213);
        // Another program behind the same link keeps its place.
        drop(third);
        second.update(three, Some(two)).expect("it is replaced");
        assert_eq!(trace(&veth, &loaded), 31);
        assert!(second.update(two, Some(two)).is_err(), "another program is behind it by now");
        drop((first, second));
        assert_eq!(trace(&veth, &loaded), 0);
    });
}

#[test]
fn a_program_without_a_link_stands_in_the_list_too() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        let loaded = load("tc_order.o", &[]);
        let [one, two, three] = ["one", "two", "three"].map(|name| program(&loaded, name));
        let direct = || Tc { hook: TcHook::Tcx, via: Via::Direct, ..tc(Direction::Ingress) };
        let first = attach(one, Target::Tc(direct()));
        assert_eq!(first.lifetime(), Lifetime::Hook);
        let second = attach(two, at(direct(), Place::Before(Anchor::Program(id(one)))));
        assert_eq!(trace(&veth, &loaded), 21);
        second.update(three, None).expect("it is replaced in its place");
        assert_eq!(trace(&veth, &loaded), 31);
        let taken = attach(two, Target::Tc(Tc { replace: Some(id(one)), ..direct() }));
        assert_eq!(trace(&veth, &loaded), 32);
        drop((first, second, taken));
        assert_eq!(trace(&veth, &loaded), 0);
    });
}

#[test]
fn a_wish_that_cannot_be_met_says_why() {
    require!(ROOT);
    in_world(|| {
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        let loaded = load("tc_order.o", &[]);
        let [one, two] = ["one", "two"].map(|name| program(&loaded, name));
        let spot = || tcx(tc(Direction::Ingress));
        let before = |anchor: &str| at(spot(), Place::Before(anchor.parse().expect("an anchor")));
        assert_eq!(
            refused(two, before("count")),
            "cannot attach `two` to tc ingress of near0: `count` does not stand there: nothing does"
        );
        let link = attach(one, Target::Tc(spot()));
        let link_id = link.info().expect("a link").id;
        assert_eq!(
            refused(two, before("count")),
            format!(
                "cannot attach `two` to tc ingress of near0: `count` does not stand there; there are: `one` (program {}, \
                 link {link_id})",
                id(one)
            )
        );
        assert_eq!(
            refused(one, Target::Tc(spot())),
            "cannot attach `one` to tc ingress of near0: this very program is attached there; it cannot stand in the list \
             twice"
        );
        let late = Order { place: Place::Last, expected_revision: Some(77) };
        let said = refused(two, Target::Tc(Tc { order: late, ..spot() }));
        assert!(said.contains(": the list has changed: its revision is 2, not 77"), "{said}");
        let replacing = Tc { replace: Some(id(one)), ..spot() };
        let refusal = rawbpf::attach(two, &Target::Tc(replacing)).expect_err("a link holds it");
        assert!(refusal.to_string().contains(&format!("is attached by link {link_id}")), "{refusal}");
        assert_eq!(refusal.remedy(), Some(&Remedy::UpdateLink(link_id)));
        drop(link);
    });
}

#[test]
fn the_revision_tells_a_list_that_has_changed() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(TCX, has_tcx());
        let loaded = load("tc_order.o", &[]);
        let [one, two] = ["one", "two"].map(|name| program(&loaded, name));
        let query = || {
            let target = rawbpf::sys::attr::TargetFd::ifindex(veth.near);
            rawbpf::sys::prog_query(target, AttachType::TcxIngress, 0).expect("the list is told")
        };
        let seen = query().revision;
        let order = Order { place: Place::Default, expected_revision: Some(seen) };
        let first = attach(one, Target::Tc(Tc { order: order.clone(), ..tcx(tc(Direction::Ingress)) }));
        let said = refused(two, Target::Tc(Tc { order, ..tcx(tc(Direction::Ingress)) }));
        assert!(said.contains("the list has changed"), "{said}");
        let standing = query();
        assert_eq!(standing.programs.len(), 1);
        assert_eq!(standing.programs[0].link_id, first.info().expect("a link").id);
        drop(first);
    });
}

#[test]
fn filters_run_in_the_order_of_their_places() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        let loaded = load("tc_order.o", &[]);
        let [one, two, three] = ["one", "two", "three"].map(|name| program(&loaded, name));
        let spot = || clsact(tc(Direction::Ingress));
        let first = attach(one, Target::Tc(spot()));
        assert_eq!(first.lifetime(), Lifetime::Hook);
        let second = attach(two, at(spot(), Place::Last));
        assert_eq!(trace(&veth, &loaded), 12);
        let third = attach(three, at(spot(), Place::Before(Anchor::Program(id(one)))));
        assert_eq!(trace(&veth, &loaded), 312);
        let said = refused(three, at(spot(), Place::After(Anchor::Program(id(one)))));
        assert!(said.contains("there is no free priority after program"), "{said}");
        third.detach().expect("the filter is removed");
        // In one step, and the old one's removal does not touch the new.
        second.update(three, None).expect("it is replaced");
        assert_eq!(trace(&veth, &loaded), 13);
        // The qdisc was made for the first, and goes with the last.
        drop(first);
        assert_eq!(trace(&veth, &loaded), 3);
        assert_eq!(super::world::attached(), ["a clsact qdisc"]);
        drop(second);
        assert_eq!(trace(&veth, &loaded), 0);
        assert!(super::world::attached().is_empty());
    });
}

/// Gives near0 a qdisc, or takes it away, as `tc qdisc add|del dev near0 clsact` does.
fn qdisc(veth: &Veth, kind: &[u8], add: bool) {
    use rawbpf::sys::netlink::{ACK, Message, Netlink};
    const NEW: u16 = 36;
    const DEL: u16 = 37;
    const CREATE: u16 = 0x600;
    let (message, flags) = if add { (NEW, ACK | CREATE) } else { (DEL, ACK) };
    let head: Vec<u8> =
        [0, veth.near, 0xffff_0000, 0xffff_fff1, 0].iter().flat_map(|n: &u32| n.to_ne_bytes()).collect();
    let message = Message::new(message, flags, &head).attr(1, kind);
    Netlink::route().expect("a socket").request(message).expect("the qdisc comes or goes");
}

#[test]
fn a_qdisc_that_somebody_else_made_stays() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        let loaded = load("tc_order.o", &[]);
        qdisc(&veth, b"clsact\0", true);
        drop(attach(program(&loaded, "one"), Target::Tc(clsact(tc(Direction::Ingress)))));
        assert_eq!(super::world::attached(), ["a clsact qdisc"]);
        qdisc(&veth, b"clsact\0", false);
        // An `ingress` qdisc takes filters for outgoing packets, and would show them what comes in.
        qdisc(&veth, b"ingress\0", true);
        let link = attach(program(&loaded, "one"), Target::Tc(clsact(tc(Direction::Ingress))));
        assert_eq!(trace(&veth, &loaded), 1);
        let said = refused(program(&loaded, "two"), Target::Tc(clsact(tc(Direction::Egress))));
        assert_eq!(
            said,
            "cannot attach `two` to tc egress of near0: an `ingress` qdisc is attached there, which has no egress side; \
             replace it with a clsact: tc qdisc replace dev near0 clsact"
        );
        drop(link);
        qdisc(&veth, b"ingress\0", false);
    });
}

#[test]
fn a_filter_outlives_its_maker_and_one_that_was_replaced_is_left_alone() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(CLS_BPF, has_clsact());
        let loaded = load("tc_order.o", &[]);
        let [one, two] = ["one", "two"].map(|name| program(&loaded, name));
        let spot = || clsact(tc(Direction::Ingress));
        let first = attach(one, Target::Tc(spot()));
        let second = attach(two, Target::Tc(Tc { replace: Some(id(one)), ..spot() }));
        assert_eq!(trace(&veth, &loaded), 2);
        drop(first);
        assert_eq!(trace(&veth, &loaded), 2, "it is not the first one's any more");
        second.leak();
        assert_eq!(trace(&veth, &loaded), 2, "it belongs to the hook");
        qdisc(&veth, b"clsact\0", false);
    });
}
