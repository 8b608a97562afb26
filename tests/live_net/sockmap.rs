//! Programs of the sockets in a map.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use rawbpf::links::{Hook, Lifetime, MapRef, Sockmap, Via};
use rawbpf::uapi::AttachType;
use rawbpf::{Loaded, Target};

use super::world::{attach, id, in_world, load, number, program, refused, try_load};
use crate::gate::{ROOT, SK_SKB_VERDICT, SOCKMAP_LINK, SOCKMAP_QUERY, require};

/// A connection of this machine to itself.
fn connection() -> (TcpStream, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").expect("a server");
    let client = TcpStream::connect(server.local_addr().expect("an address")).expect("a connection");
    (client, server.accept().expect("its other end").0)
}

fn sockets(loaded: &Loaded) -> MapRef {
    let map = loaded.map("sockets_map").expect("it is in the object");
    MapRef::Open("sockets_map".into(), Arc::new(map.as_fd().try_clone_to_owned().expect("a copy")))
}

fn put(loaded: &Loaded, key: u32, socket: &TcpStream) {
    let map = loaded.map("sockets_map").expect("it is in the object");
    map.set(&key.to_ne_bytes(), &(socket.as_raw_fd() as u64).to_ne_bytes(), 0).expect("a socket in the map");
}

fn say(from: &mut TcpStream, to: &mut TcpStream, text: &str) {
    from.write_all(text.as_bytes()).expect("it is sent");
    let mut got = vec![0; text.len()];
    to.read_exact(&mut got).expect("it arrives");
    assert_eq!(got, text.as_bytes());
}

fn counted(loaded: &Loaded) -> [u64; 4] {
    [0, 1, 2, 3].map(|n| number(loaded, "sockmap_count_map", n))
}

fn target(loaded: &Loaded, via: Via) -> Target {
    Target::Sockmap(Sockmap { via, ..Sockmap::new(sockets(loaded)) })
}

/// What is sent and what comes in passes the programs of the map.
fn sees_both_ways(via: Via, lifetime: Lifetime) {
    let loaded = load("sockmap.o", &["on_send", "parse", "judge_message"]);
    let programs = ["on_send", "parse", "judge_message"];
    let links = programs.map(|name| attach(program(&loaded, name), target(&loaded, via)));
    assert!(links.iter().all(|l| l.lifetime() == lifetime), "{links:?}");
    let (mut here, mut there) = connection();
    put(&loaded, 0, &there);
    say(&mut here, &mut there, "from the client");
    say(&mut there, &mut here, "an answer");
    assert_eq!(counted(&loaded), [9, 15, 15, 0], "{via:?}");
    drop(links);
    // What is in the map already goes on; a new socket is not seen.
    let (mut here, mut there) = connection();
    put(&loaded, 1, &there);
    say(&mut here, &mut there, "once more");
    assert_eq!(counted(&loaded), [9, 15, 15, 0], "{via:?}, detached");
}

#[test]
fn data_passes_the_programs_of_a_map() {
    require!(ROOT);
    in_world(|| sees_both_ways(Via::Direct, Lifetime::Hook));
}

#[test]
fn data_passes_the_programs_of_a_map_by_links() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("sockmap.o", &["on_send"]);
        let on_send = program(&loaded, "on_send");
        let link = require!(SOCKMAP_LINK, rawbpf::attach(on_send, &target(&loaded, Via::Link)));
        let map_id = loaded.map("sockets_map").expect("a map").info().id;
        let hook = Hook::Sockmap { map_id, attach_type: AttachType::SkMsgVerdict };
        assert_eq!(link.info().expect("a link tells").hook, hook);
        drop(link);
        sees_both_ways(Via::Auto, Lifetime::Link);
    });
}

#[test]
fn packets_are_judged_without_a_parser() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("sockmap.o", &["judge_packet"]);
        let judge = program(&loaded, "judge_packet");
        let link = require!(SK_SKB_VERDICT, rawbpf::attach(judge, &target(&loaded, Via::Auto)));
        let (mut here, mut there) = connection();
        put(&loaded, 0, &there);
        say(&mut here, &mut there, "hello");
        assert_eq!(counted(&loaded)[3], 5);
        drop(link);
    });
}

#[test]
fn a_program_is_not_put_over_another() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("sockmap.o", &["on_send"]);
        let on_send = program(&loaded, "on_send");
        let link = attach(on_send, target(&loaded, Via::Direct));
        let query = rawbpf::sys::prog_query(
            rawbpf::sys::attr::TargetFd::of(&loaded.map("sockets_map").expect("a map").as_fd()),
            AttachType::SkMsgVerdict,
            0,
        );
        require!(SOCKMAP_QUERY, query);
        let other = load("sockmap.o", &["on_send"]);
        let said = refused(program(&other, "on_send"), target(&loaded, Via::Direct));
        assert_eq!(
            said,
            format!(
                "cannot attach `on_send` to sk_msg_verdict of map sockets_map: program `on_send` (id {}) is attached there; \
                 the map has one place for it",
                id(on_send)
            )
        );
        // On purpose, in one step.
        link.update(program(&other, "on_send"), None).expect("it is replaced");
        link.detach().expect("it is detached");
    });
}

#[test]
fn two_ways_of_judging_exclude_each_other() {
    require!(ROOT);
    in_world(|| {
        let loaded = load("sockmap.o", &["judge_packet", "judge_message"]);
        let judge = program(&loaded, "judge_packet");
        let link = require!(SK_SKB_VERDICT, rawbpf::attach(judge, &target(&loaded, Via::Auto)));
        let said = refused(program(&loaded, "judge_message"), target(&loaded, Via::Auto));
        assert!(
            said.contains("a map has either a stream verdict or a plain one") || said.contains("one place"),
            "{said}"
        );
        drop(link);
    });
}

#[test]
fn a_map_of_another_type_has_no_sockets() {
    require!(ROOT);
    in_world(|| {
        let loaded = try_load("sockmap.o", &["on_send"]).expect("it loads");
        let count = loaded.map("sockmap_count_map").expect("it is in the object");
        let target = |map| Target::Sockmap(Sockmap::new(map));
        let on_send = program(&loaded, "on_send");
        let said = refused(on_send, target(MapRef::Id(count.info().id)));
        assert!(
            said.ends_with("the map is of type array, and only a sockmap or sockhash has sockets"),
            "{said}"
        );
        let said = refused(on_send, target(MapRef::Id(u32::MAX)));
        assert_eq!(said, "cannot attach `on_send`: there is no map 4294967295");
    });
}
