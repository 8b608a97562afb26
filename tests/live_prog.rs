//! `rawbpf prog`: what it says of loaded programs, beside what bpftool says of the same ones.

use std::process::Command;

use serde_json::Value as Json;

use crate::gate::{BPFFS, HOST, ROOT, require};
use crate::net::{in_namespace, object, rawbpf, rawbpf_bpffs, rawbpf_fails, rawbpf_json, rawbpf_ok};

/// A frame of 22 bytes to everybody.
const FRAME: &str = "ffffffffffff02000000000088b5ffffffffffffffff";
const PROG: &str = "swap_frame_addresses";

/// Loads `bpf/rewrite.o` in namespaces of the test's own. Programs are the whole machine's, and other tests may have
/// loaded the same one: the pin says which is ours.
fn with_rewrite(test: impl FnOnce(u32, &str) + Send) {
    in_namespace(|| {
        rawbpf_ok(&["load", &object("rewrite.o")]);
        require!(BPFFS, rawbpf_bpffs());
        let pin = format!("/sys/fs/bpf/rawbpf/rewrite/progs/{PROG}");
        let shown = rawbpf_json(&["prog", "show", &pin]);
        test(shown["programs"][0]["id"].as_u64().expect("an id") as u32, &pin);
    });
}

/// bpftool's answer.
fn bpftool(args: &[&str]) -> Json {
    let out = Command::new("bpftool").arg("-j").args(args).output().expect("bpftool is installed: make deps");
    let text = String::from_utf8_lossy(&out.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("bpftool {args:?}: {e}\n{text}"))
}

fn rows(list: &Json) -> &Vec<Json> {
    list["programs"].as_array().expect("a list")
}

#[test]
fn a_program_is_found_by_whatever_names_it() {
    require!(ROOT);
    with_rewrite(|id, pin| {
        let ours = |args: &[&str]| {
            let shown = rawbpf_json(&[&["prog", "show"], args].concat());
            let list = rows(&shown).clone();
            list.into_iter().find(|p| p["id"] == id).unwrap_or_else(|| panic!("{args:?}"))
        };
        let number = id.to_string();
        let row = ours(&["id", &number]);
        let tag = row["tag"].as_str().expect("a tag").to_string();
        for words in [&[pin][..], &["pinned", pin], &[PROG], &["name", PROG], &["tag", &tag]] {
            assert_eq!(ours(words)["tag"], row["tag"]);
        }
        // The table has the same programs.
        assert!(rawbpf_ok(&["prog", "list", PROG]).contains(&number));
        assert_eq!(rows(&rawbpf_json(&["prog", "list", "tag", &tag]))[0]["name"], PROG);
        let said = rawbpf_fails(5, &["prog", "show", "swap_frame_adresses"]);
        assert!(said.contains("did you mean `swap_frame_addresses`?"), "{said}");
        assert!(rawbpf_fails(5, &["prog", "show", "id", "4294967295"]).contains("no program with id"));
        assert!(
            rawbpf_fails(5, &["prog", "show", "tag", "0000000000000000"]).contains("no program with tag")
        );
        assert!(rawbpf_fails(2, &["prog", "show", "tag", "ab"]).contains("is not a selector of a program"));
    });
}

#[test]
fn bpftool_says_the_same_of_a_program() {
    require!(HOST);
    require!(ROOT);
    with_rewrite(|id, _| {
        let number = id.to_string();
        let theirs = bpftool(&["prog", "show", "id", &number]);
        let shown = rawbpf_json(&["prog", "show", "id", &number]);
        let ours = &rows(&shown)[0];
        for (our, their) in [
            ("id", "id"),
            ("type", "type"),
            ("name", "name"),
            ("tag", "tag"),
            ("gpl_compatible", "gpl_compatible"),
            ("uid", "uid"),
            ("xlated_size", "bytes_xlated"),
            ("jited_size", "bytes_jited"),
            ("memlock", "bytes_memlock"),
            ("map_ids", "map_ids"),
            ("btf_id", "btf_id"),
            ("metadata", "metadata"),
        ] {
            assert_eq!(ours[our], theirs[their], "{our}: {theirs}");
        }
        let (ours, theirs) = (ours["loaded_at"].as_i64(), theirs["loaded_at"].as_i64());
        let apart = ours.expect("a time") - theirs.expect("a time");
        assert!(apart.abs() <= 1, "{apart} seconds apart");
    });
}

