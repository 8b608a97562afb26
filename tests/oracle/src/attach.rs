//! How long attaching takes, with libbpf and with rawbpf, in turns: `rawbpf-oracle --bench-attach DIR`, where DIR holds
//! kprobe_multi.o and uprobe.o of bpf/.
//!
//! Each starts from nothing every time: what rawbpf keeps of a kernel from one attachment to the next is not counted in
//! its favour.

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

fn kprobes(dir: &str) -> Fallible<()> {
    let list = std::fs::read_to_string("/sys/kernel/tracing/available_filter_functions")?;
    // The patterns that come nearest to 5,000 functions. libbpf gives up where one of them cannot be probed.
    let names: Vec<&str> = list.lines().filter_map(|l| l.split(' ').next()).collect();
    let count = |c: char, with: fn(&str, char) -> bool| names.iter().filter(|n| with(n, c)).count();
    let starts = ('a'..='z').map(|c| (format!("{c}*"), count(c, |n, c| n.starts_with(c))));
    let ends = ('a'..='z').map(|c| (format!("*{c}"), count(c, |n, c| n.ends_with(c))));
    let mut patterns: Vec<(String, usize)> = starts.chain(ends).collect();
    patterns.sort_by_key(|(_, count)| count.abs_diff(5000));
    let (theirs, loaded) = load(dir, "kprobe_multi", "many")?;
    let program = loaded.program("many").ok_or("no program")?;
    for (pattern, count) in patterns.iter().take(8) {
        let target = Target::of_section(&format!("kprobe.multi/{pattern}"))?.ok_or("no hook")?;
        let ours = || Ok(links::attach_on(&Kernel::host(), program, &target)?);
        let what = format!("kprobe.multi/{pattern}, {count} functions");
        if let Err(e) = theirs.kprobe_multi(pattern) {
            let start = Instant::now();
            let link = ours()?;
            let time = start.elapsed();
            println!("{what}: libbpf fails with errno {e}; rawbpf {time:?}, {} left out", link.skipped().len());
            for s in link.skipped().iter().take(20) {
                println!("  {}: {}", s.name, s.why);
            }
            continue;
        }
        let theirs = || theirs.kprobe_multi(pattern).map_err(|e| std::io::Error::from_raw_os_error(e).into());
        say(&what, race(theirs, ours)?);
        return Ok(());
    }
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
