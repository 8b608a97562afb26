//! Hooks in user space. This test binary probes itself: it has functions and probes of its own.

use super::*;
use crate::gate::{PERF_LINK, ROOT, TRACEFS, UPROBE, UPROBE_MULTI, UPROBE_SESSION, require};
use rawbpf::links::{MultiKind, ProbeVia, Spots, Uprobe, UprobeMulti};
use std::hint::black_box;

/// What is probed.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rawbpf_test_function(a: u64) -> u64 {
    black_box(a) * 3
}

/// The same again, for patterns.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rawbpf_test_other(a: u64) -> u64 {
    black_box(a) * 5
}

const SELF: &str = "/proc/self/exe";

#[test]
fn uprobes_see_arguments_and_results() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("uprobe", &["on_entry", "on_return"]).expect("it loads");
        let entry = require!(UPROBE, auto(&loaded, "on_entry"));
        let exit = auto(&loaded, "on_return").expect("it attaches");
        assert_eq!(rawbpf_test_function(14), 42);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (1, 14));
        assert_eq!((seen(&loaded, 2), seen(&loaded, 3)), (1, 42));
        drop((entry, exit));
        rawbpf_test_function(15);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 2)), (1, 1));
    });
}

#[test]
fn a_uprobe_of_one_process_by_offset_and_through_tracefs() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("uprobe", &["anywhere"]).expect("it loads");
        let program = loaded.program("anywhere").expect("it was loaded");
        let mine = Uprobe { pid: Some(std::process::id()), ..Uprobe::entry(SELF, "rawbpf_test_function") };
        let link = require!(UPROBE, links::attach_on(kernel(), program, &Target::Uprobe(mine.clone())));
        rawbpf_test_function(1);
        assert_eq!(seen(&loaded, 4), 1);
        drop(link);
        let other = Uprobe { pid: Some(1), ..mine.clone() };
        let link = links::attach_on(kernel(), program, &Target::Uprobe(other));
        if std::process::id() != 1 {
            // The file is that of process 1, or ours if it sees ours.
            drop(link);
        }
        let written = Uprobe { via: ProbeVia::Tracefs, ..mine };
        if std::path::Path::new("/sys/kernel/tracing/uprobe_events").exists() {
            let link = links::attach_on(kernel(), program, &Target::Uprobe(written)).expect("it attaches");
            rawbpf_test_function(1);
            assert_eq!(seen(&loaded, 4), 2);
            drop(link);
        }
    });
}

/// Started by the test below, as a process of its own, which is killed.
fn attach_and_wait() {
    let loaded = load("uprobe", &["anywhere"]).expect("it loads");
    let program = loaded.program("anywhere").expect("it was loaded");
    let probe = Uprobe { via: ProbeVia::Tracefs, ..Uprobe::entry(SELF, "rawbpf_test_function") };
    match links::attach_on(kernel(), program, &Target::Uprobe(probe)) {
        Ok(_link) => {
            eprintln!("attached");
            std::thread::sleep(std::time::Duration::from_secs(600));
        }
        Err(e) => eprintln!("{e}"),
    }
}

#[test]
fn a_probe_in_tracefs_whose_process_was_killed_is_found_and_removed() {
    use std::io::BufRead as _;
    const CHILD: &str = "RAWBPF_TEST_ATTACH_AND_WAIT";
    if std::env::var_os(CHILD).is_some() {
        return attach_and_wait();
    }
    require!(ROOT);
    require!(TRACEFS, std::path::Path::new("/sys/kernel/tracing/uprobe_events").exists());
    let _alone = crate::live_tool::alone_with_gc();
    leaves_nothing(|| {
        let name = std::thread::current().name().expect("a test has one").to_string();
        let mut child = std::process::Command::new(SELF)
            .args(["--exact", &name, "--nocapture"])
            .env(CHILD, "1")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = std::io::BufReader::new(child.stderr.take().expect("a pipe")).lines().next();
        let said = said.expect("it says something").expect("text");
        let mine = |all: &[links::LeftProbe]| all.iter().filter(|p| p.pid == child.id()).count();
        // While the process lives its probe is no waste.
        let alive = mine(&links::left_probes());
        let pid = child.id();
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
        require!(UPROBE, if said == "attached" { Ok(()) } else { Err(said) });
        assert_eq!(alive, 0);
        let left = links::left_probes().into_iter().filter(|p| p.pid == pid).collect::<Vec<_>>();
        assert_eq!(left.len(), 1, "{left:?}");
        let told = crate::net::rawbpf_json(&["gc", "--dry-run"]);
        let row = |garbage: &serde_json::Value| {
            let dead = garbage["dead"].as_array().expect("a list");
            dead.iter().find(|r| r["name"] == left[0].name.as_str()).cloned()
        };
        let dead = row(&told).unwrap_or_else(|| panic!("{told}"));
        assert_eq!((&dead["kind"], &dead["removed"]), (&"probe".into(), &false.into()));
        let done = crate::net::rawbpf(&["gc", "--json"]);
        let done = serde_json::from_slice(&done.stdout).expect("one document");
        assert_eq!(row(&done).unwrap_or_else(|| panic!("{done}"))["removed"], true);
        assert!(links::left_probes().iter().all(|p| p.pid != pid));
    });
}

