//! What stays, on a real kernel: whatever was done to interfaces, qdiscs and pins meanwhile, a success means attached, at
//! the place that was named.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::gate::{CLS_BPF, ROOT, TCX, VETH, XDP_LINK, require};
use crate::live_net::world::in_world;
use crate::net::{Veth, mount_bpffs, object, rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};
use rawbpf::links::{NetNs, interfaces};
use rawbpf::sys::netlink::{ACK, Message, Netlink};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;

fn ifinfo(index: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), [0; 4], [0; 4]].concat()
}

fn request(message: Message) {
    Netlink::route().expect("a socket").request(message).expect("the kernel does it");
}

pub(crate) fn delete(index: u32) {
    request(Message::new(RTM_DELLINK, ACK, &ifinfo(index)));
}

fn rename(index: u32, name: &str) {
    // IFLA_IFNAME; an interface that is up may be renamed since Linux 6.2.
    let down = [[0; 4], index.to_ne_bytes(), 0u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat();
    request(Message::new(RTM_NEWLINK, ACK, &down));
    request(Message::new(RTM_NEWLINK, ACK, &ifinfo(index)).attr(3, &[name.as_bytes(), &[0]].concat()));
    crate::net::up(index).expect("it comes up");
}

/// The number of the interface of this name.
pub(crate) fn index(name: &str) -> u32 {
    let all = interfaces().expect("a list");
    all.iter().find(|i| i.name == name).unwrap_or_else(|| panic!("{name} in {all:?}")).index
}

/// The names of the programs that XDP runs on an interface now, by the interface's own answer.
pub(crate) fn xdp_on(name: &str) -> usize {
    interfaces().expect("a list").iter().find(|i| i.name == name).map_or(0, |i| i.xdp.len())
}

fn attachments(program: &str, place: &str) -> Vec<Value> {
    let list = rawbpf_json(&["attachments"]);
    let all = list["attachments"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|a| a["program"] == program && a["place"] == place).collect()
}

pub(crate) fn has_xdp_link() -> Result<(), String> {
    let object = rawbpf::Object::open(object("packet_count.o")).map_err(|e| e.to_string())?;
    let plan =
        object.plan(&rawbpf::Kernel::host(), &rawbpf::Options::default()).map_err(|e| e.to_string())?;
    let loaded = plan.run().map_err(|e| e.to_string())?;
    let target = rawbpf::Xdp { interface: "lo".into(), mode: rawbpf::XdpMode::Generic };
    let program = loaded.program("count_packets").ok_or("no program")?;
    rawbpf::attach(program, &rawbpf::Target::Xdp(target)).map(drop).map_err(|e| e.to_string())
}

#[test]
fn a_link_that_died_with_its_interface_is_made_again() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let file = object("packet_count.o");
        rawbpf_ok(&["load", &file, "--xdp", "v0"]);
        for words in [&["--xdp", "v0"][..], &[]] {
            delete(index("v0"));
            let _ = &veth;
            Veth::new("v0", "v1").expect("it is made again");
            assert_eq!(xdp_on("v0"), 0);
            let said = rawbpf_ok(&[&["load", &file, "--replace"], words].concat());
            assert!(said.contains("XDP on v0"), "{said}");
            assert_eq!(xdp_on("v0"), 1, "{said}");
        }
        // One that is gone does not block the other.
        Veth::new("w0", "w1").expect("another pair");
        rawbpf_ok(&["load", &file, "--xdp", "v0,w0", "--replace"]);
        delete(index("w0"));
        Veth::new("w0", "w1").expect("it is made again");
        rawbpf_ok(&["load", &file, "--xdp", "v0,w0", "--replace"]);
        assert_eq!((xdp_on("v0"), xdp_on("w0")), (1, 1));
        let pins = fs::read_dir("/sys/fs/bpf/rawbpf/packet_count/links").expect("links").count();
        assert_eq!(pins, 2, "the dead ones are gone");
        rawbpf_ok(&["unload", "packet_count"]);
        assert!(!Path::new("/sys/fs/bpf/rawbpf").exists());
    });
}