/// An operand without what the two print in their own ways: numbers' bases, spaces, names of jumps' targets.
fn opcodes_of(insn: &Json) -> String {
    let byte = |b: &Json| {
        let text = b.as_str().expect("a byte").trim_start_matches("0x").to_string();
        u8::from_str_radix(&text, 16).expect("hex")
    };
    let op = &insn["opcodes"];
    let mut out = vec![byte(&op["code"])];
    out.push(byte(&op["src_reg"]) << 4 | byte(&op["dst_reg"]));
    for field in ["off", "imm"] {
        out.extend(op[field].as_array().expect("bytes").iter().map(byte));
    }
    out.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn bpftool_shows_the_same_instructions() {
    require!(HOST);
    require!(ROOT);
    with_rewrite(|id, _| {
        let number = id.to_string();
        let theirs = bpftool(&["prog", "dump", "xlated", "id", &number, "opcodes"]);
        let ours = rawbpf_json(&["prog", "dump", "xlated", "id", &number]);
        let functions = ours["functions"].as_array().expect("a list");
        let insns: Vec<&Json> =
            functions.iter().flat_map(|f| f["insns"].as_array().expect("a list")).collect();
        let theirs = theirs.as_array().expect("a list");
        assert_eq!(insns.len(), theirs.len());
        let mut line = "";
        for (our, their) in insns.iter().zip(theirs) {
            assert_eq!(our["bytes"], opcodes_of(their), "{our} {their}");
            line = their["src"].as_str().unwrap_or(line);
            if their["src"].is_string() {
                assert_eq!(our["source"], line);
            }
        }
        let names: Vec<&str> = functions.iter().filter_map(|f| f["name"].as_str()).collect();
        assert_eq!(names, [PROG, "swap_addresses"]);
        assert_eq!(functions[1]["proto"], "int swap_addresses(struct ethhdr *eth)");
    });
}

#[test]
fn code_is_shown_with_names_and_lines() {
    require!(ROOT);
    with_rewrite(|_, pin| {
        let text = rawbpf_ok(&["prog", "dump", "xlated", pin]);
        for part in ["r1 = senders_by_address ll", "call swap_addresses", "; frames_seen++; @", "exit\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let bytes = rawbpf_ok(&["prog", "dump", "xlated", pin, "--opcodes", "--no-source"]);
        assert!(
            bytes.contains("(95 00 00 00 00 00 00 00) exit") && !bytes.contains("; frames_seen"),
            "{bytes}"
        );
        let shown = rawbpf_json(&["prog", "show", pin]);
        let size = |what: &str| shown["programs"][0][what].as_u64().expect("a size");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("code");
        rawbpf_ok(&["prog", "dump", "xlated", pin, "--file", &file.to_string_lossy()]);
        assert_eq!(std::fs::metadata(&file).expect("it is written").len(), size("xlated_size"));
        if size("jited_size") == 0 {
            assert!(rawbpf_fails(2, &["prog", "dump", "jited", pin]).contains("the kernel interprets it"));
            return;
        }
        let jited = rawbpf_json(&["prog", "dump", "jited", pin]);
        let functions = jited["functions"].as_array().expect("a list");
        let len = |f: &Json| -> u64 {
            let insns = f["insns"].as_array().expect("a list").iter();
            insns.map(|i| i["bytes"].as_str().expect("hex").len() as u64 / 2).sum()
        };
        assert_eq!(functions.iter().map(len).sum::<u64>(), size("jited_size"));
        assert!(
            functions[0]["name"].as_str().expect("a name").starts_with("bpf_prog_"),
            "{}",
            functions[0]["name"]
        );
        assert!(rawbpf_ok(&["prog", "dump", "jited", pin]).contains("; frames_seen++; @"));
    });
}

#[test]
fn a_run_says_the_verdict_and_what_changed() {
    require!(ROOT);
    with_rewrite(|id, pin| {
        let text = rawbpf_ok(&["prog", "run", pin, "--hex", FRAME]);
        assert!(text.starts_with("XDP_TX (3), "), "{text}");
        assert!(text.contains("data +0x0000: ff ff ff ff ff ff 02 00 00 00 00 00 -> 02 00"), "{text}");
        let run = rawbpf_json(&["prog", "run", "id", &id.to_string(), "--hex", FRAME, "--repeat", "10"]);
        assert_eq!((&run["runs"][0]["retval"], &run["repeat"]), (&3.into(), &10.into()));
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
        // A capture: its header, and the frame twice.
        let frame: Vec<u8> = (0..FRAME.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&FRAME[i..i + 2], 16).expect("hex"))
            .collect();
        let words = |list: &[u32]| list.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
        let one = [words(&[0, 0, frame.len() as u32, frame.len() as u32]), frame.clone()].concat();
        let pcap = [words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65535, 1]), one.clone(), one].concat();
        std::fs::write(path("two.pcap"), pcap).expect("a file");
        let text = rawbpf_ok(&["prog", "run", pin, "--pcap", &path("two.pcap")]);
        assert!(text.ends_with("2 packets: XDP_TX 2\n"), "{text}");
        let second = format!("{}:2", path("two.pcap"));
        assert!(rawbpf_ok(&["prog", "run", pin, "--pcap", &second]).starts_with("packet 2: XDP_TX"));
        let third = format!("{}:3", path("two.pcap"));
        assert!(rawbpf_fails(2, &["prog", "run", pin, "--pcap", &third]).contains("no number 3"));
        std::fs::write(path("frame"), &frame).expect("a file");
        rawbpf_ok(&["prog", "run", pin, "--data", &path("frame"), "--data-out", &path("out")]);
        let out = std::fs::read(path("out")).expect("it is written");
        assert_eq!((&out[..6], &out[6..12], &out[12..]), (&frame[6..12], &frame[..6], &frame[12..]));
        // Linux 5.10 runs XDP programs on any length.
        if rawbpf::Kernel::host().release() >= rawbpf::uapi::Release(6, 1, 0) {
            let said = rawbpf_fails(2, &["prog", "run", pin, "--hex", "ff"]);
            assert!(said.contains("at least 14 bytes, and it has 1"), "{said}");
        }
        assert!(rawbpf_fails(2, &["prog", "run", pin, "--hex", "xy"]).contains("no list of bytes"));
    });
}

