//! `rawbpf btf` and `rawbpf feature`, beside bpftool.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value as Json;

use crate::gate::{BTF, HOST, MAP_BTF, ROOT, require};
use crate::net::{in_namespace, object, rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

fn bpftool(args: &[&str]) -> Vec<u8> {
    Command::new("bpftool").args(args).output().expect("bpftool is installed: make deps").stdout
}

fn bpftool_json(args: &[&str]) -> Json {
    let out = bpftool(&[&["-j"], args].concat());
    serde_json::from_slice(&out).unwrap_or_else(|e| panic!("bpftool {args:?}: {e}"))
}

#[test]
fn a_file_has_the_types_that_bpftool_sees_in_it() {
    require!(HOST);
    let file = object("rewrite.o");
    let theirs = String::from_utf8(bpftool(&["btf", "dump", "file", &file])).expect("text");
    assert_eq!(rawbpf_ok(&["btf", "dump", &file]), theirs);
    assert_eq!(rawbpf_ok(&["btf", "dump", "file", &file]), theirs);
    // Theirs gives names to what variables of a section are; else field by field.
    let theirs = bpftool_json(&["btf", "dump", "file", &file]);
    let ours = rawbpf_json(&["btf", "dump", &file]);
    let (ours, theirs) =
        (ours["types"].as_array().expect("a list"), theirs["types"].as_array().expect("a list"));
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (field, value) in theirs.as_object().expect("a type").iter().filter(|(f, _)| *f != "encoding") {
            assert_eq!(&ours[field], value, "{field} of {theirs}");
        }
    }
}

#[test]
fn roots_bring_only_what_they_need() {
    let file = object("rewrite.o");
    let c = rawbpf_ok(&["btf", "dump", &file, "--format", "c", "--root", "seen"]);
    assert!(c.contains("struct seen {\n\t__u64 frames;\n\t__u32 bytes;\n\tenum verdict last;\n};"), "{c}");
    assert!(!c.contains("struct sender") && !c.contains("__VMLINUX_H__"), "{c}");
    let raw = rawbpf_ok(&["btf", "dump", &file, "--root", "sender"]);
    assert!(raw.starts_with('[') && raw.contains("STRUCT 'sender' size=8 vlen=2"), "{raw}");
    let json = rawbpf_json(&["btf", "dump", &file, "--format", "c", "--root", "verdict"]);
    assert!(json["c"].as_str().expect("text").contains("V_SENT_BACK = 2"), "{json}");
    assert!(rawbpf_fails(5, &["btf", "dump", &file, "--root", "nothing"]).contains("no type `nothing`"));
    assert!(rawbpf_fails(5, &["btf", "dump", "no_such"]).contains("neither a module nor a file"));
    assert!(rawbpf_fails(2, &["btf", "dump", "id", "x"]).contains("is not a selector of a BTF object"));
}

/// The header of tests/btf/c.rs, which holds it to clang's and bpftool's layout.
#[test]
fn the_kernels_header_is_the_librarys() {
    let kernel = require!(BTF, rawbpf::kernel::read_types(VMLINUX, None));
    let all = rawbpf::btf::dump_c(&kernel, &rawbpf::btf::CDump::vmlinux_h()).expect("it can be written");
    assert!(rawbpf_ok(&["btf", "dump", "--format", "c"]) == all, "they differ");
}

