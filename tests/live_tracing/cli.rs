//! The command line: `load` attaches what can attach itself, keeps it by pins, and says what it left.

use std::path::Path;
use std::process::{Command, Output};

use super::*;
use crate::gate::{
    BPFFS, FENTRY, GUEST, ITER, KPROBE, KPROBE_MULTI, PERF_LINK, RAW_TRACEPOINT, ROOT, UPROBE, require,
};

fn rawbpf(args: &[&str]) -> Output {
    let dir = env!("CARGO_MANIFEST_DIR");
    Command::new(env!("CARGO_BIN_EXE_rawbpf")).current_dir(dir).args(args).output().expect("it starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn ok(args: &[&str]) -> String {
    let output = rawbpf(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    text(&output)
}

/// Unloads when a test is over, however it ends.
struct Name(&'static str);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = rawbpf(&["unload", self.0]);
    }
}

fn pins(name: &str) -> Vec<String> {
    let entries = fs::read_dir(format!("/sys/fs/bpf/rawbpf/{name}/links")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn load_attaches_what_can_attach_itself() {
    require!(ROOT);
    require!(
        RAW_TRACEPOINT,
        load("tracepoint", &["raw_entry"]).and_then(|l| Ok(auto(&l, "raw_entry").map(drop)?))
    );
    leaves_nothing(|| {
        let name = Name("cli_auto");
        let said = ok(&["load", "bpf/tracepoint.o", "--program", "raw_entry", "--name", name.0]);
        assert!(said.contains("link     raw_entry  raw_tracepoint/sys_enter"), "{said}");
        assert_eq!(pins(name.0), ["raw_entry"]);
        assert!(ok(&["link", "list"]).contains("/sys/fs/bpf/rawbpf/cli_auto/links/raw_entry"));
        ok(&["unload", name.0]);
        assert!(!Path::new("/sys/fs/bpf/rawbpf/cli_auto").exists());
        let said =
            ok(&["load", "bpf/tracepoint.o", "--program", "raw_entry", "--name", name.0, "--no-attach"]);
        assert!(said.contains("not attached: raw_entry: --no-attach"), "{said}");
        assert!(pins(name.0).is_empty());
        ok(&["unload", name.0]);
    });
}

#[test]
fn load_attaches_by_hand_and_says_what_it_left() {
    require!(ROOT);
    require!(UPROBE, Path::new("/sys/bus/event_source/devices/uprobe").exists());
    leaves_nothing(|| {
        let name = Name("cli_hand");
        let at = |hook: &str| {
            let hook = format!("anywhere={hook}");
            rawbpf(&["load", "bpf/uprobe.o", "--program", "anywhere", "--name", name.0, "--attach", &hook])
        };
        let said = ok(&["load", "bpf/uprobe.o", "--program", "anywhere", "--name", name.0]);
        assert!(
            said.contains("not attached: anywhere: its section names no file and function; write uprobe/FILE:FUNCTION[+OFFSET]"),
            "{said}"
        );
        ok(&["unload", name.0]);
        let exe = env!("CARGO_BIN_EXE_rawbpf");
        let output = at(&format!("uprobe/{exe}:main"));
        // Before 5.15 it cannot be kept, and nothing stays behind.
        match Kernel::host().release() >= rawbpf::uapi::Release(5, 15, 0) {
            true => {
                assert!(output.status.success(), "{}", text(&output));
                assert_eq!(pins(name.0), ["anywhere"]);
                ok(&["unload", name.0]);
            }
            false => {
                assert!(
                    text(&output).contains("this kernel has no links for perf events"),
                    "{}",
                    text(&output)
                );
                assert!(!Path::new("/sys/fs/bpf/rawbpf/cli_hand").exists());
            }
        }
        let output = at("uprobe//no/such/file:main");
        assert_eq!(output.status.code(), Some(5), "{}", text(&output));
        assert!(!Path::new("/sys/fs/bpf/rawbpf/cli_hand").exists(), "nothing is left");
        let output = at("uprobe/main");
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(
            text(&output)
                .contains("--attach: `uprobe/main` is not a hook: write uprobe/FILE:FUNCTION[+OFFSET]"),
            "{}",
            text(&output)
        );
    });
}

#[test]
fn one_that_cannot_be_attached_undoes_all() {
    require!(ROOT);
    require!(GUEST);
    leaves_nothing(|| {
        let name = Name("cli_undo");
        let output = rawbpf(&[
            "load",
            "bpf/kprobe.o",
            "--name",
            name.0,
            "--attach",
            "anywhere=kprobe/no_such_function",
            "--foreground",
        ]);
        assert_eq!(output.status.code(), Some(5), "{}", text(&output));
        assert!(
            text(&output).contains("there is no kernel function `no_such_function`"),
            "{}",
            text(&output)
        );
    });
}

#[test]
fn what_cannot_be_attached_is_said_and_the_rest_is_attached() {
    require!(ROOT);
    require!(
        RAW_TRACEPOINT,
        load("tracepoint", &["raw_entry"]).and_then(|l| Ok(auto(&l, "raw_entry").map(drop)?))
    );
    let dir = tempfile::tempdir().expect("a folder");
    let (source, both) = (dir.path().join("some.s"), dir.path().join("some.o"));
    let program =
        |name: &str, section: &str| format!(".section \"{section}\"\n{name}:\n    r0 = 0\n    exit\n");
    let lines =
        [".license \"GPL\"\n", &program("here", "raw_tp/sys_enter"), &program("nowhere", "raw_tp/sys_entre")];
    fs::write(&source, lines.concat()).expect("it is written");
    ok(&["asm", &source.display().to_string(), "-o", &both.display().to_string()]);
    let both = both.display().to_string();
    leaves_nothing(|| {
        let name = Name("cli_some");
        let args = ["load", &both, "--name", name.0];
        let said = ok(&args);
        assert!(
            said.contains("not attached: nowhere: raw_tracepoint/sys_entre: there is no tracepoint `sys_entre` (nearest: sys_enter"),
            "{said}"
        );
        assert_eq!(pins(name.0), ["here"]);
        ok(&["unload", name.0]);
        // If all has to succeed, nothing is left of what did; nor if nothing does.
        for more in [&["--strict"][..], &["--program", "nowhere"]] {
            let output = rawbpf(&[&args, more].concat());
            assert_eq!(output.status.code(), Some(5), "{}", text(&output));
            assert!(text(&output).contains("cannot attach `nowhere` to"), "{}", text(&output));
            assert!(!Path::new("/sys/fs/bpf/rawbpf/cli_some").exists());
        }
        // A replacement is all or nothing.
        ok(&["load", &both, "--name", name.0, "--program", "here"]);
        assert_eq!(rawbpf(&[&args[..], &["--replace"]].concat()).status.code(), Some(5));
        assert_eq!(pins(name.0), ["here"]);
        ok(&["unload", name.0]);
    });
}

#[test]
fn a_replacement_takes_over_what_is_traced() {
    require!(ROOT);
    require!(FENTRY, load("tracing", &["test1_entry"]).and_then(|l| Ok(auto(&l, "test1_entry").map(drop)?)));
    leaves_nothing(|| {
        let name = Name("cli_replace");
        ok(&["load", "bpf/tracing.o", "--name", name.0]);
        let before = pins(name.0);
        assert_eq!(before, ["syscall_entry", "test1_entry", "test1_exit"]);
        let said = ok(&["load", "bpf/tracing.o", "--name", name.0, "--replace"]);
        assert!(said.starts_with("replaced cli_replace"), "{said}");
        assert_eq!(pins(name.0), before);
        ok(&["unload", name.0]);
    });
}

#[test]
fn several_links_of_one_attachment_are_pinned() {
    require!(ROOT);
    require!(PERF_LINK, Kernel::host().has(rawbpf::kernel::Feature::PerfLink).allows());
    leaves_nothing(|| {
        let name = Name("cli_perf");
        let said = ok(&[
            "load",
            "bpf/perf_event.o",
            "--name",
            name.0,
            "--attach",
            "sample=perf_event/cpu-clock,freq=10",
        ]);
        assert!(said.contains("perf_event/cpu-clock,freq=10"), "{said}");
        assert_eq!(
            pins(name.0).len(),
            rawbpf::sys::online_cpus().expect("sysfs tells").len(),
            "{:?}",
            pins(name.0)
        );
        // The kernel tells which event it is since 6.6.
        if Kernel::host().release() >= rawbpf::uapi::Release(6, 6, 0) {
            let list = ok(&["attachments"]);
            let ours = list.lines().find(|l| l.contains("cli_perf")).unwrap_or_else(|| panic!("{list}"));
            assert!(ours.contains("cpu-clock"), "{ours}");
        }
        ok(&["unload", name.0]);
        let one = "sample=perf_event/cpu-clock,freq=10,cpu=0";
        ok(&["load", "bpf/perf_event.o", "--name", name.0, "--attach", one]);
        assert_eq!(pins(name.0).len(), 1, "{:?}", pins(name.0));
        ok(&["unload", name.0]);
    });
}

#[test]
fn several_links_are_pinned_all_or_none() {
    require!(ROOT);
    require!(PERF_LINK, Kernel::host().has(rawbpf::kernel::Feature::PerfLink).allows());
    require!(BPFFS, rawbpf::sys::online_cpus().expect("sysfs tells").len() > 1 && crate::net::rawbpf_bpffs());
    leaves_nothing(|| {
        let loaded = load("perf_event", &["sample"]).expect("it loads");
        let link = attach(&loaded, "sample", "perf_event/cpu-clock,freq=10").expect("it is attached");
        let path = format!("/sys/fs/bpf/rawbpf_half_{}", std::process::id());
        let taken = format!("{path}+1");
        loaded.program("sample").expect("it is there").pin(&taken).expect("the name is free");
        let pinned = link.pin(&path);
        let half = fs::exists(&path);
        fs::remove_file(&taken).expect("it was there");
        assert!(pinned.is_err_and(|e| e.errno == rawbpf::sys::Errno::EEXIST));
        assert!(!half.expect("it can be asked"), "one of several was left");
        link.pin(&path).expect("both names are free");
        for path in [path, taken] {
            fs::remove_file(path).expect("it was pinned");
        }
    });
}

#[test]
fn kprobes_by_pattern_say_what_they_left_out() {
    require!(ROOT);
    require!(GUEST);
    require!(
        KPROBE,
        load("kprobe", &["anywhere"])
            .and_then(|l| Ok(attach(&l, "anywhere", "kprobe/__sys_socket").map(drop)?))
    );
    leaves_nothing(|| {
        let name = Name("cli_multi");
        let args = [
            "load",
            "bpf/kprobe_multi.o",
            "--name",
            name.0,
            "--program",
            "many",
            "--attach",
            "many=kprobe.multi/vfs_*",
        ];
        let output = rawbpf(&args);
        require!(KPROBE_MULTI, if output.status.success() { Ok(()) } else { Err(text(&output)) });
        assert_eq!(pins(name.0), ["many"]);
        ok(&["unload", name.0]);
    });
}

#[test]
fn iter_prints_an_object_and_a_pin() {
    require!(ROOT);
    require!(ITER, load("iter", &["dump_task"]).map(drop));
    leaves_nothing(|| {
        let pid = std::process::id();
        let said = ok(&["iter", "bpf/iter.o", "--program", "dump_task"]);
        assert!(said.contains(&format!("task {pid} of {pid}\n")), "{said}");
        assert_eq!(
            ok(&["iter", "bpf/iter.o", "--program", "dump_elements", "--map", "squares"]),
            "0: 0\n1: 0\n2: 0\n3: 0\n"
        );
        // One process, if this kernel can (Linux 6.1).
        let (pid, task) = (pid.to_string(), format!("task {pid} of {pid}\n"));
        let args = ["iter", "bpf/iter.o", "--program", "dump_task", "--tid", &pid];
        let one = rawbpf(&args);
        match Kernel::host().release() >= rawbpf::uapi::Release(6, 1, 0) {
            true => assert_eq!(text(&one), task),
            false => assert!(!one.status.success(), "{}", text(&one)),
        }
        let output = rawbpf(&["iter", "bpf/iter.o"]);
        assert!(
            text(&output).contains("several iterators (dump_task, dump_elements); choose one with --program")
        );
        let name = Name("cli_iter");
        ok(&["load", "bpf/iter.o", "--name", name.0, "--program", "dump_task"]);
        let said = ok(&["iter", "/sys/fs/bpf/rawbpf/cli_iter/links/dump_task"]);
        assert!(said.contains(&task), "{said}");
        ok(&["unload", name.0]);
    });
}
