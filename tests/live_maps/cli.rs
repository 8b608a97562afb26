//! The verbs for maps and for what programs say, as they are typed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{hash, load, make, map, run};
use crate::gate::{JIT, MAP_BTF, ROOT, TRACE_INSTANCE, USER_RINGBUF, require};
use crate::net::{in_namespace, mount_bpffs, rawbpf_fails, rawbpf_json, rawbpf_ok};
use rawbpf::btf::{BtfBuilder, IntEncoding, NewMember};
use rawbpf::events::UserRingBuf;
use rawbpf::insn::{Asm, R0};
use rawbpf::maps::{Builder, Map};
use rawbpf::sys;
use rawbpf::sys::attr::Fd;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Object, Options};

/// `words` with the map in place of `MAP`.
fn on(map: &Map, words: &str) -> Vec<String> {
    let id = map.info().id.to_string();
    let word = |w: &str| if w == "MAP" { vec!["id".into(), id.clone()] } else { vec![w.to_string()] };
    words.split(' ').flat_map(word).collect()
}

fn ok(map: &Map, words: &str) -> String {
    let words = on(map, words);
    rawbpf_ok(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn fails(status: i32, map: &Map, words: &str) -> String {
    let words = on(map, words);
    rawbpf_fails(status, &words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn document(map: &Map, words: &str) -> Json {
    let words = on(map, words);
    let document = rawbpf_json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(document["schema"], 1, "{document}");
    document
}

/// JSON lines, each parsed.
fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

#[test]
fn elements_are_written_read_and_deleted() {
    require!(ROOT);
    let map = make(&hash("cli_hash", 2)).expect("a hash");
    ok(&map, "map set MAP 1 100");
    let key: Vec<String> = 2u32.to_ne_bytes().iter().map(|b| format!("{b:02x}")).collect();
    ok(&map, &format!("map set MAP hex {} hex ff00000000000000", key.join(" ")));
    assert_eq!(map.get(&1u32.to_ne_bytes()).expect("read"), Some(100u64.to_ne_bytes().to_vec()));
    let get = document(&map, &format!("map get MAP hex {}", key.concat()));
    assert_eq!(get["value"], "ff 00 00 00 00 00 00 00");
    ok(&map, "map set MAP 2 7 --existing");
    assert_eq!(map.get(&2u32.to_ne_bytes()).expect("read"), Some(7u64.to_ne_bytes().to_vec()));
    assert!(ok(&map, "map del MAP 1 2").contains("deleted 2 elements"));
    assert_eq!(document(&map, "map dump MAP")["elements"], json!([]));
}

#[test]
fn what_cannot_be_done_is_said() {
    require!(ROOT);
    let map = make(&hash("cli_refusals", 1)).expect("a hash");
    ok(&map, "map set MAP 1 -5");
    assert!(fails(1, &map, "map set MAP 1 7 --new").contains("the key is there already"));
    assert!(fails(1, &map, "map set MAP 2 7").contains("the map is full"));
    assert!(fails(5, &map, "map set MAP 2 7 --existing").contains("ENOENT"));
    assert!(fails(5, &map, "map get MAP 77").contains("no element 77"));
    assert!(fails(2, &map, "map get MAP x").contains("write a number"));
    assert!(fails(2, &map, "map get MAP 1 2").contains("one word too many"));
    assert!(fails(2, &map, "map push MAP 2").contains("use `map get`"));
    assert!(fails(2, &map, "events MAP").contains("is of type hash"));
    assert!(fails(2, &map, "map set MAP 1 7 --cpu 0").contains("one value for all CPUs"));
    let cpus = Builder::new(MapType::PercpuArray, "cli_cpus").key_size(4).value_size(8).max_entries(1);
    let cpus = make(&cpus).expect("an array");
    let none = sys::possible_cpus().expect("sysfs tells");
    assert!(fails(2, &cpus, &format!("map set MAP 0 7 --cpu {none}")).contains("there is no CPU"));
    assert!(ok(&map, "map del MAP --all").contains("deleted 1 element"));
    assert!(fails(5, &map, "map del MAP 1").contains("no element 1"));
    ok(&map, "map set MAP 1 7");
}

#[test]
fn values_have_their_types() {
    require!(ROOT);
    let loaded = load("packet_count");
    let map = map(&loaded, "packet_count_map");
    require!(MAP_BTF, map.btf().is_some());
    ok(&map, "map set MAP 0 42");
    assert_eq!(ok(&map, "map get MAP 0"), "42\n");
    assert_eq!(document(&map, "map get MAP 0")["value"], 42);
    let dump = document(&map, "map dump MAP");
    assert_eq!((&dump["complete"], &dump["elements"]), (&json!(true), &json!([{"key": 0, "value": 42}])));
    let text = ok(&map, "map dump MAP");
    assert!(text.starts_with("KEY  VALUE\n") && text.ends_with("1 element\n"), "{text}");
    assert_eq!(document(&map, "map show MAP")["id"], map.info().id);
    assert!(fails(1, &map, "map del MAP --all").contains("cannot be deleted"));
    assert!(fails(2, &map, "map set MAP 0 many").contains("the value cannot be read"));
}

#[test]
fn what_is_exported_can_be_imported() {
    require!(ROOT);
    let (from, to) =
        (make(&hash("cli_from", 3000)).expect("a hash"), make(&hash("cli_to", 3000)).expect("a hash"));
    for n in 0..2500u32 {
        from.set(&n.to_ne_bytes(), &u64::from(n).to_ne_bytes(), 0).expect("written");
    }
    let text = ok(&from, "map export MAP");
    assert_eq!(lines(&text).len(), 2500);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let words = format!("map import MAP --from {}", file.path().display());
    assert!(ok(&to, &words).contains("wrote 2500 elements"));
    assert_eq!(to.get(&2499u32.to_ne_bytes()).expect("read"), Some(2499u64.to_ne_bytes().to_vec()));
    assert_eq!(document(&to, "map dump MAP")["elements"].as_array().map(Vec::len), Some(2500));
    assert!(fails(1, &to, &format!("{words} --new")).contains("line 1 of the input"));
    file.write_all(b"{\"key\":\"zz\"}\n").expect("written");
    assert!(fails(2, &to, &words).contains("line 2501 of the input"));
}

/// What `map export` wrote is read again as it was.
fn round_trip(map: &Map) -> Vec<Json> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let text = ok(map, "map export MAP");
    file.write_all(text.as_bytes()).expect("written");
    let sorted = |text: &str| {
        let mut all: Vec<String> = text.lines().map(String::from).collect();
        all.sort();
        all
    };
    if map.info().map_type != MapType::ArrayOfMaps {
        ok(map, "map del MAP --all");
    }
    ok(map, &format!("map import MAP --from {}", file.path().display()));
    assert_eq!(sorted(&ok(map, "map export MAP")), sorted(&text));
    lines(&text)
}

/// A hash with wide numbers, an enumeration, text, bytes and a list.
fn mixed() -> Option<Map> {
    let mut b = BtfBuilder::new();
    let int = |b: &mut BtfBuilder, name, size, encoding| b.int(name, size, encoding);
    let key = int(&mut b, "unsigned int", 4, IntEncoding::UNSIGNED);
    let wide = int(&mut b, "__int128", 16, IntEncoding::SIGNED);
    let byte = int(&mut b, "unsigned char", 1, IntEncoding::UNSIGNED);
    let verdict = b.enumeration("verdict", 4, &[("V_PASS", 0), ("V_DROP", 1)]);
    let bytes = b.array(byte, key, 4);
    let value = b.composite(
        false,
        "mixed",
        24,
        &[
            NewMember::at("wide", wide, 0),
            NewMember::at("verdict", verdict, 128),
            NewMember::at("raw", bytes, 160),
        ],
    );
    let (btf, _) = sys::btf_load(&b.to_bytes().expect("types"), &mut [], Fd::borrow(None));
    let btf = btf.ok()?;
    let builder = Builder::new(MapType::Hash, "mixed").key_size(4).value_size(24).max_entries(4);
    builder.types(&btf, key, value).create().ok()
}

#[test]
fn wide_numbers_and_names_go_round() {
    require!(ROOT);
    let map = mixed();
    require!(MAP_BTF, map.is_some());
    let map = map.expect("it is there");
    ok(&map, "map set MAP 1 {wide:-170141183460469231731687303715884105728,verdict:V_DROP,raw:[1,2,3,255]}");
    // As JSON has it: names and large numbers in quotes.
    ok(&map, r#"map set MAP "2" {"wide":"170141183460469231731687303715884105727","verdict":"V_PASS"}"#);
    let mut all = round_trip(&map);
    all.sort_by_key(|element| element["key"].as_u64());
    assert_eq!(all[0]["value"]["wide"], "-170141183460469231731687303715884105728");
    assert_eq!(
        (&all[0]["value"]["verdict"], &all[0]["value"]["raw"]),
        (&json!("V_DROP"), &json!("01 02 03 ff"))
    );
    assert_eq!(all[1]["value"]["wide"], "170141183460469231731687303715884105727");
    for (line, said) in [
        (r#"{"key":1,"value":{"vedict":"V_PASS"}}"#, "`vedict` is none of its names: wide, verdict, raw"),
        (r#"{"key":1,"value":{"verdict":null}}"#, "`verdict` (enum verdict): `null` is none of its names"),
        (r#"{"key":1,"value":{"raw":[1,2,3,4,5]}}"#, "`raw` (unsigned char[4]): 5 elements do not fit"),
        (r#"{"key":1,"value":{"raw":[1,256]}}"#, "`raw[1]` (unsigned char): 256 does not fit"),
        (r#"{"key":null,"value":{}}"#, "expected a number, found `null`"),
        (r#"{"key":1}"#, "it has no `value`"),
        ("null", "it has no `key`"),
    ] {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(line.as_bytes()).expect("written");
        let text = fails(2, &map, &format!("map import MAP --from {}", file.path().display()));
        assert!(text.contains(said) && text.contains("line 1 of the input"), "{line}: {text}");
    }
}

#[test]
fn maps_of_maps_go_round_by_their_ids() {
    require!(ROOT);
    let inner = make(&hash("cli_inner", 3)).expect("a hash");
    let id = inner.info().id;
    for map_type in [MapType::HashOfMaps, MapType::ArrayOfMaps] {
        let builder = Builder::new(map_type, "cli_outer").key_size(4).value_size(4).max_entries(2);
        let outer = builder.inner(&inner).create().expect("a map of maps");
        ok(&outer, &format!("map set MAP 1 id {id}"));
        assert_eq!(ok(&outer, "map get MAP 1"), format!("{id}\n"));
        let at_1 = round_trip(&outer).into_iter().find(|e| e["value"] == id);
        assert!(at_1.is_some(), "{map_type}");
    }
}

#[test]
fn programs_behind_interfaces_go_round_by_their_ids() {
    require!(ROOT);
    in_namespace(|| {
        let mut pass = Asm::named("pass");
        pass.mov64(R0, 2).exit();
        let pass = pass.finish().expect("it is complete");
        let object = Object::builder("behind").license("GPL").program("xdp/devmap", pass).finish();
        let plan = object.expect("an object").plan(&Kernel::host(), &Options::default()).expect("a plan");
        let loaded = plan.run().expect("it loads");
        let id = loaded.program("pass").and_then(|p| p.info().ok()).expect("it is there").id;
        for map_type in [MapType::Devmap, MapType::DevmapHash] {
            let of = |size| Builder::new(map_type, "cli_devices").key_size(4).value_size(size).max_entries(1);
            let map = of(8).create().expect("a map of interfaces");
            ok(&map, &format!("map set MAP 0 lo program id {id}"));
            round_trip(&map);
            let value = map.get(&[0; 4]).expect("it is read").expect("it is there");
            assert_eq!(value, [1u32.to_ne_bytes(), id.to_ne_bytes()].concat(), "{map_type}");
            let short = of(4).create().expect("a map of interfaces");
            assert!(fails(2, &short, &format!("map set MAP 0 lo program id {id}")).contains("needs 8 bytes"));
        }
    });
}

#[test]
fn what_is_no_table_says_what_it_is() {
    require!(ROOT);
    let bare = |map_type, entries| Builder::new(map_type, "cli_bare").max_entries(entries);
    if let Ok(ring) = bare(MapType::Ringbuf, 4096).create() {
        for words in ["map get MAP 0", "map set MAP 0 0", "map del MAP 0", "map push MAP 0", "map pop MAP"] {
            assert!(fails(2, &ring, words).contains("read it with `rawbpf events`"), "{words}");
        }
    }
    let perf = bare(MapType::PerfEventArray, 2).key_size(4).value_size(4).create().expect("an array");
    assert!(fails(2, &perf, "map get MAP 0").contains("holds channels"));
    assert!(fails(2, &perf, "map set MAP 0 0").contains("opened by whoever reads it"));
    if let Ok(sockets) = bare(MapType::Sockmap, 2).key_size(4).value_size(4).create() {
        assert!(fails(2, &sockets, "map get MAP 0").contains("cannot be read from user space"));
        assert!(fails(2, &sockets, "map set MAP 0 0").contains("belongs to a process"));
        assert!(fails(5, &sockets, "map del MAP 0").contains("no element 0"));
    }
}

#[test]
fn a_map_is_made_pinned_and_frozen() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let (path, again) = ("/sys/fs/bpf/cli_made", "/sys/fs/bpf/cli_again");
        let create = ["map", "create", path, "--type", "percpu_array", "--value", "8", "--entries", "2"];
        assert!(rawbpf_ok(&create).contains("created map `cli_made`"));
        assert!(rawbpf_fails(1, &create).contains("the name is taken"));
        rawbpf_ok(&["map", "pin", path, again]);
        rawbpf_ok(&["map", "set", again, "1", "7"]);
        let values = rawbpf_json(&["map", "get", path, "1"])["values"].clone();
        let one = "07 00 00 00 00 00 00 00";
        let one = if cfg!(target_endian = "big") { "00 00 00 00 00 00 00 07" } else { one };
        assert_eq!(values, json!(vec![one; sys::possible_cpus().expect("sysfs tells")]));
        assert!(rawbpf_fails(2, &["map", "set", again, "1", "7", "--merge"]).contains("for each CPU"));
        let kind = rawbpf_fails(2, &["map", "create", path, "--type", "hsh"]);
        assert!(kind.contains("not a map type") && kind.contains("lpm_trie"), "{kind}");
        let queue = "/sys/fs/bpf/cli_queue";
        rawbpf_ok(&["map", "create", queue, "--type", "queue", "--value", "4", "--entries", "1"]);
        rawbpf_ok(&["map", "push", queue, "3"]);
        assert!(rawbpf_fails(1, &["map", "push", queue, "4"]).contains("the map is full"));
        assert_eq!(rawbpf_ok(&["map", "peek", queue]), rawbpf_ok(&["map", "pop", queue]));
        assert!(rawbpf_fails(5, &["map", "pop", queue]).contains("it is empty"));
        assert!(rawbpf_fails(2, &["map", "dump", queue]).contains("map peek"));
    });
}

#[test]
fn a_frozen_map_says_so() {
    require!(ROOT);
    let map = make(&hash("cli_frozen", 2)).expect("a hash");
    map.freeze().expect("frozen");
    assert!(fails(3, &map, "map set MAP 1 1").contains("frozen"));
}

#[test]
fn events_come_with_their_types_and_a_last_word() {
    require!(ROOT);
    let loaded = load("ring_events");
    let ring = map(&loaded, "events");
    // Every eighth is taken back.
    run(loaded.program("send_event").expect("it is there"), 10);
    let out = lines(&ok(&ring, "events MAP --count 9 --seconds 20 --type event --json"));
    let nth: Vec<_> = out.iter().filter_map(|l| l["event"]["nth"].as_u64()).collect();
    assert_eq!(nth, [0, 1, 2, 3, 4, 5, 6, 8, 9]);
    assert_eq!(out.last(), Some(&json!({"events": 9, "lost": 0, "dropped": null})));
}

#[test]
fn records_are_given_to_programs() {
    require!(ROOT);
    require!(USER_RINGBUF, make(&Builder::new(MapType::UserRingbuf, "orders")));
    require!(JIT);
    let loaded = load("orders");
    let orders = map(&loaded, "orders");
    ok(&orders, "map push MAP 7 --type __u64");
    let bytes: String = 30u64.to_ne_bytes().iter().map(|b| format!(" {b:02x}")).collect();
    assert!(ok(&orders, &format!("map push MAP hex{bytes}")).starts_with("put a record of 8 bytes into map"));
    assert_eq!(run(loaded.program("take_orders").expect("it is there"), 1), 2);
    let taken = document(&map(&loaded, "taken"), "map dump MAP");
    assert_eq!(taken["elements"], json!([{"key": 0, "value": 2}, {"key": 1, "value": 37}]));
    assert!(fails(2, &orders, "map push MAP 7").contains("name it with --type"));
    assert!(fails(2, &map(&loaded, "taken"), "map push MAP 7").contains("whose elements have keys"));
    let mut ring = UserRingBuf::new(orders.clone()).expect("mapped");
    while ring.push(&1u64).expect("push") {}
    assert!(fails(1, &orders, "map push MAP 7 --type __u64").contains("is full"));
}

#[test]
fn the_trace_is_followed_until_it_is_stopped() {
    require!(ROOT);
    let loaded = load("print");
    require!(TRACE_INSTANCE, rawbpf::events::TracePipe::private());
    let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
    let mut child = command
        .args(["trace", "--json", "--seconds", "20"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (sender, lines) = std::sync::mpsc::channel();
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    let reader = std::thread::spawn(move || {
        while let Some(Ok(line)) = output.next() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    // What is printed before the command listens is not heard, so it is printed until it is.
    let (me, begin) = (nix::unistd::gettid().as_raw(), Instant::now());
    let mut heard = None;
    while heard.is_none() && begin.elapsed() < Duration::from_secs(15) {
        run(loaded.program("print_hello").expect("it is there"), 1);
        let Ok(line) = lines.recv_timeout(Duration::from_millis(100)) else { continue };
        heard = serde_json::from_str::<Json>(&line).ok().filter(|l| l["pid"] == me);
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a signal");
    let status = child.wait().expect("it ends");
    drop(lines);
    reader.join().expect("it ends");
    assert_eq!(heard.expect("a line")["message"], "hello from 64 bytes");
    assert!(status.success(), "{status}");
}
