//! Each system call of the commands that change what stays: it fails once, and the process is killed before it once.
//!
//! ```text
//!   strace --inject=CALL:error=EPERM:when=N     status 0: it is done; else the old state or the new, and the cause by name
//!   strace --inject=CALL:signal=KILL:when=N     the next command goes on or back
//! ```
//!
//! `INJECT=all` tries every call with both errors, which takes minutes; without it, each of the first and the last with one
//! of the two, and kills before those calls that change something.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::gate::{BPFTOOL, HOST, ROOT, require};
use crate::net::{in_namespace, mount_bpffs, object};

/// The calls that may fail.
const CALLS: &[&str] = &[
    "bpf",
    "openat",
    "getdents64",
    "statfs",
    "fstatfs",
    "mount",
    "sendto",
    "recvfrom",
    "recvmsg",
    "flock",
    "mkdir",
    "unlink",
    "rmdir",
    "rename",
    "readlink",
    "socket",
    "bind",
    "setns",
    "fcntl",
];

/// The calls before which it is killed when time is short.
const CHANGES: &[&str] = &["bpf", "sendto", "flock", "mkdir", "unlink", "rmdir", "rename"];

const NAME: &str = "injected";

/// A command under test, and what must be there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Load,
    Replace,
    Unload,
}

/// How the program is attached.
#[derive(Debug, Clone, Copy)]
struct Way(&'static [&'static str]);

const WAYS: [Way; 2] = [Way(&["--xdp", "v0"]), Way(&["--xdp", "v0", "--no-link"])];

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn json(program: &str, args: &[&str]) -> Value {
    serde_json::from_slice(&run(program, args).stdout).unwrap_or(Value::Null)
}

/// What is: the program at the hook, and the one that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    hook: Option<u64>,
    pinned: Option<u64>,
    directory: bool,
}

fn seen() -> Seen {
    let link = json("ip", &["-j", "link", "show", "dev", "v0"]);
    let dir = format!("/sys/fs/bpf/rawbpf/{NAME}");
    let pin = format!("{dir}/progs/count_packets");
    let pinned = json("bpftool", &["-j", "prog", "show", "pinned", &pin])["id"].as_u64();
    Seen { hook: link[0]["xdp"]["prog"]["id"].as_u64(), pinned, directory: Path::new(&dir).exists() }
}

impl Verb {
    fn args(self, way: Way) -> Vec<String> {
        let counter = object("packet_count.o");
        let load: &[&str] = &["load", &counter, "--name", NAME];
        let words: Vec<&str> = match self {
            Verb::Load => [load, way.0].concat(),
            Verb::Replace => [load, &["--replace"], way.0].concat(),
            Verb::Unload => vec!["unload", NAME],
        };
        words.into_iter().map(String::from).collect()
    }

    /// The state before it: nothing, or loaded.
    fn prepare(self, way: Way) -> Seen {
        ours(&Verb::Unload.args(way));
        // Others may look at the link at this moment, and hold it.
        for entry in fs::read_dir("/sys/fs/bpf/rawbpf").into_iter().flatten().flatten() {
            for pin in fs::read_dir(entry.path().join("links")).into_iter().flatten().flatten() {
                run("bpftool", &["link", "detach", "pinned", &pin.path().display().to_string()]);
            }
        }
        let _ = fs::remove_dir_all("/sys/fs/bpf/rawbpf");
        run("ip", &["link", "set", "dev", "v0", "xdp", "off"]);
        // The kernel lets go of a link whose pin is gone a moment later.
        for _ in 0..200 {
            if seen().hook.is_none() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        if self != Verb::Load {
            let out = ours(&Verb::Load.args(way));
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        seen()
    }

    /// What is wrong with what is there after it, if anything.
    fn judge(self, before: &Seen, out: &Output) -> Result<(), String> {
        let now = seen();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let is_attached = now.hook.is_some() && now.hook == now.pinned;
        match (out.status.code(), self) {
            (Some(0), Verb::Load) if !is_attached => {
                Err(format!("status 0, and it is not attached: {now:?}"))
            }
            (Some(0), Verb::Replace) if !is_attached || now.pinned == before.pinned => {
                Err(format!("status 0, and the new one is not attached: {before:?}, {now:?}"))
            }
            (Some(0), Verb::Unload) if now.hook.is_some() || now.directory => {
                Err(format!("status 0, and some of it is left: {now:?}"))
            }
            (Some(0), _) => Ok(()),
            (None | Some(101), _) => Err(format!("it crashed: {}\n{said}", out.status)),
            // What an unload could not take away is there for the next.
            (_, Verb::Unload) => named(&said),
            // The old state or the new one, and nothing between.
            _ if now == *before || is_attached && now.pinned != before.pinned => named(&said),
            _ => Err(format!("it failed, and {before:?} became {now:?}\n{said}")),
        }
    }
}

/// The message names an error number, or says what is missing.
fn named(said: &str) -> Result<(), String> {
    let names = ["EPERM", "ENOMEM", "not permitted", "Cannot allocate", "memory", "no bpffs", "not a bpffs"];
    match names.iter().any(|name| said.contains(name)) {
        true => Ok(()),
        false => Err(format!("the message does not name the cause:\n{said}")),
    }
}

fn ours(args: &[String]) -> Output {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(env!("CARGO_BIN_EXE_rawbpf"), &args)
}

/// The command under strace with these words for it.
fn traced(strace: &[&str], args: &[String]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "20", "strace", "-f", "-qq"]).args(strace);
    command.arg(env!("CARGO_BIN_EXE_rawbpf")).args(args).stdin(Stdio::null());
    command.output().expect("strace runs")
}

