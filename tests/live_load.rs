//! The main job on a real kernel and real packets: load, attach, count, replace, unload.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rawbpf::elf::{MapDecl, Object, Ty};
use rawbpf::insn::net::XDP_PASS;
use rawbpf::insn::text;
use rawbpf::sys::TestRun;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Options, Target, Xdp, XdpMode};

use crate::gate::{ROOT, VETH, require};
use crate::net::{Veth, in_namespace, mount_bpffs, object, rawbpf_fails, rawbpf_json, rawbpf_ok, set_mtu};

/// What is left of the loads of this namespace.
fn left_behind() -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![Path::new("/sys/fs/bpf/rawbpf").to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            out.push(entry.path().display().to_string());
            todo.push(entry.path());
        }
    }
    out
}

/// The counter of the only map of this name.
fn counted(map: &str) -> u64 {
    let dump = rawbpf_json(&["map", "dump", map]);
    dump["elements"][0]["value"].as_u64().unwrap_or_else(|| panic!("a number in {dump}"))
}

#[test]
fn the_main_job() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let counter = object("packet_count.o");
        let said = rawbpf_ok(&["load", &counter, "--xdp", "near0"]);
        assert!(said.contains("loaded packet_count from"), "{said}");
        assert!(said.contains("undo it: rawbpf unload packet_count"), "{said}");
        veth.send(1000);
        assert_eq!(counted("packet_count_map"), 1000);
        assert_eq!(counted("/sys/fs/bpf/rawbpf/packet_count/maps/packet_count_map"), 1000);
        let id = rawbpf_json(&["map", "dump", "packet_count_map"])["map"]["id"].to_string();
        let by_id = rawbpf_json(&["map", "dump", "id", &id]);
        assert_eq!(by_id["elements"][0]["value"], 1000);
        assert_eq!(by_id["map"]["name"], "packet_count_map", "the full name, from BTF alone");
        let mode = |path: &str| {
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).expect("it is there").permissions())
                & 0o777
        };
        for dir in ["", "/packet_count", "/packet_count/maps", "/packet_count/progs", "/packet_count/links"] {
            assert_eq!(mode(&format!("/sys/fs/bpf/rawbpf{dir}")), 0o700, "{dir}");
        }
        let links = rawbpf_json(&["link", "list"]);
        let mine = links["links"].as_array().expect("a list").iter().find(|l| l["hook"] == "XDP on near0");
        assert_eq!(mine.expect("the link is listed")["program"], "count_packets");
        rawbpf_ok(&["unload", "packet_count"]);
        assert!(left_behind().is_empty(), "{:?}", left_behind());
        assert!(rawbpf_fails(5, &["unload", "packet_count"]).contains("nothing is loaded under the name"));
    });
}

#[test]
fn a_map_is_found_by_whatever_name_it_has() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        // A name that no other test uses, of which the kernel keeps 15 letters.
        let long = format!("unique_{:08}_and_long", std::process::id());
        let short: String = long.chars().take(15).collect();
        let decl = || MapDecl::new(&long, MapType::Array, 1).key(Ty::U32).value(Ty::U64);
        let loaded = |decl| {
            let object = Object::builder("named").map(decl).finish().expect("an object");
            object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it loads")
        };
        let first = loaded(decl());
        let id = first.map(&long).expect("by its full name").info().id;
        for name in [&long, &short] {
            assert_eq!(rawbpf_json(&["map", "dump", name])["map"]["id"], id, "{name}");
        }
        let mut wrong = long.clone();
        wrong.replace_range(0..1, "U");
        assert!(rawbpf_fails(5, &["map", "dump", &wrong]).contains(&format!("did you mean `{long}`?")));
        let second = loaded(decl());
        let said = rawbpf_fails(1, &["map", "dump", &long]);
        let other = second.map(&long).expect("by its full name").info().id;
        assert!(said.contains(&format!("2 maps have the name `{long}`")), "{said}");
        assert!(said.contains(&format!("id {id} ")) && said.contains(&format!("id {other} ")), "{said}");
        // A pin wins over the name alone.
        std::fs::create_dir_all("/sys/fs/bpf/rawbpf/x/maps").expect("directories");
        second
            .map(&long)
            .expect("it is there")
            .pin(format!("/sys/fs/bpf/rawbpf/x/maps/{long}"))
            .expect("a pin");
        assert_eq!(rawbpf_json(&["map", "dump", &long])["map"]["id"], other);
        // A bpffs says of each name with a dot that it is forbidden.
        for what in [["map", "dump"], ["prog", "show"], ["link", "show"]] {
            let said = rawbpf_fails(5, &[what[0], what[1], "/sys/fs/bpf/rawbpf/x/maps/.bss"]);
            assert!(said.contains("names in a bpffs have no dots"), "{said}");
        }
    });
}

