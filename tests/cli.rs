//! The command line as its users and their scripts see it.

use std::process::{Command, Stdio};

use crate::gate::{HOST, ROOT, require};
use crate::net::{in_namespace, object, rawbpf, rawbpf_fails, rawbpf_json, rawbpf_ok};

#[test]
fn inspecting_and_planning_need_no_privileges() {
    require!(HOST);
    // As nobody, with no capabilities: the pure verbs work all the same.
    for args in [&["inspect"][..], &["plan"], &["disasm"]] {
        let dir = tempfile::tempdir().expect("a directory");
        let copy = dir.path().join("packet_count.o");
        std::fs::copy(object("packet_count.o"), &copy).expect("a copy");
        let bin = dir.path().join("rawbpf");
        // By another process: a descriptor that is open for writing here may be inherited by a child of
        // another test, and as long as that has it, the file cannot be run.
        let cp = Command::new("cp").arg(env!("CARGO_BIN_EXE_rawbpf")).arg(&bin).status();
        assert!(cp.is_ok_and(|status| status.success()), "a copy");
        for path in [dir.path(), &copy, &bin] {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path, mode).expect("anybody may read it");
        }
        let mut command = Command::new(&bin);
        command.args(args).arg(&copy);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut command, 65534);
        }
        let out = loop {
            match command.output() {
                // Another test forks while the copy is still open for writing, for as long as it takes to exec.
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                other => break other.expect("it runs"),
            }
        };
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(String::from_utf8_lossy(&out.stdout).contains("packet_count_map"));
    }
}

#[test]
fn every_document_says_its_schema_and_command() {
    let file = object("packet_count.o");
    for args in [vec!["inspect", &file], vec!["plan", &file], vec!["disasm", &file]] {
        let document = rawbpf_json(&args);
        assert_eq!(document["schema"], 1, "{args:?}");
        assert_eq!(document["command"], args[0]);
        assert!(document.get("error").is_none());
    }
}

#[test]
fn an_error_is_a_document_too() {
    let document = rawbpf_json(&["inspect", "/nonexistent.o"]);
    assert_eq!(document["command"], "inspect");
    let error = &document["error"];
    assert_eq!(error["kind"], "not found");
    assert_eq!(error["message"], "cannot read /nonexistent.o");
    assert!(error["causes"][0].as_str().is_some_and(|c| c.contains("No such file")), "{error}");
}

#[test]
fn globals_and_map_sizes_are_set_before_loading() {
    let kprobe = object("kprobe.o");
    let document = rawbpf_json(&["plan", &kprobe, "--release", "6.12", "--set", "pid=77"]);
    assert_eq!(document["maps"][0]["map"], ".data");
    let pid: String = 77i32.to_ne_bytes().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(document["maps"][0]["contents"], pid);
    for verb in ["plan", "load", "verify"] {
        let errors = rawbpf_fails(2, &[verb, &kprobe, "--set", "pdi=1"]);
        assert!(errors.contains("no global variable `pdi`; it has: pid, seen"), "{errors}");
        let errors = rawbpf_fails(2, &[verb, &kprobe, "--max-entries", "nosuch=1"]);
        assert!(errors.contains("no map `nosuch`; it has: .data"), "{errors}");
    }
    let errors = rawbpf_fails(2, &["plan", &kprobe, "--set", "pid=99999999999"]);
    assert!(errors.contains("99999999999 does not fit"), "{errors}");

    let events = object("ring_events.o");
    let document = rawbpf_json(&["plan", &events, "--release", "6.12", "--max-entries", "events=131072"]);
    let sizes: Vec<_> =
        document["maps"].as_array().into_iter().flatten().map(|m| &m["max_entries"]).collect();
    assert_eq!(sizes, [1, 131_072, 1]);

    // What the maps in another look like is a map with a size as well, but not one that a pin could stand for.
    let nested = object("nested.o");
    let document = rawbpf_json(&["plan", &nested, "--release", "6.12", "--max-entries", "maps.inner=7"]);
    let mut maps = document["maps"].as_array().into_iter().flatten();
    let outer = maps.find(|m| m["map"] == "maps").expect("the outer map");
    assert_eq!((&outer["max_entries"], &outer["inner"]["max_entries"]), (&4.into(), &7.into()));
    let errors = rawbpf_fails(2, &["plan", &nested, "--map", "maps.inner=/sys/fs/bpf/x"]);
    assert!(errors.contains("no map `maps.inner`; it has: one, other, maps, next"), "{errors}");
}

#[test]
fn what_another_kernel_lacks() {
    let events = object("ring_events.o");
    assert_eq!(rawbpf_json(&["inspect", &events])["oldest_kernel"], "5.8");
    let document = rawbpf_json(&["plan", &events, "--release", "5.4"]);
    let lacks: Vec<_> = document["lacks"].as_array().into_iter().flatten().map(|l| &l["what"]).collect();
    assert!(lacks.iter().any(|what| *what == "BPF_MAP_TYPE_RINGBUF"), "{lacks:?}");
    rawbpf_fails(4, &["plan", &events, "--release", "5.4"]);
    let text = rawbpf_ok(&["plan", &events, "--release", "5.8"]);
    assert!(text.contains("Linux 5.8 has all that the object asks for"), "{text}");
    // What only types can tell is not said to be missing.
    let text = rawbpf_ok(&["plan", &object("tracing.o"), "--release", "6.12"]);
    assert!(text.contains("not checked: test1_entry: it needs that kernel's types"), "{text}");
    rawbpf_fails(2, &["plan", &events, "--release", "5.8", "--xdp", "lo"]);
}