#[test]
fn a_closed_pipe_ends_the_dump() {
    require!(BTF, rawbpf::kernel::read_types(VMLINUX, None));
    for format in [&["--json"][..], &["--format", "raw"], &["--format", "c"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(["btf", "dump", "vmlinux"])
            .args(format)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let out = child.wait_with_output().expect("it ends");
        assert!(out.status.success() && out.stderr.is_empty(), "{format:?} {out:?}");
    }
}

#[test]
fn objects_are_listed_with_who_uses_them() {
    require!(ROOT);
    in_namespace(|| {
        rawbpf_ok(&["load", &object("rewrite.o")]);
        let pin = "/sys/fs/bpf/rawbpf/rewrite/progs/swap_frame_addresses";
        let program = rawbpf_json(&["prog", "show", pin])["programs"][0].clone();
        let id = require!(MAP_BTF, program["btf_id"].as_u64().filter(|id| *id != 0).ok_or("no types"));
        let number = id.to_string();
        let list = rawbpf_json(&["btf", "list"]);
        let row =
            list["types"].as_array().expect("a list").iter().find(|t| t["id"] == id).expect("it is listed");
        assert!(row["prog_ids"].as_array().expect("ids").contains(&program["id"]), "{row}");
        assert_eq!(row["kernel"], false);
        let whole = rawbpf_ok(&["btf", "dump", "id", &number]);
        assert_eq!(rawbpf_ok(&["btf", "dump", "prog", pin]), whole);
        assert!(whole.contains("STRUCT 'seen'"), "{whole}");
        let map = "/sys/fs/bpf/rawbpf/rewrite/maps/senders_by_address";
        let c = rawbpf_ok(&["btf", "dump", "map", map, "--format", "c"]);
        assert!(c.contains("struct sender {") && c.contains("struct seen {"), "{c}");
        assert!(rawbpf_ok(&["btf", "list"]).contains(&number));
    });
}

#[test]
fn bpftool_lists_the_same_objects() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        rawbpf_ok(&["load", &object("rewrite.o")]);
        let pin = "/sys/fs/bpf/rawbpf/rewrite/progs/swap_frame_addresses";
        let id = rawbpf_json(&["prog", "show", pin])["programs"][0]["btf_id"].clone();
        let number = id.to_string();
        let theirs = bpftool_json(&["btf", "list", "id", &number]);
        let theirs = if theirs.is_array() { theirs[0].clone() } else { theirs };
        let ours = rawbpf_json(&["btf", "list"]);
        let ours =
            ours["types"].as_array().expect("a list").iter().find(|t| t["id"] == id).expect("it is there");
        assert_eq!(ours["size"], theirs["size"]);
        let ids = |list: &Json| -> BTreeSet<u64> {
            list.as_array().into_iter().flatten().filter_map(Json::as_u64).collect()
        };
        assert_eq!(ids(&ours["prog_ids"]), ids(&theirs["prog_ids"]));
        assert_eq!(ids(&ours["map_ids"]), ids(&theirs["map_ids"]));
        let text = String::from_utf8(bpftool(&["btf", "dump", "id", &number])).expect("text");
        assert_eq!(rawbpf_ok(&["btf", "dump", "id", &number]), text);
    });
}

/// Rows of one section: name, answer.
fn answers(features: &Json, section: &str) -> BTreeMap<String, String> {
    let text = |v: &Json| v.as_str().expect("text").to_string();
    let rows = features["features"].as_array().expect("a list").iter();
    rows.filter(|r| r["section"] == section).map(|r| (text(&r["name"]), text(&r["answer"]))).collect()
}

#[test]
fn features_have_three_answers_and_reasons() {
    require!(ROOT);
    let all = rawbpf_json(&["feature"]);
    for row in all["features"].as_array().expect("a list") {
        let answer = row["answer"].as_str().expect("a word");
        assert!(["yes", "no", "unknown"].contains(&answer), "{row}");
        assert_eq!(answer == "yes", row["reason"].is_null(), "{row}");
    }
    assert_eq!(answers(&all, "progs")["socket_filter"], "yes");
    assert_eq!(answers(&all, "maps")["hash"], "yes");
    let one = rawbpf_ok(&["feature", "maps", "--name", "lpm"]);
    assert!(one.contains("maps: 1 of 1") && one.contains("lpm_trie"), "{one}");
    let missing = rawbpf_json(&["feature", "progs", "maps", "--missing"]);
    let none = missing["features"].as_array().expect("a list").iter().any(|r| r["answer"] == "yes");
    assert!(!none, "{missing}");
    assert!(rawbpf_fails(2, &["feature", "--type", "nothing"]).contains("not a program type"));
}

/// Nobody may ask without privileges, and that is no reason to say no.
#[test]
fn without_privileges_nothing_is_denied() {
    require!(HOST);
    require!(ROOT);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
    std::os::unix::process::CommandExt::uid(&mut command, 65534);
    let out = command.args(["feature", "progs", "maps", "--json"]).output();
    let Ok(out) = out else { return crate::gate::skip(&HOST, "the command is out of reach for nobody") };
    let said: Json = serde_json::from_slice(&out.stdout).expect("one document");
    let rows = said["features"].as_array().expect("a list");
    let unknown = rows.iter().filter(|r| r["answer"] == "unknown").count();
    assert!(unknown > 50 && rows.iter().all(|r| r["answer"] != "yes" || r["section"] == "progs"), "{said}");
}

