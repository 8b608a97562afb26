//! Network namespaces: entering one, and the programs of a whole one.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use rawbpf::links::{Hook, Lifetime, NetNs, NetnsHook, Via, interfaces};
use rawbpf::{Target, Xdp, XdpMode};

use super::world::{attach, id, in_world, load, number, program, refused};
use crate::gate::{ROOT, VETH, require};
use crate::net::{Veth, in_namespace};

/// A namespace that holds nothing but lo, by its file.
fn another() -> (File, NetNs) {
    let file = in_namespace(|| File::open("/proc/thread-self/ns/net").expect("a namespace"));
    let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    (file, NetNs::Path(path.into()))
}

#[test]
fn connections_to_many_ports_find_one_server() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("sk_lookup.o", &[]);
        let server = TcpListener::bind("127.0.0.1:0").expect("a server");
        let slot = loaded.map("server_map").expect("it is in the object");
        slot.set(&0u32.to_ne_bytes(), &(server.as_raw_fd() as u64).to_ne_bytes(), 0)
            .expect("a socket in the map");
        assert!(TcpStream::connect("127.0.0.1:7007").is_err(), "nobody listens there");
        let link = attach(program(&loaded, "to_server"), Target::Netns(NetnsHook::default()));
        assert_eq!(link.lifetime(), Lifetime::Link);
        for port in [7000, 7007, 7999] {
            drop(TcpStream::connect(("127.0.0.1", port)).expect("the server is found"));
        }
        assert!(TcpStream::connect("127.0.0.1:6999").is_err(), "as the kernel finds it");
        drop(link);
        assert!(TcpStream::connect("127.0.0.1:7007").is_err(), "detached");
        let direct = NetnsHook { via: Via::Direct, ..NetnsHook::default() };
        assert!(refused(program(&loaded, "to_server"), Target::Netns(direct)).contains("by links only"));
    });
}

#[test]
fn a_flow_dissector_takes_the_place_of_the_kernels() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let loaded = load("flow_dissector.o", &[]);
        let dissect = program(&loaded, "dissect");
        for via in [Via::Link, Via::Direct] {
            let before = number(&loaded, "dissected_map", 0);
            let target = Target::Netns(NetnsHook { netns: NetNs::Current, via });
            let link = attach(dissect, target.clone());
            // A packet socket asks for the flow of what it sends.
            veth.send(4);
            assert_eq!(number(&loaded, "dissected_map", 0), before + 4, "{via:?}");
            // There is room for one.
            let other = load("flow_dissector.o", &[]);
            let said = refused(program(&other, "dissect"), Target::Netns(NetnsHook::default()));
            assert!(said.contains(&format!("program `dissect` (id {})", id(dissect))), "{said}");
            link.detach().expect("it is detached");
            veth.send(4);
            assert_eq!(number(&loaded, "dissected_map", 0), before + 4, "{via:?}, detached");
        }
    });
}

#[test]
fn a_program_is_attached_in_another_namespace() {
    require!(ROOT);
    let (file, there) = another();
    let inode = there.open().expect("it opens").inode();
    let loaded = load("flow_dissector.o", &[]);
    let link = attach(
        program(&loaded, "dissect"),
        Target::Netns(NetnsHook { netns: there.clone(), via: Via::Auto }),
    );
    match link.info().expect("a link tells").hook {
        Hook::Netns { inode: at, .. } => assert_eq!(u64::from(at), inode),
        other => panic!("{other:?}"),
    }
    drop(link);
    // A call that acts on the namespace of its thread: go there.
    let counter = load("packet_count.o", &[]);
    let on_lo = Target::Xdp(Xdp { interface: "lo".into(), mode: XdpMode::Generic });
    let open = there.open().expect("it opens");
    let link = open.enter(|| attach(program(&counter, "count_packets"), on_lo)).expect("it is entered");
    let seen = open.enter(interfaces).expect("it is entered").expect("interfaces are listed");
    assert_eq!(seen.len(), 1, "nothing but lo");
    assert_eq!(seen[0].xdp.len(), 1);
    let here = std::fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
    assert_ne!(here.display().to_string(), format!("net:[{inode}]"), "the caller has not moved");
    drop(link);
    drop(file);
}

#[test]
fn what_was_attached_without_a_link_is_taken_away_from_anywhere() {
    require!(ROOT);
    let (file, there) = another();
    let loaded = load("flow_dissector.o", &[]);
    let dissect = program(&loaded, "dissect");
    let link = attach(dissect, Target::Netns(NetnsHook { netns: there.clone(), via: Via::Direct }));
    let standing = || {
        let open = there.open().expect("it opens");
        let fd = rawbpf::sys::attr::TargetFd::of(&open);
        let attach_type = rawbpf::uapi::AttachType::FlowDissector;
        rawbpf::sys::prog_query(fd, attach_type, 0).expect("the hook tells").programs
    };
    assert_eq!(standing().first().map(|p| p.prog_id), Some(id(dissect)));
    drop(link);
    assert!(standing().is_empty());
    drop(file);
}

#[test]
fn a_namespace_that_is_not_there_is_named() {
    let said = |netns: NetNs| netns.open().expect_err("it is not there").to_string();
    assert!(
        said(NetNs::named("no-such"))
            .starts_with("there is no network namespace `no-such` in /run/netns; there are:")
    );
    assert_eq!(said(NetNs::Process(u32::MAX)), "there is no process 4294967295");
    assert_eq!(said(NetNs::Path("/proc/self/status".into())), "/proc/self/status is no network namespace");
    assert_eq!(
        said(NetNs::Path("/proc/self/ns/mnt".into())),
        "/proc/self/ns/mnt is no network namespace: it is a namespace of another kind"
    );
}