#[test]
fn a_filter_that_was_deleted_is_made_again() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        mount_bpffs();
        let file = object("tc_count.o");
        let load = ["load", &file, "--tc", "v0", "--tc-hook", "clsact"];
        let first = rawbpf(&load);
        require!(CLS_BPF, if first.status.success() { Ok(()) } else { Err("no filters") });
        assert_eq!(attachments("count_in", "v0 ingress").len(), 1);
        for by in ["interface", "qdisc"] {
            if by == "interface" {
                delete(index("v0"));
                Veth::new("v0", "v1").expect("it is made again");
            } else {
                // RTM_DELQDISC of the clsact: handle ffff:, parent TC_H_CLSACT.
                let head = [
                    [0; 4],
                    index("v0").to_ne_bytes(),
                    0xffff_0000u32.to_ne_bytes(),
                    0xffff_fff1u32.to_ne_bytes(),
                    [0; 4],
                ];
                request(Message::new(37, ACK, &head.concat()));
            }
            assert_eq!(attachments("count_in", "v0 ingress").len(), 0, "{by}");
            let said = rawbpf_ok(&[&load[..], &["--replace"]].concat());
            assert_eq!(attachments("count_in", "v0 ingress").len(), 1, "{by}: {said}");
            assert_eq!(attachments("count_out", "v0 egress").len(), 1, "{by}: {said}");
        }
        rawbpf_ok(&["unload", "tc_count"]);
    });
}

#[test]
fn xdp_that_was_switched_off_is_switched_on_again() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        mount_bpffs();
        let file = object("packet_count.o");
        let load = ["load", &file, "--xdp", "v0", "--no-link"];
        rawbpf_ok(&load);
        assert_eq!(xdp_on("v0"), 1);
        // As `ip link set v0 xdp off` does it: RTM_SETLINK, IFLA_XDP with fd -1.
        let off =
            Message::new(19, ACK, &ifinfo(index("v0"))).nest(43, |xdp| xdp.push(1, &(-1i32).to_ne_bytes()));
        request(off);
        assert_eq!(xdp_on("v0"), 0);
        rawbpf_ok(&[&load[..], &["--replace"]].concat());
        assert_eq!(xdp_on("v0"), 1);
        rawbpf_ok(&["unload", "packet_count"]);
        assert_eq!(xdp_on("v0"), 0);
    });
}

#[test]
fn a_name_that_moved_on_is_followed() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let file = object("packet_count.o");
        rawbpf_ok(&["load", &file, "--xdp", "v0"]);
        rename(veth.near, "old0");
        Veth::new("v0", "v2").expect("a new one of the old name");
        let said = rawbpf_ok(&["load", &file, "--xdp", "v0", "--replace"]);
        assert_eq!((xdp_on("v0"), xdp_on("old0")), (1, 0), "{said}");
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

#[test]
fn a_load_moves_to_another_namespace() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        // A namespace that a process holds.
        let mut other = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().expect("unshare runs");
        let pid = other.id();
        let theirs = NetNs::Process(pid);
        let own = fs::metadata("/proc/thread-self/ns/net").map(|m| std::os::unix::fs::MetadataExt::ino(&m));
        let own = own.expect("a namespace");
        let there = (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            theirs.open().ok().filter(|n| n.inode() != own)
        });
        let there = there.expect("it has a namespace of its own");
        there.enter(|| Veth::new("v0", "v1").map(drop)).expect("it is entered").expect("a pair");
        let on = || there.enter(|| xdp_on("v0")).expect("it is entered");
        let file = object("packet_count.o");
        let netns = pid.to_string();
        rawbpf_ok(&["load", &file, "--xdp", "v0", "--netns", &netns]);
        assert_eq!((xdp_on("v0"), on()), (0, 1));
        rawbpf_ok(&["load", &file, "--xdp", "v0", "--netns", "self", "--replace"]);
        assert_eq!((xdp_on("v0"), on()), (1, 0));
        rawbpf_ok(&["unload", "packet_count"]);
        other.kill().expect("it is ended");
        other.wait().expect("it has ended");
    });
}

#[test]
fn another_mode_than_before_is_made() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let file = object("packet_count.o");
        rawbpf_ok(&["load", &file, "--xdp", "v0", "--xdp-mode", "native"]);
        rawbpf_ok(&["load", &file, "--xdp", "v0", "--xdp-mode", "generic", "--replace"]);
        let found = attachments("count_packets", "v0");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["detail"], "generic");
        rawbpf_ok(&["load", &file, "--xdp", "v0", "--no-link", "--replace"]);
        assert_eq!(attachments("count_packets", "v0")[0]["by"], "netlink");
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