#[test]
fn bpftool_runs_it_to_the_same_end() {
    require!(HOST);
    require!(ROOT);
    with_rewrite(|id, pin| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("frame").to_string_lossy().into_owned();
        std::fs::write(&file, [0x11u8; 64]).expect("a file");
        let theirs = bpftool(&["prog", "run", "id", &id.to_string(), "data_in", &file, "data_out", "-"]);
        let ours = rawbpf_json(&["prog", "run", pin, "--data", &file]);
        assert_eq!(ours["runs"][0]["retval"], theirs["retval"]);
        let bytes = theirs["data_out"].as_array().expect("bytes").iter();
        let byte = |b: &Json| match b.as_str() {
            Some(hex) => u8::from_str_radix(hex.trim_start_matches("0x"), 16).expect("hex"),
            None => b.as_u64().expect("a byte") as u8,
        };
        let bytes: String = bytes.map(|b| format!("{:02x}", byte(b))).collect();
        assert_eq!(ours["runs"][0]["data_out"], bytes);
    });
}

#[test]
fn statistics_are_on_while_they_are_wanted() {
    require!(ROOT);
    with_rewrite(|id, pin| {
        let number = id.to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(["prog", "stats", "id", &number, "--time", "30", "--json"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let info = || {
            let shown = rawbpf_json(&["prog", "show", "id", &number]);
            shown["programs"][0]["run_count"].as_u64().expect("a number")
        };
        // Counting begins when the command has turned it on.
        let begin = std::time::Instant::now();
        while info() == 0 {
            rawbpf_ok(&["prog", "run", pin, "--hex", FRAME, "--repeat", "5"]);
            assert!(begin.elapsed().as_secs() < 25, "nothing is counted");
        }
        // It may have been on before its first look was taken; these are after it.
        rawbpf_ok(&["prog", "run", pin, "--hex", FRAME, "--repeat", "1000"]);
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("it is there");
        let out = child.wait_with_output().expect("it ends");
        let stats: Json = serde_json::from_slice(&out.stdout).expect("one document");
        let row = &rows(&stats)[0];
        assert!(row["runs"].as_u64() >= Some(1000), "{stats}");
        assert!(row["run_time_ns"].as_u64() > Some(0) && row["average_ns"].is_u64(), "{stats}");
    });
}

#[test]
fn the_busiest_program_stands_on_top() {
    require!(ROOT);
    with_rewrite(|id, _| {
        let top = rawbpf_json(&["prog", "top", "--once", "--interval", "0.05"]);
        assert!(rows(&top).iter().any(|p| p["id"] == id), "{top}");
        let out = rawbpf(&["prog", "top", "--count", "2", "--interval", "0.05", "--json"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let lines: Vec<Json> =
            text.lines().map(|l| serde_json::from_str(l).expect("a document a line")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(rawbpf_fails(2, &["prog", "top", "--interval", "0"]).contains("not a number of seconds"));
    });
}

#[test]
fn a_pin_keeps_a_program() {
    require!(ROOT);
    with_rewrite(|id, pin| {
        let path = "/sys/fs/bpf/kept";
        let said = rawbpf_ok(&["prog", "pin", "id", &id.to_string(), path]);
        assert!(said.contains("/sys/fs/bpf/kept"), "{said}");
        let shown = rawbpf_json(&["prog", "show", path]);
        assert_eq!(shown["programs"][0]["pinned"], serde_json::json!([path, pin]));
        assert!(
            rawbpf_fails(2, &["prog", "pin", "id", &id.to_string()]).contains("then the path for its pin")
        );
        assert!(rawbpf_fails(1, &["prog", "pin", pin, path]).contains("EEXIST"));
    });
}
