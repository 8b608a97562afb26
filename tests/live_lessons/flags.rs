//! What the command line lets a user change in a load: maps that exist already, the kernel's configuration, limits for
//! the verifier, a kernel that is not here.

use std::fs;

use serde_json::{Value as Json, json};

use crate::gate::{BTF, ROOT, require};
use crate::net::{in_namespace, mount_bpffs, object, rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};

/// The bytes of a map's first contents, as `plan --json` has them.
fn contents<'p>(plan: &'p Json, map: &str) -> &'p str {
    let maps = plan["maps"].as_array().expect("maps");
    maps.iter().find(|m| m["map"] == map).and_then(|m| m["contents"].as_str()).expect("contents")
}

#[test]
fn a_map_that_is_pinned_takes_the_place_of_one() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let (file, path) = (object("packet_count.o"), "/sys/fs/bpf/mine");
        rawbpf_ok(&[
            "map",
            "create",
            path,
            "--type",
            "array",
            "--key",
            "4",
            "--value",
            "8",
            "--entries",
            "1",
        ]);
        let id = rawbpf_json(&["map", "show", path])["id"].clone();
        let given = format!("packet_count_map={path}");
        let loaded = rawbpf_json(&["load", &file, "--map", &given]);
        assert_eq!(loaded["maps"][0]["id"], id, "{loaded}");
        rawbpf_ok(&["unload", "packet_count"]);
        assert_eq!(rawbpf_json(&["map", "show", path])["id"], id, "it is not the object's to remove");
        let other = "/sys/fs/bpf/other";
        rawbpf_ok(&[
            "map",
            "create",
            other,
            "--type",
            "array",
            "--key",
            "4",
            "--value",
            "4",
            "--entries",
            "1",
        ]);
        let said = rawbpf_fails(1, &["load", &file, "--map", &format!("packet_count_map={other}")]);
        assert!(said.contains("value_size is 4, the object wants 8"), "{said}");
        let said = rawbpf_fails(2, &["load", &file, "--map", "nosuch=/sys/fs/bpf/mine"]);
        assert!(said.contains("no map `nosuch`; it has: packet_count_map"), "{said}");
        let said = rawbpf_fails(5, &["load", &file, "--map", "packet_count_map=/sys/fs/bpf/nosuch"]);
        assert!(said.contains("/sys/fs/bpf/nosuch"), "{said}");
        let said = rawbpf_fails(2, &["load", &file, "--map", "packet_count_map"]);
        assert!(said.contains("not of the form MAP=PATH"), "{said}");
    });
}

#[test]
fn the_configuration_is_taken_from_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let (config, file) = (dir.path().join("config"), object("kconfig.o"));
    let config = config.to_string_lossy();
    let all = "CONFIG_BPF_SYSCALL=y\nCONFIG_TRI=y\nCONFIG_NUMBER=258\nCONFIG_WIDE=1\nCONFIG_LETTER=m\nCONFIG_TEXT=\"ab\"\n";
    fs::write(&*config, all).expect("written");
    let plan = |text: &str| {
        fs::write(&*config, text).expect("written");
        rawbpf_json(&["plan", &file, "--kconfig", &config, "--release", "6.12"])
    };
    let bytes = plan(all);
    let bytes = contents(&bytes, ".kconfig");
    let text: String = b"ab\0".iter().map(|b| format!("{b:02x}")).collect();
    let number: String = 258i32.to_ne_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert!(bytes.contains(&text) && bytes.contains(&number), "{bytes}");
    for (wrong, about) in [("CONFIG_NUMBER=258", "CONFIG_NUMBER=yes"), ("CONFIG_TRI=y", "CONFIG_TRI=7")] {
        let error = plan(&all.replace(wrong, about));
        let said = error.to_string();
        assert!(said.contains(about.split('=').next().expect("a name")), "{said}");
    }
    let said = rawbpf_fails(5, &["plan", &file, "--kconfig", "/nonexistent"]);
    assert!(said.contains("read the configuration /nonexistent"), "{said}");
}

/// A report of `verify --json` in which the first program had other numbers.
fn baseline(report: &Json, change: impl Fn(&mut Json)) -> tempfile::NamedTempFile {
    let mut report = report.clone();
    report["programs"].as_array_mut().expect("programs").iter_mut().for_each(change);
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), report.to_string()).expect("written");
    file
}