#[test]
fn bpftool_finds_the_same_features() {
    require!(HOST);
    require!(ROOT);
    let theirs = bpftool_json(&["feature", "probe", "kernel", "full"]);
    let ours = rawbpf_json(&["feature", "progs", "maps"]);
    for (section, field, end) in
        [("progs", "program_types", "_prog_type"), ("maps", "map_types", "_map_type")]
    {
        let ours = answers(&ours, section);
        let mut same = 0;
        for (name, there) in theirs[field].as_object().expect("answers") {
            let name = name.trim_start_matches("have_").trim_end_matches(end);
            match ours.get(name).map(String::as_str) {
                // Theirs has no third answer.
                Some("unknown") | None => assert_eq!(there, false, "{name}"),
                Some(answer) => {
                    // Asked without a function to replace or to trace, theirs cannot tell here.
                    let theirs_cannot = ["ext", "tracing", "lsm", "struct_ops"].contains(&name);
                    assert!(
                        theirs_cannot || (answer == "yes") == (there == true),
                        "{name}: {answer}, {there}"
                    );
                    same += 1;
                }
            }
        }
        assert!(same >= 28, "{field}: {same}");
    }
    // bpftool 7.1 tells a helper's absence by the verifier's words, which have changed since: on a new kernel it
    // takes everything for there. What we take for there, it does as well; for the rest see the next test.
    let (mut same, mut differ) = (0, Vec::new());
    for kind in ["socket_filter", "xdp", "sched_cls"] {
        let list = theirs["helpers"][format!("{kind}_available_helpers")].as_array().expect("names");
        let theirs: BTreeSet<&str> = list.iter().filter_map(Json::as_str).collect();
        let ours = rawbpf_json(&["feature", "helpers", "--type", kind]);
        let rows = ours["features"].as_array().expect("a list").iter();
        // It is older than the last two.
        let old = |r: &&Json| !r["name"].as_str().is_some_and(|n| n.starts_with("bpf_cgrp_storage_"));
        for row in rows.filter(old).filter(|r| r["answer"] == "yes") {
            match theirs.contains(row["name"].as_str().expect("a name")) {
                true => same += 1,
                false => differ.push(format!("{kind}: {row}")),
            }
        }
    }
    assert!(same > 150 && differ.is_empty(), "{same} same; {} differ: {differ:#?}", differ.len());
}

/// What the verifier says in words, old and new, is what we tell by its number.
#[test]
fn the_verifiers_words_agree_about_helpers() {
    use rawbpf::insn::prelude::*;
    use rawbpf::kernel::{Answer, survey};
    use rawbpf::sys::{ProgLoadParts, attr, prog_load};
    use rawbpf::uapi::ProgType;
    require!(ROOT);
    let kernel = rawbpf::Kernel::host();
    let (mut yes, mut no) = (0, 0);
    for prog_type in [ProgType::SocketFilter, ProgType::Xdp] {
        for helper in Helper::ALL {
            let mut a = Asm::new();
            a.call(*helper).mov64(R0, 0).exit();
            let code = a.finish().expect("it is put together");
            let insns: Vec<[u8; 8]> =
                code.insns().iter().map(|i| i.to_bytes(rawbpf::bytes::Endian::NATIVE)).collect();
            let mut log = vec![0; 4096];
            let head = attr::ProgLoad { prog_type, log_level: 1, ..Default::default() };
            let parts = ProgLoadParts { insns: &insns, license: Some(c"GPL"), ..Default::default() };
            let _ = prog_load(head, parts, &mut log).fd;
            let words = String::from_utf8_lossy(&log).into_owned();
            let denied = [
                "invalid func",
                "unknown func",
                "cannot use helper",
                "might sleep in a non-sleepable",
                "in non-sleepable prog",
                "not supported for program type",
            ]
            .iter()
            .any(|w| words.contains(w));
            let answer = survey::helper(&kernel, prog_type, *helper);
            match denied {
                true => no += 1,
                false => yes += 1,
            }
            assert_eq!(answer == Answer::Yes, !denied, "{prog_type} {helper}: {answer}\n{words}");
        }
    }
    assert!(yes > 50 && no > 50, "{yes} there, {no} not");
}

#[test]
fn kfuncs_have_declarations() {
    require!(ROOT);
    let out = rawbpf(&["feature", "kfuncs", "--json"]);
    let said: Json = serde_json::from_slice(&out.stdout).expect("one document");
    let rows = said["features"].as_array().expect("a list");
    if rows[0]["answer"] == "unknown" {
        // Before Linux 6.8 the kernel does not tag them.
        assert!(rows[0]["reason"].as_str().is_some_and(|why| !why.is_empty()), "{said}");
        return;
    }
    let one = rows.iter().find(|r| r["name"] == "bpf_rcu_read_lock").expect("every kernel with tags has it");
    assert_eq!(one["proto"], "void bpf_rcu_read_lock(void)");
}
