//! How long attaching takes, with libbpf and with rawbpf, in turns: `rawbpf-oracle --bench-attach DIR`, where DIR holds
//! kprobe_multi.o and uprobe.o of bpf/.
//!
//! Each starts from nothing every time: what rawbpf keeps of a kernel from one attachment to the next is not counted in
//! its favour.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rawbpf::links::{self, Uprobe};
use rawbpf::{Kernel, Loaded, Object, Options, Target};

use crate::executable;
use crate::libbpf;

/// Rounds; the shortest time of each counts.
const ROUNDS: u32 = 7;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

pub fn run(dir: &str) -> Fallible<()> {
    if let Err(e) = kprobes(dir) {
        println!("SKIP kprobe.multi: {e}");
    }
    uprobe(dir)
}

/// The shortest times of both, in turns: attaching counts, detaching does not.
fn race<A, B>(
    mut theirs: impl FnMut() -> Fallible<A>,
    mut ours: impl FnMut() -> Fallible<B>,
) -> Fallible<(Duration, Duration)> {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let link = theirs()?;
        best.0 = best.0.min(start.elapsed());
        drop(link);
        let start = Instant::now();
        let link = ours()?;
        best.1 = best.1.min(start.elapsed());
        drop(link);
    }
    Ok(best)
}

fn say(what: &str, (theirs, ours): (Duration, Duration)) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("{what}: libbpf {theirs:?}, rawbpf {ours:?}, ratio {ratio:.2}");
}

fn load(dir: &str, name: &str, program: &str) -> Fallible<(libbpf::Program, Loaded)> {
    let path = format!("{dir}/{name}.o");
    let theirs = libbpf::Program::load(name, &std::fs::read(&path)?, program);
    let theirs = theirs.map_err(|e| format!("libbpf: {}", std::io::Error::from_raw_os_error(e)))?;
    let options = Options { only: vec![program.into()], ..Options::default() };
    Ok((theirs, Object::open(&path)?.plan(&Kernel::host(), &options)?.run()?))
}

/// libbpf gives up a whole pattern where one function cannot be probed. So two things are measured: the largest pattern
/// that both can attach; and some 5,000 functions, which libbpf is given by their addresses, without those that it would
/// give up for, while rawbpf has to find them by their pattern.
fn kprobes(dir: &str) -> Fallible<()> {
    let list = std::fs::read_to_string("/sys/kernel/tracing/available_filter_functions_addrs")?;
    let kept_off = std::fs::read_to_string("/sys/kernel/debug/kprobes/blacklist")?;
    let kept_off: HashSet<&str> = kept_off.lines().filter_map(|l| l.split_whitespace().nth(1)).collect();
    let function = |line: &'static str| {
        let mut words = line.split_whitespace();
        Some((u64::from_str_radix(words.next()?, 16).ok()?, words.next()?))
    };
    let functions: Vec<(u64, &str)> = list.leak().lines().filter_map(function).collect();
    let letters = || 'a'..='z';
    let starts =
        letters().flat_map(|a| letters().map(move |b| format!("{a}{b}"))).chain(letters().map(String::from));
    let mut patterns: Vec<(String, usize, bool)> = Vec::new();
    for start in starts {
        let those = || functions.iter().filter(|(_, name)| name.starts_with(&start));
        let is_clean = those().all(|(_, name)| !kept_off.contains(name));
        patterns.push((format!("{start}*"), those().count(), is_clean));
    }
    let (theirs, loaded) = load(dir, "kprobe_multi", "many")?;
    let program = loaded.program("many").ok_or("no program")?;
    let ours = |pattern: &str| -> Fallible<links::Link> {
        let target = Target::of_section(&format!("kprobe.multi/{pattern}"))?.ok_or("no hook")?;
        Ok(links::attach_on(&Kernel::host(), program, &target)?)
    };
    let failed = |e: i32| -> Box<dyn std::error::Error> { std::io::Error::from_raw_os_error(e).into() };

    patterns.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    for (pattern, count, _) in patterns.iter().filter(|(_, _, is_clean)| *is_clean) {
        if let Ok(link) = theirs.kprobe_multi(pattern) {
            drop(link);
            let times = race(|| theirs.kprobe_multi(pattern).map_err(failed), || ours(pattern))?;
            say(&format!("kprobe.multi/{pattern}, {count} functions"), times);
            break;
        }
    }
    patterns.sort_by_key(|(_, count, _)| count.abs_diff(5000));
    let Some((pattern, count, _)) = patterns.first() else { return Ok(()) };
    if let Err(e) = theirs.kprobe_multi(pattern) {
        println!(
            "kprobe.multi/{pattern}: libbpf gives up with errno {e}; so by addresses, against the pattern here:"
        );
    }
    let start = pattern.trim_end_matches('*');
    let good = functions.iter().filter(|(_, name)| name.starts_with(start) && !kept_off.contains(name));
    let addresses: Vec<u64> = good.map(|(address, _)| *address).collect();
    let times = race(|| theirs.kprobe_multi_at(&addresses).map_err(failed), || ours(pattern))?;
    say(&format!("kprobe.multi/{pattern}, {} of {count} functions", addresses.len()), times);
    Ok(())
}

fn uprobe(dir: &str) -> Fallible<()> {
    let path = std::env::temp_dir().join(format!("rawbpf-bench-{}", std::process::id()));
    let size = executable::write(&path, executable::COUNT)?;
    let file = path.display().to_string();
    let symbol = executable::name(executable::COUNT - 1);
    let measure = || {
        let (theirs, loaded) = load(dir, "uprobe", "anywhere")?;
        let program = loaded.program("anywhere").ok_or("no program")?;
        let target = Target::Uprobe(Uprobe::entry(&file, &symbol));
        race(
            || theirs.uprobe(&file, &symbol).map_err(|e| std::io::Error::from_raw_os_error(e).into()),
            || Ok(links::attach_on(&Kernel::host(), program, &target)?),
        )
    };
    let times = measure();
    std::fs::remove_file(&path)?;
    say(&format!("uprobe by symbol in {} MB", size / 1_000_000), times?);
    Ok(())
}
