//! The difference between what is wanted and what is, as text: no kernel is asked and no privilege needed.

use rawbpf::deploy::{
    Actual, Condition, DeployState, Fate, HookKey, MapKey, Neighbour, Programs, Rest, WantedHook, Wishes,
    diff,
};
use rawbpf::links::{
    Anchor, AttachedMode, Cgroup, Direction, Kprobe, MapRef, Order, Place, Share, Sockmap, Tc, TcHook, Via,
    XdpNetlink,
};
use rawbpf::uapi::AttachType;
use rawbpf::{Target, Xdp, XdpMode};

use crate::gate::{HOST, require};

fn xdp_key(netns: u64, ifindex: u32) -> HookKey {
    HookKey::Xdp { netns, ifindex }
}

fn wanted(program: &str, target: Target, key: Option<HookKey>) -> WantedHook {
    WantedHook { program: program.into(), target, key, absent: None, by_section: false }
}

fn xdp(interface: &str, mode: XdpMode) -> Target {
    Target::Xdp(Xdp { interface: interface.into(), mode })
}

fn actual(pin: &str, program: &str, key: Option<HookKey>, place: &str) -> Actual {
    Actual {
        pin: pin.into(),
        link: Some(7),
        program: program.into(),
        prog_id: 5,
        key,
        place: place.into(),
        condition: Condition::Alive,
        can_update: true,
        mode: None,
        share: None,
        before: Vec::new(),
        after: Vec::new(),
    }
}

fn new(programs: &[&str], wanted: Vec<WantedHook>) -> Wishes {
    let programs = Programs::New(programs.iter().map(|p| p.to_string()).collect());
    Wishes { wanted, programs, ..Wishes::default() }
}

fn same(wanted: Vec<WantedHook>) -> Wishes {
    Wishes { wanted, programs: Programs::Same, ..Wishes::default() }
}

fn state(attached: Vec<Actual>) -> DeployState {
    DeployState { attached, ..DeployState::default() }
}

/// The steps, one a line; or the error.
fn steps(wish: &Wishes, state: &DeployState) -> String {
    match diff(wish, state) {
        Ok(steps) => steps.iter().map(|s| format!("{s}\n")).collect(),
        Err(e) => format!("error: {e}\n"),
    }
}

#[track_caller]
fn says(wish: &Wishes, state: &DeployState, expected: &str) {
    let text: String = expected.trim().lines().map(|l| format!("{}\n", l.trim())).collect();
    assert_eq!(steps(wish, state), text);
}

#[test]
fn what_is_there_already_is_kept_and_nothing_acts() {
    require!(HOST);
    let wish = same(vec![wanted("count", xdp("v0", XdpMode::Auto), Some(xdp_key(1, 2)))]);
    let state = state(vec![actual("xdp_v0", "count", Some(xdp_key(1, 2)), "XDP on v0")]);
    says(&wish, &state, "keep count at XDP on v0");
    assert!(diff(&wish, &state).expect("steps").iter().all(|s| !s.acts()));
}

#[test]
fn a_hook_is_its_place_and_not_its_name() {
    require!(HOST);
    let wish = new(&["count"], vec![wanted("count", xdp("v0", XdpMode::Auto), Some(xdp_key(1, 9)))]);
    // Renamed: the old interface has another name now, and a new one has its old name.
    let renamed = state(vec![actual("xdp_v0", "count", Some(xdp_key(1, 2)), "XDP on old0")]);
    says(&wish, &renamed, "load 1 program\nattach count to XDP on v0\ndetach count from XDP on old0");
    // Moved: the same number in another namespace.
    let moved =
        state(vec![actual("xdp_v0", "count", Some(xdp_key(8, 9)), "XDP on v0 in network namespace A")]);
    says(
        &wish,
        &moved,
        "load 1 program\nattach count to XDP on v0\ndetach count from XDP on v0 in network namespace A",
    );
    let there = state(vec![actual("xdp_v0", "count", Some(xdp_key(1, 9)), "XDP on v0")]);
    says(&wish, &there, "load 1 program\nput the new count in the place of the old one: XDP on v0");
}

