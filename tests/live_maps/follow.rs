//! The verbs that follow what happens: `map watch`, `events` with its figures, `stack`; and `map del --all`, which
//! must not follow for ever.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use rawbpf::elf::{MapDecl, Object, Ty};
use rawbpf::maps::Map;
use rawbpf::sys::TestRun;
use rawbpf::uapi::MapType;
use rawbpf::{Kernel, Loaded, Options};
use serde_json::{Value as Json, json};

use super::{hash, load, make, map, run};
use crate::gate::{ROOT, STACKTRACE, require};
use crate::net::{rawbpf_json, rawbpf_ok, stay_on};

fn id(map: &Map) -> String {
    map.info().id.to_string()
}

/// JSON lines, each parsed.
fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
}

fn rawbpf(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rawbpf")).args(args).output().expect("it starts")
}

fn sends(loaded: &Loaded, times: u32) {
    run(loaded.program("send_event").expect("it is there"), times);
}

#[test]
fn a_watch_shows_what_changes_and_how_fast() {
    require!(ROOT);
    let decl = MapDecl::new("watched", MapType::Hash, 4).key(Ty::U32).value(Ty::U64);
    let object = Object::builder("watched").map(decl).finish().expect("an object");
    let loaded = object.plan(&Kernel::host(), &Options::default()).expect("a plan").run().expect("it loads");
    let watched = map(&loaded, "watched");
    for key in [1u32, 2] {
        watched.set(&key.to_ne_bytes(), &100u64.to_ne_bytes(), 0).expect("set");
    }
    let (stop, id) = (AtomicBool::new(false), id(&watched));
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Faster than the watch looks, so that every look sees a change.
            for n in 101u64.. {
                watched.set(&2u32.to_ne_bytes(), &n.to_ne_bytes(), 0).expect("set");
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let out = rawbpf(&["map", "watch", "id", &id, "--interval", "0.05", "--count", "3", "--json"]);
        stop.store(true, Ordering::Relaxed);
        out
    });
    let seen = lines(&String::from_utf8_lossy(&out.stdout));
    assert!(out.status.success());
    let of = |key: u64| seen.iter().filter(|l| l["key"] == key).collect::<Vec<_>>();
    assert_eq!(of(1).len(), 1, "it did not change: {seen:?}");
    assert_eq!(of(2).len(), 3, "{seen:?}");
    assert!(of(2)[2]["change_per_second"].as_i64().is_some_and(|rate| rate > 0), "{seen:?}");
    assert!(of(2)[0]["change_per_second"].is_null(), "{seen:?}");
}

#[test]
fn a_watch_of_a_ring_says_how_full_it_is() {
    require!(ROOT);
    let loaded = load("ring_events");
    sends(&loaded, 7);
    let ring = map(&loaded, "events");
    let text = rawbpf_ok(&["map", "watch", "id", &id(&ring), "--count", "1", "--json"]);
    let seen = lines(&text);
    // Seven events of 16 bytes with a head of 8 each; none was read.
    assert_eq!((&seen[0]["waiting"], &seen[0]["size"]), (&json!(7 * 24), &json!(65536)));
    assert_eq!(seen[0]["read"], 0);
}

#[test]
fn events_of_perf_buffers_come_with_their_cpu() {
    require!(ROOT);
    stay_on(0);
    let loaded = load("perf_events");
    let events = map(&loaded, "events");
    let child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
        .args(["events", "id", &id(&events), "--count", "5", "--seconds", "20", "--type", "event", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let (done, program) = (AtomicBool::new(false), loaded.program("send_event").expect("it is there"));
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            stay_on(0);
            // Nobody hears them until the command has opened its buffers.
            while !done.load(Ordering::Relaxed) {
                run(program, 1);
                std::thread::yield_now();
            }
        });
        let out = child.wait_with_output();
        done.store(true, Ordering::Relaxed);
        out.expect("it ends")
    });
    assert!(out.status.success());
    let seen = lines(&String::from_utf8_lossy(&out.stdout));
    let events: Vec<_> = seen.iter().filter(|l| l["event"].is_object()).collect();
    assert_eq!(events.len(), 5, "{seen:?}");
    assert!(events.iter().all(|e| e["cpu"] == 0 && e["event"]["cpu"] == 0), "{seen:?}");
    assert_eq!(seen.last().map(|l| &l["events"]), Some(&json!(5)));
}