#[test]
fn verify_holds_programs_to_limits_and_to_a_baseline() {
    require!(ROOT);
    let file = object("functions.o");
    let verify = |more: &[&str]| {
        let out = rawbpf(&[&["verify", &file, "--program", "length_squared_twice"], more].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let report: Json = serde_json::from_str(&verify(&["--json"]).1).expect("a report");
    let row = &report["programs"][0];
    let (insns, states) =
        (row["insns"].as_u64().expect("a number"), row["states"].as_u64().expect("a number"));
    assert!(insns > 10 && states > 0, "{row}");
    let at = |n: u64| n.to_string();
    assert_eq!(verify(&["--max-states", &at(states), "--max-insns", &at(insns)]).0, Some(0));
    let (status, said) = verify(&["--max-states", &at(states - 1)]);
    assert_eq!(status, Some(1));
    assert!(said.contains(&format!("{states} states; the limit is {}", states - 1)), "{said}");
    // Twice what it was: 100 % more is allowed, 99 % is not; so it is with numbers.
    let half = baseline(&report, |row| {
        row["insns"] = json!(insns.div_ceil(2));
        row["states"] = json!(0);
    });
    let half = half.path().to_string_lossy();
    assert_eq!(verify(&["--baseline", &half]).0, Some(1), "without a limit 10 % more is one");
    assert_eq!(verify(&["--baseline", &half, "--max-insns", "+100%"]).0, Some(0));
    let (status, said) = verify(&["--baseline", &half, "--max-insns", "+50%"]);
    assert!(status == Some(1) && said.contains(&format!("{} in the baseline", insns.div_ceil(2))), "{said}");
    let verify_states = |limit: u64| {
        verify(&["--baseline", &half, "--max-insns", "+100%", "--max-states", &format!("+{limit}")])
    };
    assert_eq!(verify_states(states).0, Some(0));
    let (status, said) = verify_states(states - 1);
    assert!(status == Some(1) && said.contains("0 in the baseline"), "{said}");
    assert_eq!(verify(&["--max-insns", "+1%"]).0, Some(0), "nothing to compare with");
    for wrong in ["x", "-1", "+", "+x%", "+-5%", "+nan%", "+inf%"] {
        assert_eq!(verify(&["--max-states", wrong]).0, Some(2), "{wrong}");
    }
}

#[test]
fn verify_misses_programs_that_are_gone() {
    require!(ROOT);
    let file = object("packet_count.o");
    let report = rawbpf_json(&["verify", &file]);
    let has = |report: &Json| report["programs"].as_array().map_or(0, Vec::len);
    let before = baseline(&report, |row| row["program"] = json!("gone"));
    let path = before.path().to_string_lossy();
    let document = rawbpf_json(&["verify", &file, "--baseline", &path]);
    let said = document["regressions"].as_array().expect("regressions");
    assert_eq!(said.len(), has(&report), "{document}");
    assert!(
        said[0]
            .as_str()
            .is_some_and(|s| s.ends_with("gone: it is in the baseline and no longer in the object"))
    );
    // One that was not asked for is not missed, nor is another object's.
    let name = report["programs"][0]["program"].as_str().expect("a name");
    rawbpf_ok(&["verify", &file, "--baseline", &path, "--program", name]);
    let before = baseline(&report, |row| row["object"] = json!("other.o"));
    rawbpf_ok(&["verify", &file, "--baseline", &before.path().to_string_lossy()]);
}

#[test]
fn verify_tells_what_was_accepted_before() {
    require!(ROOT);
    let file = object("functions.o");
    let only = ["verify", &file, "--program", "endless"];
    let report = rawbpf_json(&only);
    assert_eq!((&report["programs"][0]["verdict"], &report["regressions"]), (&json!("failure"), &json!([])));
    let before = baseline(&report, |row| row["verdict"] = json!("success"));
    let path = before.path().to_string_lossy();
    let report = rawbpf_json(&[&only[..], &["--baseline", &path]].concat());
    let said = report["regressions"][0].as_str().expect("a regression");
    assert!(said.ends_with("endless: it was accepted in the baseline"), "{said}");
    fs::write(before.path(), "no report").expect("written");
    let said = rawbpf_fails(2, &[&only[..], &["--baseline", &path]].concat());
    assert!(said.contains("not a report of `rawbpf verify --json`"), "{said}");
}

#[test]
fn types_given_by_hand_are_for_accesses_to_fields_alone() {
    require!(ROOT);
    require!(BTF, std::path::Path::new("/sys/kernel/btf/vmlinux").exists());
    // No kernel's types: so no field of a kernel's struct is in them.
    let other = object("packet_count.o");
    let plan = |file: &str, more: &[&str]| rawbpf_ok(&[&["plan", object(file).as_str()], more].concat());
    let lost = "struct task_struct.tgid (0:0 @ offset 0): there is no `struct task_struct`";
    assert!(!plan("core.o", &[]).contains(lost));
    assert!(plan("core.o", &["--btf", &other]).contains(lost));
    // But what a program is attached to is in the types of the kernel that will look it up.
    let said = plan("tracing.o", &[]);
    assert!(said.contains(" (bpf_fentry_test1)"), "{said}");
    assert_eq!(said, plan("tracing.o", &["--btf", &other]));
}

#[test]
fn the_types_of_another_kernel_are_enough_to_plan_for_it() {
    // Any file with BTF will do: here one that has no types of a kernel.
    let other = object("packet_count.o");
    let said = rawbpf_ok(&["plan", &object("globals.o"), "--kernel", &other]);
    assert!(said.contains("Linux of these types has all that the object asks for"), "{said}");
    let out = rawbpf(&["plan", &object("tracing.o"), "--kernel", &other]);
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(4), "{said}");
    assert!(said.contains("tracepoint `sys_enter` is not in this kernel's BTF (cannot be loaded)"), "{said}");
    // What a release lacks cannot be told without one.
    let json = rawbpf_json(&["plan", &object("arena.o"), "--kernel", &other]);
    assert_eq!((&json["lacks"], &json["missing"]), (&json!([]), &json!([])), "{json}");
    let json = rawbpf_json(&["plan", &object("core.o"), "--kernel", &other]);
    let kinds: Vec<&Json> = json["missing"].as_array().into_iter().flatten().map(|m| &m["kind"]).collect();
    assert!(kinds.len() >= 4 && kinds.iter().all(|kind| **kind == "field"), "{kinds:?}");
    rawbpf_fails(5, &["plan", &object("core.o"), "--kernel", "/nonexistent"]);
}
