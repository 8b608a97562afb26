//! The command against bpftool: whole processes, from start to exit, in turn, so that a drift of the machine hits both.
//!
//! ```text
//! make bench        (as root: it loads a program)
//! ```

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Both commands in turn; the median of the ratios ours / theirs, and the median times.
fn ratio(
    runs: usize,
    mut ours: impl FnMut() -> Duration,
    mut theirs: impl FnMut() -> Duration,
) -> (f64, Duration, Duration) {
    let median = |mut list: Vec<Duration>| {
        list.sort();
        list[list.len() / 2]
    };
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let (x, y) = (ours(), theirs());
        ratios.push(x.as_secs_f64() / y.as_secs_f64());
        a.push(x);
        b.push(y);
    }
    ratios.sort_by(f64::total_cmp);
    (ratios[ratios.len() / 2], median(a), median(b))
}

fn timed(command: &mut Command) -> Duration {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let since = Instant::now();
    let status = command.status().expect("the command starts");
    let took = since.elapsed();
    assert!(status.success(), "{command:?}");
    took
}

fn main() {
    // What is shipped is the static binary; `make bench` builds and names it.
    let ours = std::env::var("RAWBPF_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rawbpf").into());
    let ours = ours.as_str();
    let object = concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/packet_count.o");
    // A mount namespace of its own, with a bpffs; not root, or no bpftool: nothing to compare with.
    if std::env::args().any(|a| a == "--inside") {
        return inside(ours, object);
    }
    let here = std::env::current_exe().expect("a path");
    let script = "mount -t bpf bpf /sys/fs/bpf && command -v bpftool >/dev/null && exec \"$0\" --inside";
    let status = Command::new("unshare")
        .args(["-m", "--propagation", "private", "sh", "-c", script])
        .arg(here)
        .status();
    if !status.is_ok_and(|s| s.success()) {
        println!("cli: not measured: needs root and bpftool");
    }
}

fn inside(ours: &str, object: &str) {
    let pin = "/sys/fs/bpf/theirs";
    let (load, a, b) = ratio(
        41,
        || {
            let took = timed(Command::new(ours).args(["load", object]));
            timed(Command::new(ours).args(["unload", "packet_count"]));
            took
        },
        || {
            let took = timed(Command::new("bpftool").args(["prog", "load", object, pin]));
            std::fs::remove_file(pin).expect("the pin is removed");
            took
        },
    );
    println!("load packet_count.o   rawbpf {a:>9.2?}   bpftool {b:>9.2?}   ratio {load:.2}");
    timed(Command::new(ours).args(["load", object]));
    let list =
        Command::new(ours).args(["map", "dump", "packet_count_map", "--json"]).output().expect("it runs");
    let dump: serde_json::Value = serde_json::from_slice(&list.stdout).expect("a document");
    let id = dump["map"]["id"].to_string();
    let (dump, a, b) = ratio(
        41,
        || timed(Command::new(ours).args(["map", "dump", "packet_count_map"])),
        || timed(Command::new("bpftool").args(["map", "dump", "id", &id])),
    );
    println!(
        "map dump by name      rawbpf {a:>9.2?}   bpftool {b:>9.2?}   ratio {dump:.2} (bpftool by id: it cannot find the name)"
    );
    timed(Command::new(ours).args(["unload", "packet_count"]));
    many(ours);
}

/// How long until a list of a thousand programs begins to be printed, and until it is whole.
fn many(ours: &str) {
    use rawbpf::insn::prelude::*;
    let mut a = Asm::new();
    a.mov64(R0, 0).exit();
    let code = a.finish().expect("two instructions");
    let insns: Vec<[u8; 8]> =
        code.insns().iter().map(|i| i.to_bytes(rawbpf::bytes::Endian::NATIVE)).collect();
    let load = || {
        let parts = rawbpf::sys::ProgLoadParts { insns: &insns, license: Some(c"GPL"), ..Default::default() };
        let prog_type = rawbpf::uapi::ProgType::SocketFilter;
        let head = rawbpf::sys::attr::ProgLoad { prog_type, ..Default::default() };
        rawbpf::sys::prog_load(head, parts, &mut []).fd.expect("it is loaded")
    };
    let _held: Vec<_> = (0..1000).map(|_| load()).collect();
    let first = |command: &mut Command| {
        let since = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut out = child.stdout.take().expect("a pipe");
        std::io::Read::read_exact(&mut out, &mut [0]).expect("it says something");
        let took = since.elapsed();
        std::io::copy(&mut out, &mut std::io::sink()).expect("it goes on");
        assert!(child.wait().expect("it ends").success());
        took
    };
    let (ratio_first, a, b) = ratio(
        21,
        || first(Command::new(ours).args(["prog", "list"])),
        || first(Command::new("bpftool").args(["prog", "list"])),
    );
    println!("prog list, 1000, first output  rawbpf {a:>9.2?}   bpftool {b:>9.2?}   ratio {ratio_first:.2}");
    let (whole, a, b) = ratio(
        21,
        || timed(Command::new(ours).args(["prog", "list"])),
        || timed(Command::new("bpftool").args(["prog", "list"])),
    );
    println!("prog list, 1000, to the end    rawbpf {a:>9.2?}   bpftool {b:>9.2?}   ratio {whole:.2}");
}