#[test]
fn verifying_says_what_became_more() {
    require!(ROOT);
    let file = object("packet_count.o");
    let text = rawbpf_ok(&["verify", &file]);
    assert!(text.contains("1 program: 1 accepted, 0 refused"), "{text}");
    let dir = tempfile::tempdir().expect("a directory");
    let baseline = dir.path().join("baseline.json");
    std::fs::write(&baseline, rawbpf_ok(&["verify", &file, "--json"])).expect("a baseline");
    let baseline = baseline.to_string_lossy();
    rawbpf_ok(&["verify", &file, "--baseline", &baseline, "--max-insns", "+10%"]);
    let out = rawbpf(&["verify", &file, "--max-insns", "3"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stdout).contains("the limit is 3"));
}

#[test]
fn the_plan_for_programs() {
    let document = rawbpf_json(&["plan", &object("packet_count.o")]);
    let program = &document["programs"][0];
    assert_eq!(program["program"], "count_packets");
    assert_eq!(program["prog_type"], 6);
    assert_eq!(program["expected_attach_type"], 37);
    assert_eq!(program["attach_btf_id"], 0);
    assert_eq!(program["insns"].as_str().map(str::len), Some(12 * 16));
    assert_eq!(program["maps"], serde_json::json!([{"slot": 4, "map": "packet_count_map"}]));
    let map = &document["maps"][0];
    assert_eq!((&map["map"], &map["map_type"]), (&"packet_count_map".into(), &2.into()));
    assert_eq!(map["map_name"], "packet_count_ma");
}

#[test]
fn sections_are_listed_and_the_help_that_names_them_is_there() {
    let all = rawbpf_json(&["sections"]);
    let all = all["sections"].as_array().expect("a list");
    assert_eq!(all.len(), rawbpf::elf::section::TABLE.len());
    let xdp = all.iter().find(|s| s["name"] == "xdp").expect("it is there");
    assert_eq!((&xdp["prog_type"], &xdp["attached"]), (&"xdp".into(), &"--xdp".into()));
    let text = rawbpf_ok(&["sections", "kprobe.multi"]);
    assert!(text.contains("kprobe.multi[/...]") && text.contains("5.18"), "{text}");
    assert!(rawbpf_ok(&["sections", "nothing_such"]).contains("no section of this name"));
}

#[test]
fn exit_statuses() {
    let file = object("packet_count.o");
    assert_eq!(rawbpf(&["inspect", &file]).status.code(), Some(0));
    assert_eq!(rawbpf(&["inspect", "/etc/passwd"]).status.code(), Some(1));
    assert_eq!(rawbpf(&["nosuchverb"]).status.code(), Some(2));
    assert_eq!(rawbpf(&["plan", &file, "--type", "nosuch"]).status.code(), Some(2));
    // A packet is of no process.
    assert_eq!(rawbpf(&["plan", &file, "--pid", "1"]).status.code(), Some(2));
    assert_eq!(rawbpf(&["inspect", "/nonexistent.o"]).status.code(), Some(5));
    assert_eq!(rawbpf(&["--help"]).status.code(), Some(0));
    assert_eq!(rawbpf(&["--version"]).status.code(), Some(0));
}