/// What a program counts in a map of its own is reported, and can be a failure.
#[test]
fn drops_that_a_program_counts_are_told() {
    require!(ROOT);
    let loaded = load("ring_events");
    let (ring, counts) = (id(&map(&loaded, "events")), id(&map(&loaded, "event_counts")));
    let tail = ["--seconds", "1", "--hex", "--json"];
    // The three ways to say which map is which; nothing happens meanwhile.
    for maps in [
        vec!["events", "id", &ring, "--drops", "id", &counts],
        vec!["events", "--drops", "id", &counts, "--fail-on-loss", "id", &ring],
    ] {
        let out = rawbpf(&[&maps[..], &["--count", "0"], &tail].concat());
        assert!(out.status.success(), "{maps:?}: {}", String::from_utf8_lossy(&out.stderr));
        let last = lines(&String::from_utf8_lossy(&out.stdout)).pop().expect("a last word");
        assert_eq!(last["dropped"], json!({"sent": 0, "taken_back": 0, "dropped": 0}));
    }
    let out = rawbpf(&["events", "--drops", "id", &counts]);
    assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
    // While it listens to a ring that it does not empty, the program drops.
    let full = load("ring_events");
    sends(&full, 4000);
    let (ring, counts) = (id(&map(&full, "events")), id(&map(&full, "event_counts")));
    let stop = AtomicBool::new(false);
    let begun = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                sends(&full, 3000);
            }
        });
        let args = ["events", "id", &ring, "--drops", "id", &counts, "--fail-on-loss"];
        let out = rawbpf(&[&args[..], &tail].concat());
        stop.store(true, Ordering::Relaxed);
        out
    });
    let last = lines(&String::from_utf8_lossy(&begun.stdout)).pop().expect("a last word");
    let dropped = last["dropped"]["dropped"].as_u64().expect("a number");
    assert!(dropped > 0, "{last}");
    assert_eq!(begun.status.code(), Some(1), "{}", String::from_utf8_lossy(&begun.stderr));
}

#[test]
fn a_stack_has_names_on_the_command_line() {
    require!(ROOT);
    let loaded = load("stacks");
    let program = loaded.program("take_stacks").expect("it is there");
    program.test_run(&TestRun::default()).expect("it runs");
    let ids = map(&loaded, "stack_ids").get(&0u32.to_ne_bytes()).expect("read").expect("there");
    let taken = i64::from_ne_bytes(ids.try_into().expect("8 bytes"));
    let taken = require!(STACKTRACE, u32::try_from(taken).map_err(|_| "no stack was taken")).to_string();
    let stacks = id(&map(&loaded, "stacks"));
    let all = rawbpf_json(&["stack", "id", &stacks]);
    let list = all["stacks"].as_array().expect("a list");
    let one = list.iter().find(|s| s["id"].as_u64() == taken.parse().ok()).expect("the one that was taken");
    let symbols: Vec<_> =
        one["frames"].as_array().expect("frames").iter().filter_map(|f| f["symbol"].as_str()).collect();
    assert!(symbols.iter().any(|s| s.contains("sys_bpf")), "{one}");
    assert!(rawbpf_ok(&["stack", "id", &stacks, &taken]).contains("sys_bpf"));
    assert_eq!(rawbpf(&["stack", "id", &stacks, "x"]).status.code(), Some(2));
}

/// A map that is filled all the time is never empty; deleting all of it ends nevertheless.
#[test]
fn all_is_deleted_in_the_end() {
    require!(ROOT);
    let busy = make(&hash("busy", 64)).expect("a hash");
    let (stop, id) = (AtomicBool::new(false), id(&busy));
    let out = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u32;
            while !stop.load(Ordering::Relaxed) {
                let _ = busy.set(&(n % 64).to_ne_bytes(), &1u64.to_ne_bytes(), 0);
                n = n.wrapping_add(1);
            }
        });
        let out = rawbpf(&["map", "del", "id", &id, "--all", "--json"]);
        stop.store(true, Ordering::Relaxed);
        out
    });
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let out: Json = serde_json::from_slice(&out.stdout).expect("JSON");
    assert!(out["elements"].as_u64().is_some_and(|n| n <= 2 * 4096), "{out}");
}