#[test]
fn what_died_with_its_interface_is_made_again() {
    require!(HOST);
    let place = Some(xdp_key(1, 9));
    let dead = Actual {
        condition: Condition::Dead("its interface is gone, or it was detached by force"),
        ..actual("xdp_v0", "count", None, "xdp_v0")
    };
    let why = "its interface is gone, or it was detached by force";
    let again = wanted("count", xdp("v0", XdpMode::Auto), place);
    says(
        &same(vec![again.clone()]),
        &state(vec![dead.clone()]),
        &format!(
            "attach count to XDP on v0 (the old one is dead: {why})\nremove what is left of xdp_v0 ({why})"
        ),
    );
    // Nothing is named, and hooks are to stay: it is made where it was wanted before.
    let stay = Wishes { before: vec![again], rest: Rest::Stay, ..new(&["count"], Vec::new()) };
    says(
        &stay,
        &state(vec![dead.clone()]),
        &format!("load 1 program\nattach count to XDP on v0 (the old one is dead: {why})"),
    );
    let gone = Actual { condition: Condition::Gone, link: None, ..dead };
    says(
        &same(Vec::new()),
        &state(vec![gone]),
        "remove what is left of xdp_v0 (no hook keeps the program any more)",
    );
}

#[test]
fn a_place_that_is_not_there_is_waited_for() {
    require!(HOST);
    let absent = WantedHook {
        absent: Some("there is no interface `v0`".into()),
        ..wanted("count", xdp("v0", XdpMode::Auto), None)
    };
    let wish = same(vec![absent]);
    says(&wish, &DeployState::default(), "wait with count for XDP on v0 (there is no interface `v0`)");
    assert!(!diff(&wish, &DeployState::default()).expect("steps")[0].acts());
}

#[test]
fn another_mode_is_made_or_refused_and_never_ignored() {
    require!(HOST);
    let key = Some(xdp_key(1, 2));
    let native =
        Actual { mode: Some(AttachedMode::Native), ..actual("xdp_v0", "count", key.clone(), "XDP on v0") };
    let of = |mode| same(vec![wanted("count", xdp("v0", mode), key.clone())]);
    says(
        &of(XdpMode::Generic),
        &state(vec![native.clone()]),
        "detach count from XDP on v0 and attach it again, with a moment without it (it runs in native mode, and generic is wanted)",
    );
    says(&of(XdpMode::Auto), &state(vec![native.clone()]), "keep count at XDP on v0");
    let direct = Target::XdpNetlink(XdpNetlink::new("v0", XdpMode::Auto));
    says(
        &same(vec![wanted("count", direct, key.clone())]),
        &state(vec![native]),
        "detach count from XDP on v0 and attach it again, with a moment without it (it is attached by a link, and is wanted without)",
    );
    let group = HookKey::Cgroup { id: 4, attach_type: AttachType::CgroupDevice };
    let shared = Actual {
        link: None,
        share: Some(Share::Multi),
        ..actual("g", "dev", Some(group.clone()), "cgroup /g")
    };
    let target = Target::Cgroup(Cgroup { share: Share::Override, via: Via::Direct, ..Cgroup::new("/g") });
    says(
        &same(vec![wanted("dev", target, Some(group))]),
        &state(vec![shared]),
        "error: cgroup /g: the hook is shared as `multi`, and `override` is wanted; take it away first",
    );
}

#[test]
fn a_place_in_a_list_is_looked_at() {
    require!(HOST);
    let key = Some(HookKey::Tcx { netns: 1, ifindex: 2, egress: false });
    let other = Neighbour { prog_id: 40, program: "police".into(), link: Some(3) };
    let first =
        Actual { after: vec![other], ..actual("tc_ingress_v0", "count", key.clone(), "tc ingress of v0") };
    let of = |place| {
        let tc = Tc { order: Order::at(place), hook: TcHook::Tcx, ..Tc::new("v0", Direction::Ingress) };
        same(vec![wanted("count", Target::Tc(tc), key.clone())])
    };
    let now = state(vec![first]);
    says(&of(Place::First), &now, "keep count at tc ingress of v0");
    says(&of(Place::Before(Anchor::Any("police".into()))), &now, "keep count at tc ingress of v0");
    says(
        &of(Place::Last),
        &now,
        "attach count to tc ingress of v0 (it runs as number 1, and is wanted last)\ndetach count from tc ingress of v0",
    );
}

#[test]
fn another_tc_hook_is_another_place() {
    require!(HOST);
    let filter = HookKey::Clsact { netns: 1, ifindex: 2, egress: false };
    let tcx = HookKey::Tcx { netns: 1, ifindex: 2, egress: false };
    let there = Actual { link: None, ..actual("tc_ingress_v0", "count", Some(filter), "tc ingress of v0") };
    let tc = Tc { hook: TcHook::Tcx, ..Tc::new("v0", Direction::Ingress) };
    let wish = new(&["count"], vec![wanted("count", Target::Tc(tc), Some(tcx))]);
    says(
        &wish,
        &state(vec![there]),
        "load 1 program\nattach count to tc ingress of v0\ndetach count from tc ingress of v0",
    );
}