/// How often the command makes each call, from the first that is its own and not the loader's.
fn calls(args: &[String], log: &Path) -> BTreeMap<&'static str, u32> {
    let trace = format!("trace={}", CALLS.join(","));
    traced(&["-o", &log.display().to_string(), "-e", &trace], args);
    let text = fs::read_to_string(log).expect("the trace");
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        if let Some(name) = CALLS.iter().find(|name| call.starts_with(&format!("{name}("))) {
            *out.entry(*name).or_insert(0) += 1;
        }
    }
    out
}

fn inject(verb: Verb, way: Way, all: bool, log: &Path) -> Vec<String> {
    let args = verb.args(way);
    verb.prepare(way);
    let (counts, quiet) = (calls(&args, log), log.display().to_string());
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (call, count) in &counts {
        // What looks through the whole machine asks the same again and again.
        let shortened = |n: &u32| all || *n <= 8 || *n + 8 > *count;
        for n in (1..=*count).filter(shortened) {
            let errors: &[&str] = match (all, n % 2) {
                (true, _) => &["EPERM", "ENOMEM"],
                (false, 0) => &["EPERM"],
                (false, _) => &["ENOMEM"],
            };
            for error in errors {
                let before = verb.prepare(way);
                let what = format!("inject={call}:error={error}:when={n}");
                let out = traced(&["-o", &quiet, "-e", &what], &args);
                tried += 1;
                // The dynamic loader ends with its own words and status.
                if out.status.code() == Some(127) {
                    continue;
                }
                if let Err(why) = verb.judge(&before, &out) {
                    wrong.push(format!("{verb:?} {:?} {what}: {why}", way.0));
                }
            }
            if all || CHANGES.contains(call) {
                verb.prepare(way);
                let what = format!("inject={call}:signal=KILL:when={n}");
                traced(&["-o", &quiet, "-e", &what], &args);
                tried += 1;
                if let Err(why) = goes_on(verb, way) {
                    wrong.push(format!("{verb:?} {:?} {what}: {why}", way.0));
                }
            }
        }
    }
    println!("{verb:?} {:?}: {tried} tried, {} wrong", way.0, wrong.len());
    wrong
}

/// The next command after a kill goes on or back.
fn goes_on(verb: Verb, way: Way) -> Result<(), String> {
    let next = if verb == Verb::Unload { Verb::Unload } else { Verb::Replace };
    let out = ours(&next.args(way));
    let now = seen();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let is_right = match (next, out.status.code()) {
        (Verb::Unload, Some(0)) => now.hook.is_none() && !now.directory,
        // Nothing of it is there.
        (Verb::Unload, Some(5)) => {
            now.hook.is_none() && !now.directory && said.contains("nothing is loaded under the name")
        }
        (_, Some(0)) => now.hook.is_some() && now.hook == now.pinned,
        _ => false,
    };
    let unfinished = fs::read_dir("/sys/fs/bpf/rawbpf").into_iter().flatten().flatten();
    let unfinished = unfinished.filter(|e| e.file_name().to_string_lossy().contains('~')).count();
    match is_right && unfinished == 0 {
        true => Ok(()),
        false => Err(format!(
            "the next command ({next:?}): {}, {now:?}, {unfinished} unfinished\n{said}",
            out.status
        )),
    }
}

#[test]
fn every_call_fails_once_and_is_the_last_once() {
    require!(ROOT);
    require!(HOST);
    require!(BPFTOOL);
    assert!(run("strace", &["-V"]).status.success(), "strace is not installed: make deps");
    let all = std::env::var("INJECT").is_ok_and(|v| v == "all");
    let log = tempfile::NamedTempFile::new().expect("a file");
    in_namespace(|| {
        mount_bpffs();
        run("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        let mut wrong = Vec::new();
        for way in WAYS {
            for verb in [Verb::Load, Verb::Replace, Verb::Unload] {
                wrong.extend(inject(verb, way, all, log.path()));
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    });
}