#[test]
fn a_function_that_a_file_does_not_have() {
    require!(ROOT);
    let loaded = load("uprobe", &["anywhere"]).expect("it loads");
    let fail = |hook: &str| attach(&loaded, "anywhere", hook).expect_err("it cannot be").to_string();
    let exe = SELF;
    let text = fail(&format!("uprobe/{exe}:rawbpf_test_functoin"));
    assert_eq!(
        text,
        "cannot attach `anywhere` to uprobe//proc/self/exe:rawbpf_test_functoin: there is no function `rawbpf_test_functoin` in /proc/self/exe (nearest: rawbpf_test_function)"
    );
    assert_eq!(
        fail("uprobe//no/such/file:main"),
        "cannot attach `anywhere` to uprobe//no/such/file:main: there is no file `/no/such/file`"
    );
    assert_eq!(
        fail("uprobe//etc/passwd:main"),
        "cannot attach `anywhere` to uprobe//etc/passwd:main: /etc/passwd is no ELF file, so it has no functions to probe"
    );
    assert!(
        fail("uprobe/libnosuch.so.7:f")
            .contains("there is no program or library `libnosuch.so.7` in $LD_LIBRARY_PATH")
    );
    let target =
        |pid| Target::Uprobe(Uprobe { pid: Some(pid), ..Uprobe::entry(SELF, "rawbpf_test_function") });
    let program = loaded.program("anywhere").expect("it was loaded");
    let text =
        links::attach_on(kernel(), program, &target(u32::MAX / 4)).expect_err("no such process").to_string();
    assert!(text.ends_with("there is no process `1073741823`"), "{text}");
}

#[test]
fn many_functions_of_a_file_by_one_link() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(UPROBE_MULTI, load("uprobe_multi", &["entries", "exits"]));
        let entries = require!(UPROBE_MULTI, auto(&loaded, "entries"));
        let exits = auto(&loaded, "exits").expect("it attaches");
        rawbpf_test_function(1);
        rawbpf_test_other(1);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 2)), (2, 1));
        drop((entries, exits));
        let names = ["rawbpf_test_other", "rawbpf_test_function"].map(String::from).to_vec();
        let cookies = vec![7, 8];
        let target = UprobeMulti { cookies, ..UprobeMulti::new(SELF, Spots::Names(names), MultiKind::Entry) };
        let program = loaded.program("entries").expect("it was loaded");
        let link = links::attach_on(kernel(), program, &Target::UprobeMulti(target)).expect("it attaches");
        rawbpf_test_function(1);
        assert_eq!(seen(&loaded, 1), 8);
        rawbpf_test_other(1);
        assert_eq!(seen(&loaded, 1), 7);
        drop(link);
        rawbpf_test_other(1);
        assert_eq!(seen(&loaded, 0), 4);
    });
}

#[test]
fn a_session_of_a_user_function() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(UPROBE_SESSION, load("uprobe_session", &[]));
        let link = require!(UPROBE_SESSION, auto(&loaded, "session"));
        rawbpf_test_function(1);
        assert_eq!(seen(&loaded, 0), 2);
        drop(link);
    });
}

#[test]
fn a_cookie_of_a_uprobe() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(PERF_LINK, load("kprobe_cookie", &["probe_cookie"]));
        let probe = Uprobe { cookie: 33, ..Uprobe::entry(SELF, "rawbpf_test_function") };
        let link = links::attach_on(
            kernel(),
            loaded.program("probe_cookie").expect("it was loaded"),
            &Target::Uprobe(probe),
        );
        let link = require!(PERF_LINK, link);
        rawbpf_test_function(1);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (1, 33));
        drop(link);
    });
}