#[test]
fn what_a_process_does_not_limit_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("both.s");
    let program = |name, section| format!(".section \"{section}\"\n{name}:\n    r0 = 0\n    exit\n");
    let text = format!(
        ".license \"GPL\"\n{}{}",
        program("one", "uprobe//proc/self/exe:main"),
        program("all", "tracepoint/sched/sched_switch")
    );
    std::fs::write(&file, text).expect("it is written");
    rawbpf_ok(&["asm", &file.display().to_string()]);
    let out = rawbpf(&["plan", &file.with_extension("o").display().to_string(), "--pid", "1"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert_eq!(said, "note: --pid does not limit `all` (tracepoint/sched/sched_switch)\n");
}

#[test]
fn without_privileges_the_answer_is_not_permitted() {
    require!(ROOT);
    in_namespace(|| {
        crate::net::mount_bpffs();
        for args in [vec!["prog", "list"], vec!["map", "list"], vec!["map", "dump", "x"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
            std::os::unix::process::CommandExt::uid(&mut command, 65534);
            let out = command.args(&args).output();
            // The build directory may be closed to others; then this cannot be tried here.
            let Ok(out) = out else {
                return crate::gate::skip(&HOST, "the command is out of reach for nobody");
            };
            let said = String::from_utf8_lossy(&out.stderr);
            assert_eq!(out.status.code(), Some(3), "{args:?}: {said}");
            assert!(said.contains("EPERM") && said.contains("help: "), "{said}");
        }
    });
}

#[test]
fn a_closed_pipe_is_quiet() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
        .args(["disasm", &object("packet_count.o")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    let out = child.wait_with_output().expect("it ends");
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success());
}

#[test]
fn names_that_cannot_be() {
    require!(ROOT);
    in_namespace(|| {
        let file = object("packet_count.o");
        for name in ["a.b", "a/b", ""] {
            let said = rawbpf_fails(2, &["load", &file, "--name", name]);
            assert!(said.contains("cannot be a name"), "{said}");
        }
        let said = rawbpf_fails(2, &["map", "dump", "id", "x"]);
        assert!(said.contains("is not a selector of a map") && said.contains("`id N`"), "{said}");
    });
}

#[test]
fn a_listing_has_names_for_all_that_has_one() {
    let listing = rawbpf_ok(&["disasm", &object("usdt.o")]);
    for want in [
        "on_args:",                     // a program
        ": call bpf_usdt_arg_cnt\n",    // a function
        "\nbpf_usdt_arg_cnt:\n",        // which is there, too
        ": call bpf_map_lookup_elem\n", // a helper
        ": r1 = __bpf_usdt_specs ll\n", // a map
        " = map_val(.bss) + 0 ll\n",    // a variable
        "usdt.bpf.h:",                  // a source line
    ] {
        assert!(listing.contains(want), "no {want:?} in\n{listing}");
    }
    let json = rawbpf_json(&["disasm", &object("usdt.o")]);
    let insns: Vec<&serde_json::Value> = json["functions"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|f| f["insns"].as_array())
        .flatten()
        .collect();
    assert!(
        insns.iter().any(|i| i["symbol"] == "__bpf_usdt_specs" && i["text"] == "r1 = __bpf_usdt_specs ll")
    );
    let label = insns.iter().find_map(|i| i["label"].as_str()).expect("a label");
    assert!(insns.iter().any(|i| i["text"].as_str().is_some_and(|t| t.ends_with(&format!("goto {label}")))));
}

#[test]
fn an_object_as_text_from_the_command_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let text = rawbpf_ok(&["disasm", "--text", &object("ring_events.o")]);
    std::fs::write(path("x.s"), &text).expect("it is written");
    rawbpf_ok(&["asm", &path("x.s"), "-o", &path("y.o")]);
    assert_eq!(rawbpf_ok(&["disasm", "--text", &path("y.o")]), text);
    assert_eq!(rawbpf_json(&["disasm", "--text", &path("y.o")])["text"], text);
}

#[test]
fn assembly_text_makes_an_object() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = dir.path().join("out.o");
    let output = output.to_string_lossy();
    let said = rawbpf_ok(&["asm", &object("packet_count.s"), "-o", &output]);
    assert!(said.contains("1 program, 1 map"), "{said}");
    let listing = rawbpf_ok(&["disasm", &output]);
    assert!(listing.contains("r1 = packet_count_map ll"), "{listing}");
    let bad = dir.path().join("bad.s");
    std::fs::write(&bad, ".section \"xdp\"\nf:\n    r0 = r11\n    exit\n").expect("a file");
    let said = rawbpf_fails(1, &["asm", &bad.to_string_lossy()]);
    assert!(said.contains("bad.s:3:"), "the place: {said}");
}

#[test]
fn explaining_prints_each_call() {
    require!(ROOT);
    in_namespace(|| {
        let out = rawbpf(&["load", &object("packet_count.o"), "--explain"]);
        assert!(out.status.success());
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains("bpf(BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_ARRAY, key_size=4"), "{said}");
        assert!(said.contains("bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_XDP"), "{said}");
    });
}

/// bpftool, if it is installed: what we assemble, it loads.
#[test]
fn bpftool_loads_what_we_assemble() {
    require!(HOST);
    require!(ROOT);
    in_namespace(|| {
        crate::net::mount_bpffs();
        let dir = tempfile::tempdir().expect("a directory");
        let output = dir.path().join("ours.o").to_string_lossy().into_owned();
        rawbpf_ok(&["asm", &object("packet_count.s"), "-o", &output]);
        let bpftool = |args: &[&str]| {
            Command::new("bpftool").args(args).output().expect("bpftool is installed: make deps")
        };
        let loaded = bpftool(&["prog", "load", &output, "/sys/fs/bpf/ours"]);
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let shown = bpftool(&["-j", "prog", "show", "pinned", "/sys/fs/bpf/ours"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        assert_eq!(shown["name"], "count_packets");
        // And what bpftool says of it is what we say of it.
        let listed = rawbpf_json(&["prog", "list"]);
        let programs = listed["programs"].as_array().expect("a list");
        let ours = programs.iter().find(|p| p["id"] == shown["id"]).expect("it is listed");
        assert_eq!(ours["tag"], shown["tag"]);
        assert_eq!(ours["xlated_size"], shown["bytes_xlated"]);
        assert_eq!(ours["jited_size"], shown["bytes_jited"]);
        assert_eq!(ours["map_ids"], shown["map_ids"]);
        assert_eq!(ours["btf_id"], shown["btf_id"]);
    });
}