#[test]
fn maps_are_kept_or_said_to_go() {
    require!(HOST);
    let maps = vec![
        ("flows".to_string(), Fate::Kept),
        ("sums".to_string(), Fate::Changed("value_size is 8, the object wants 16".into())),
        ("lost".to_string(), Fate::Gone),
        (".rodata".to_string(), Fate::New),
    ];
    let wish = Wishes { maps, ..new(&["count", "other"], Vec::new()) };
    says(
        &wish,
        &DeployState::default(),
        "load 2 programs
         map flows: kept
         map sums: new, what was in the old one goes (value_size is 8, the object wants 16)
         map lost: removed with what is in it
         map .rodata: new",
    );
}

#[test]
fn a_map_of_sockets_that_is_new_takes_its_hook_along() {
    require!(HOST);
    let key = HookKey::Sockmap { map: MapKey::Own("socks".into()), attach_type: AttachType::SkMsgVerdict };
    let target = Target::Sockmap(Sockmap::new(MapRef::Named("socks".into())));
    let there = actual("sockmap_on_send", "on_send", Some(key.clone()), "map socks");
    let of = |fate| {
        let wish = new(&["on_send"], vec![wanted("on_send", target.clone(), Some(key.clone()))]);
        Wishes { maps: vec![("socks".into(), fate)], ..wish }
    };
    says(
        &of(Fate::Kept),
        &state(vec![there.clone()]),
        "load 1 program\nmap socks: kept\nput the new on_send in the place of the old one: map socks",
    );
    says(
        &of(Fate::New),
        &state(vec![there]),
        "load 1 program\nmap socks: new\nattach on_send to map socks\ndetach on_send from map socks",
    );
}

#[test]
fn hooks_that_stay_need_a_successor() {
    require!(HOST);
    let stay = Wishes { rest: Rest::Stay, ..new(&["other"], Vec::new()) };
    let there = state(vec![actual("xdp_v0", "count", Some(xdp_key(1, 2)), "XDP on v0")]);
    says(
        &stay,
        &there,
        "error: `count` is attached (XDP on v0), and the new object has no program of this name",
    );
    let stay = Wishes { rest: Rest::Stay, ..new(&["count"], Vec::new()) };
    says(&stay, &there, "load 1 program\nput the new count in the place of the old one: XDP on v0");
}

#[test]
fn what_is_traced_is_attached_beside_the_old() {
    require!(HOST);
    let key = HookKey::Traced { program: "on_open".into(), what: "kprobe vfs_open".into() };
    let there =
        Actual { can_update: false, ..actual("on_open", "on_open", Some(key.clone()), "kprobe vfs_open") };
    let wish = new(
        &["on_open"],
        vec![wanted("on_open", Target::Kprobe(Kprobe::entry("vfs_open")), Some(key.clone()))],
    );
    let now = state(vec![there]);
    says(
        &wish,
        &now,
        "load 1 program\nattach on_open to kprobe/vfs_open (beside the old one, which then goes)\ndetach on_open from kprobe vfs_open",
    );
    let wish = same(vec![wanted("on_open", Target::Kprobe(Kprobe::entry("vfs_open")), Some(key))]);
    says(&wish, &now, "keep on_open at kprobe vfs_open");
}

#[test]
fn a_table_without_a_link_is_not_replaced() {
    require!(HOST);
    let key = Some(HookKey::StructOps { map: "cc".into() });
    let linked = actual("struct_ops_cc", "cc", key.clone(), "struct_ops cc");
    let registered = Actual { link: None, can_update: false, ..linked.clone() };
    let wish = Wishes { tables: vec!["cc".into()], ..new(&["cc_init"], Vec::new()) };
    says(
        &wish,
        &state(vec![linked]),
        "load 1 program\nput the new cc in the place of the old one: struct_ops cc",
    );
    says(
        &wish,
        &state(vec![registered.clone()]),
        "error: struct_ops map `cc`: it is registered without a link, so another cannot take its place in one step; take it away first",
    );
    let wish = Wishes { tables: vec!["cc".into()], ..same(Vec::new()) };
    says(&wish, &state(vec![registered]), "keep cc at struct_ops cc");
    says(&wish, &DeployState::default(), "register struct_ops cc");
}