#[test]
fn a_place_in_the_list_is_taken_when_it_is_asked_for() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        require!(TCX, crate::live_net::world::has_tcx());
        mount_bpffs();
        let file = object("tc_count.o");
        let load = |name: &str, more: &[&str]| {
            rawbpf_ok(
                &[&["load", &file, "--tc", "v0:ingress", "--program", "count_in", "--name", name], more]
                    .concat(),
            );
        };
        let order = || -> Vec<String> {
            let found = attachments("count_in", "v0 ingress");
            let pin =
                |a: &Value| a["pinned"][0].as_str().unwrap_or_default().split('/').nth(5).map(String::from);
            found.iter().map(|a| pin(a).unwrap_or_default()).collect()
        };
        load("a", &[]);
        load("b", &[]);
        assert_eq!(order(), ["a", "b"]);
        load("b", &["--first", "--replace"]);
        assert_eq!(order(), ["b", "a"]);
        load("b", &["--last", "--replace"]);
        assert_eq!(order(), ["a", "b"]);
        rawbpf_ok(&["unload", "a"]);
        rawbpf_ok(&["unload", "b"]);
    });
}

#[test]
fn every_map_is_said_to_be_kept_or_new() {
    require!(ROOT);
    in_world(|| {
        let veth = require!(VETH, Veth::new("v0", "v1"));
        require!(XDP_LINK, has_xdp_link());
        mount_bpffs();
        let file = object("packet_count.o");
        let counted = || rawbpf_json(&["map", "dump", "packet_count_map"])["elements"][0]["value"].clone();
        rawbpf_ok(&["load", &file, "--xdp", "v0"]);
        veth.send(3);
        let said = rawbpf_ok(&["load", &file, "--xdp", "v0", "--replace", "--keep-maps"]);
        assert!(said.contains("kept"), "{said}");
        veth.send(1);
        assert_eq!(counted(), 4);
        let said = rawbpf_ok(&["load", &file, "--xdp", "v0", "--replace"]);
        assert!(said.contains("new, what was in the old one goes"), "{said}");
        assert_eq!(counted(), 0);
        // Another size: it cannot be kept, but what is in it can.
        veth.send(2);
        let bigger = ["load", &file, "--xdp", "v0", "--replace", "--max-entries", "packet_count_map=4"];
        let said = rawbpf_ok(&[&bigger[..], &["--migrate"]].concat());
        assert!(said.contains("max_entries is 1, the object wants 4"), "{said}");
        assert!(said.contains("1 element copied"), "{said}");
        assert_eq!(counted(), 2);
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

#[test]
fn a_report_that_cannot_be_written_does_not_hide_that_it_is_loaded() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        mount_bpffs();
        let full = fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let out = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(["load", &object("packet_count.o"), "--xdp", "v0"])
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1));
        assert!(said.contains("`packet_count` is loaded and attached; only the report"), "{said}");
        assert_eq!(xdp_on("v0"), 1);
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

#[test]
fn what_would_go_with_the_mount_namespace_is_refused() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        // The only process of a mount namespace, and no bpffs in it.
        let args = ["-m", env!("CARGO_BIN_EXE_rawbpf"), "load", &object("packet_count.o"), "--xdp", "v0"];
        let out = Command::new("unshare").args(args).output().expect("unshare runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{said}");
        assert!(said.contains("would not stay") && said.contains("--foreground"), "{said}");
        assert_eq!(xdp_on("v0"), 0);
    });
}

#[test]
fn the_line_that_shows_it_is_one_that_works() {
    require!(ROOT);
    in_world(|| {
        require!(VETH, Veth::new("v0", "v1"));
        mount_bpffs();
        let file = object("packet_count.o");
        let see = |said: &str| -> Vec<String> {
            let line = said.lines().find_map(|l| l.strip_prefix("see it: rawbpf ")).expect("a line");
            line.split(' ').map(String::from).collect()
        };
        for name in ["one", "two"] {
            let said = rawbpf_ok(&["load", &file, "--name", name]);
            let words = see(&said);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            rawbpf_ok(&words);
        }
        let said = rawbpf_fails(1, &["map", "dump", "packet_count_map"]);
        assert!(said.contains("2 maps have the name"), "{said}");
        rawbpf_ok(&["map", "dump", "two/packet_count_map"]);
        rawbpf_ok(&["unload", "one"]);
        rawbpf_ok(&["unload", "two"]);
    });
}
