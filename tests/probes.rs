//! `rawbpf probes`: what can be traced, in section names that the library reads.

use serde_json::Value as Json;

use crate::gate::{BTF, ROOT, TRACEFS, require};
use crate::net::{rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};
use rawbpf::links::Target;

fn rows(args: &[&str]) -> Vec<Json> {
    let list = rawbpf_json(&[&["probes"], args].concat());
    list["probes"].as_array().unwrap_or_else(|| panic!("{args:?}: {list}")).clone()
}

/// Each section, and each other one, says where to attach.
fn are_sections(rows: &[Json]) {
    for row in rows {
        let also = row["also"].as_array().expect("a list").iter();
        for section in also.chain([&row["section"]]).filter_map(Json::as_str) {
            let target = Target::of_section(section).unwrap_or_else(|e| panic!("{e}"));
            assert!(target.is_some(), "{section}");
        }
    }
}

#[test]
fn functions_have_declarations() {
    require!(ROOT);
    let found = rows(&["tcp_v4_c*", "--functions"]);
    let connect = found.iter().find(|r| r["name"] == "tcp_v4_connect").expect("every kernel with TCP has it");
    assert_eq!(connect["section"], "kprobe/tcp_v4_connect");
    are_sections(&found);
    assert!(found.iter().all(|r| r["name"].as_str().expect("a name").starts_with("tcp_v4_c")));
    require!(BTF, rawbpf::Kernel::host().btf());
    let proto = connect["proto"].as_str().expect("a declaration");
    assert!(proto.starts_with("int tcp_v4_connect(struct sock *sk, "), "{proto}");
    let text = rawbpf_ok(&["probes", "tcp_v4_connect"]);
    assert!(text.contains("kprobe/tcp_v4_connect") && text.contains("struct sock *sk"), "{text}");
}

/// Beside the list that the kernel shows.
#[test]
fn what_many_probes_can_be_set_on_is_told() {
    require!(ROOT);
    let list = std::fs::read_to_string("/sys/kernel/tracing/available_filter_functions");
    let list = require!(TRACEFS, list);
    let there = |name: &str| list.lines().any(|l| l.split(' ').next() == Some(name));
    for row in rows(&["do_sys_open*", "--functions"]) {
        assert_eq!(row["multi"], there(row["name"].as_str().expect("a name")), "{row}");
    }
}

#[test]
fn tracepoints_have_fields() {
    require!(ROOT);
    require!(TRACEFS, std::fs::read_dir("/sys/kernel/tracing/events/sched"));
    for pattern in ["sched:sched_switch", "sched/sched_switch", "sched_switch"] {
        let found = rows(&[pattern, "--tracepoints"]);
        assert_eq!(found.len(), 1, "{pattern}");
        assert_eq!(found[0]["section"], "tracepoint/sched/sched_switch");
        let fields: Vec<&str> =
            found[0]["fields"].as_array().expect("a list").iter().filter_map(Json::as_str).collect();
        assert!(
            fields.contains(&"pid_t prev_pid") && !fields.iter().any(|f| f.contains("common_")),
            "{fields:?}"
        );
        are_sections(&found);
    }
    let all = rows(&["sched:*"]);
    assert!(all.len() > 5 && all.iter().all(|r| r["kind"] == "tracepoint"));
}

#[test]
fn user_space_has_functions_and_probes() {
    let exe = std::env::current_exe().expect("a path").to_string_lossy().into_owned();
    let found = rows(&["*usdt*", "--exe", &exe]);
    are_sections(&found);
    let some = rows(&["*rust_begin_unwind*", "--exe", &exe, "--functions"]);
    assert!(some.iter().all(|r| r["kind"] == "user function") && !some.is_empty());
    assert!(
        rawbpf_fails(5, &["probes", "no_such_function_*", "--exe", &exe])
            .contains("no function or tracepoint")
    );
    assert!(rawbpf_fails(5, &["probes", "*", "--exe", "/no/such/file"]).contains("no program or library"));
    let none = rawbpf(&["probes", "no_such_function_at_all"]);
    assert_eq!(none.status.code(), Some(5));
}
