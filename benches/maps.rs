//! `map dump` of a large hash against bpftool: whole processes, in turns, and the memory that each took.
//!
//! ```text
//! make bench        (as root: it makes a map)
//! ```

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rawbpf::Map;
use rawbpf::btf::{BtfBuilder, IntEncoding};
use rawbpf::maps::{Builder, ElemFlags, Plain as _};
use rawbpf::sys::attr::Fd;
use rawbpf::uapi::MapType;

/// A hash with so many elements, every one of them there, with types (u32 and u64) or without.
fn map(entries: u32, typed: bool) -> Map {
    let mut types = BtfBuilder::new();
    let key = types.int("unsigned int", 4, IntEncoding::UNSIGNED);
    let value = types.int("unsigned long long", 8, IntEncoding::UNSIGNED);
    let types = types.to_bytes().expect("two types");
    let (btf, _) = rawbpf::sys::btf_load(&types, &mut [], Fd::borrow(None));
    let btf = btf.expect("they are loaded");
    let map = Builder::new(MapType::Hash, "bench_dump").keys::<u32>().values::<u64>().max_entries(entries);
    let map = if typed { map.types(&btf, key, value) } else { map };
    let map = map.create().expect("a map");
    let keys: Vec<u32> = (0..entries).collect();
    let values: Vec<u64> = keys.iter().map(|k| u64::from(*k) * 1_000_003).collect();
    map.set_many(u32::slice_bytes(&keys), u64::slice_bytes(&values), ElemFlags::ANY).expect("filled");
    map
}

fn timed(command: &mut Command) -> Duration {
    let since = Instant::now();
    let status = command.stdout(Stdio::null()).status().expect("it starts");
    assert!(status.success(), "{command:?}");
    since.elapsed()
}

/// The most memory that a process had, in kB: `VmHWM`, asked again and again while its output is read. It waits for
/// its reader before it ends, so the last answer is of its last 64 KiB.
fn peak(command: &mut Command) -> u64 {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut out = child.stdout.take().expect("a pipe");
    let status = format!("/proc/{}/status", child.id());
    let (mut buffer, mut most) = (vec![0; 1 << 16], 0);
    while out.read(&mut buffer).expect("output") > 0 {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kb = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
        most = most.max(kb.unwrap_or(0));
    }
    assert!(child.wait().expect("it ends").success());
    most
}

fn main() {
    let ours = std::env::var("RAWBPF_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_rawbpf").into());
    let root = nix::unistd::geteuid().is_root();
    let there =
        Command::new("bpftool").arg("version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if !root || !there {
        println!("map dump: not measured: needs root and bpftool");
        return;
    }
    for entries in [100_000, 1_000_000] {
        for (typed, json) in [(true, false), (true, true), (false, false), (false, true)] {
            let map = map(entries, typed);
            let id = map.info().id.to_string();
            let rawbpf = || {
                let mut command = Command::new(&ours);
                command.args(["map", "dump", "id", &id]).args(json.then_some("--json"));
                command
            };
            let bpftool = || {
                let mut command = Command::new("bpftool");
                command.args(json.then_some("--json")).args(["map", "dump", "id", &id]);
                command
            };
            let mut rounds: Vec<(f64, Duration, Duration)> = (0..3)
                .map(|_| {
                    let (a, b) = (timed(&mut rawbpf()), timed(&mut bpftool()));
                    (b.as_secs_f64() / a.as_secs_f64(), a, b)
                })
                .collect();
            rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (ratio, a, b) = rounds[rounds.len() / 2];
            let (kb, their_kb) = (peak(&mut rawbpf()), peak(&mut bpftool()));
            println!(
                "map dump{} of {entries:>7} {}  rawbpf {a:>8.2?} {kb:>6} kB   bpftool {b:>8.2?} {their_kb:>6} kB   {ratio:.1} times as fast",
                if json { " --json" } else { "       " },
                if typed { "numbers" } else { "bytes  " },
            );
        }
    }
}