#[test]
fn a_name_is_taken_once_and_replaced_without_a_gap() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let counter = object("packet_count.o");
        rawbpf_ok(&["load", &counter, "--xdp", "near0"]);
        let said = rawbpf_fails(1, &["load", &counter, "--xdp", "near0"]);
        assert!(said.contains("is loaded already") && said.contains("--replace"), "{said}");
        let before = rawbpf_json(&["link", "list"]);
        rawbpf_ok(&["load", &counter, "--replace"]);
        let after = rawbpf_json(&["link", "list"]);
        let pick = |list: &serde_json::Value, field: &str| {
            let links = list["links"].as_array().cloned().unwrap_or_default();
            links.iter().find(|l| l["hook"] == "XDP on near0").map(|l| l[field].clone())
        };
        assert_eq!(pick(&before, "id"), pick(&after, "id"), "the link stays");
        assert_ne!(pick(&before, "prog_id"), pick(&after, "prog_id"), "the program is new");
        veth.send(7);
        assert_eq!(counted("packet_count_map"), 7, "the new program counts in the new map");
        rawbpf_ok(&["unload", "packet_count.o"]);
        assert!(left_behind().is_empty());
    });
}

#[test]
fn what_fails_half_way_leaves_nothing() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        let counter = object("packet_count.o");
        let said = rawbpf_fails(5, &["load", &counter, "--xdp", "near0,nosuch"]);
        assert!(
            said.contains("no interface `nosuch`") && said.contains("far0") && said.contains("near0"),
            "{said}"
        );
        assert!(left_behind().is_empty(), "{:?}", left_behind());
        rawbpf_ok(&["load", &counter, "--xdp", "near0,far0"]);
        let said = rawbpf_fails(1, &["load", &counter, "--xdp", "near0", "--name", "other"]);
        assert!(said.contains("`count_packets` (id ") && said.contains("native mode"), "{said}");
        veth.send(3);
        assert_eq!(counted("packet_count_map"), 3);
        rawbpf_ok(&["unload", "packet_count"]);
        assert!(left_behind().is_empty(), "{:?}", left_behind());
    });
}

#[test]
fn a_bpffs_is_mounted_unless_that_is_forbidden() {
    require!(ROOT);
    in_namespace(|| {
        require!(VETH, Veth::new("near0", "far0"));
        let counter = object("packet_count.o");
        let said = rawbpf_fails(1, &["load", &counter, "--xdp", "near0", "--no-mount"]);
        assert!(said.contains("no bpffs is mounted at /sys/fs/bpf"), "{said}");
        let out = crate::net::rawbpf(&["load", &counter, "--xdp", "near0"]);
        assert!(out.status.success());
        assert!(String::from_utf8_lossy(&out.stderr).contains("mounted a bpffs at /sys/fs/bpf"));
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

/// A process that does not outlive a test that fails.
struct Child(std::process::Child);

impl Child {
    fn spawn(command: &mut Command) -> Child {
        Child(command.spawn().expect("it starts"))
    }
}

impl std::ops::Deref for Child {
    type Target = std::process::Child;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Child {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn in_the_foreground_a_signal_detaches() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        for signal in [nix::sys::signal::Signal::SIGINT, nix::sys::signal::Signal::SIGTERM] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
            command.args(["load", &object("packet_count.o"), "--xdp", "near0", "--foreground"]);
            let mut child = Child::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
            let mut lines =
                std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().expect("a pipe")));
            let map = lines.by_ref().map_while(Result::ok).find(|l| l.starts_with("  map "));
            let id =
                map.as_deref().and_then(|l| l.split_whitespace().last()).expect("the map's id").to_string();
            let since = Instant::now();
            let attached = || crate::net::rawbpf(&["map", "dump", "id", &id]).status.success();
            veth.send(5);
            assert_eq!(rawbpf_json(&["map", "dump", "id", &id])["elements"][0]["value"], 5);
            assert!(left_behind().is_empty(), "nothing is pinned");
            let pid = nix::unistd::Pid::from_raw(child.id() as i32);
            nix::sys::signal::kill(pid, signal).expect("a signal is sent");
            assert!(child.wait().expect("it ends").success());
            let mut said = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
            assert!(said.contains("detached"), "{said}");
            // The kernel frees a map some time after its last user.
            while attached() && since.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(!attached(), "the map is gone with it");
        }
    });
}

#[test]
fn a_large_mtu_is_named_as_the_reason() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(VETH, set_mtu(veth.far, 9000).and_then(|()| set_mtu(veth.near, 9000)));
        let counter = object("packet_count.o");
        let said = rawbpf_fails(1, &["load", &counter, "--xdp", "near0", "--xdp-mode", "native"]);
        assert!(said.contains("MTU"), "{said}");
        assert!(left_behind().is_empty());
        // Mode auto takes the stack instead, and says so.
        let said = rawbpf_ok(&["load", &counter, "--xdp", "near0"]);
        assert!(said.contains("fell back to generic mode") && said.contains("MTU"), "{said}");
        veth.send(4);
        assert_eq!(counted("packet_count_map"), 4);
        rawbpf_ok(&["unload", "packet_count"]);
    });
}

/// The packet counter as the example assembles it.
fn assembled() -> Object {
    crate::live_examples::packet_counter::program().expect("it is an object")
}

/// The packet counter in three ways: from C, assembled in Rust, from text.
fn three_ways() -> [(&'static str, Object); 3] {
    let source = fs::read_to_string(object("packet_count.s")).expect("the text is there");
    let program = text::assemble("packet_count.s", &source).expect("it assembles");
    [
        ("C", Object::open(object("packet_count.o")).expect("clang's object")),
        ("Rust", assembled()),
        ("text", Object::from_text("packet_count", &program).expect("an object")),
    ]
}

#[test]
fn three_packet_counters_count_the_same() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let mut sizes = Vec::new();
        for (way, object) in three_ways() {
            let loaded = object.plan(&Kernel::host(), &Options::default()).expect(way).run().expect(way);
            let program = loaded.program("count_packets").expect(way);
            let counts = loaded.map("packet_count_map").expect(way);
            let count =
                || u64::from_ne_bytes(counts.get(&[0; 4]).expect(way).expect(way).try_into().expect(way));
            let run = TestRun { data: vec![0; 64], repeat: 10, ..TestRun::default() };
            let ran = program.test_run(&run).expect(way);
            assert_eq!((ran.retval, count()), (XDP_PASS as u32, 10), "{way}");
            let target = Target::Xdp(Xdp { interface: "near0".into(), mode: XdpMode::Auto });
            let link = rawbpf::attach(program, &target).expect(way);
            veth.send(321);
            assert_eq!(count(), 331, "{way}");
            // Not by dropping it: a child that another test is just starting may hold a copy until it execs.
            link.detach().expect(way);
            veth.send(5);
            assert_eq!(count(), 331, "{way}: detached");
            sizes.push((way, object.program("count_packets").expect(way).func.insns.len()));
        }
        let [(_, c), (_, rust), (_, text)] = sizes.as_slice() else { panic!("three ways") };
        assert!(rust <= c && text <= c, "ours has no more instructions than clang's: {sizes:?}");
    });
}

#[test]
fn the_example_prints_what_it_counts() {
    require!(ROOT);
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        let example =
            Path::new(env!("CARGO_BIN_EXE_rawbpf")).with_file_name("examples").join("packet_counter");
        if !example.exists() {
            // Guests have the command and the tests only.
            return crate::gate::skip(&crate::gate::HOST, "the example is not here");
        }
        let mut child = Child::spawn(Command::new(example).arg("near0").stdout(Stdio::piped()));
        let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = std::io::BufRead::lines(lines).map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("Packet count: 0"));
        veth.send(42);
        let since = Instant::now();
        let found = lines.by_ref().take_while(|_| since.elapsed() < Duration::from_secs(10));
        assert!(found.into_iter().any(|l| l == "Packet count: 42"));
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(child.id() as i32),
            nix::sys::signal::Signal::SIGTERM,
        )
        .expect("a signal is sent");
        assert!(child.wait().expect("it ends").success());
    });
}

#[test]
fn no_descriptor_is_leaked() {
    require!(ROOT);
    let open = || fs::read_dir("/proc/self/fd").map(|d| d.count()).unwrap_or(0);
    let object = assembled();
    let kernel = Kernel::host();
    let load = || drop(object.plan(&kernel, &Options::default()).expect("a plan").run().expect("it loads"));
    load();
    let before = open();
    for _ in 0..50 {
        load();
    }
    // Other tests may be opening and closing files meanwhile; a leak would be 50 times 3.
    assert!(open() < before + 50, "{before} descriptors before, {} after", open());
}
