//! How long attaching takes, with libbpf and with rawbpf, in turns: `rawbpf-oracle --bench-attach DIR`, where DIR holds
//! kprobe_multi.o and uprobe.o of bpf/.
//!
//! Each starts from nothing every time: what rawbpf keeps of a kernel from one attachment to the next is not counted in
//! its favour.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rawbpf::sys::LinkFd;
use rawbpf::links::{self, Functions, KprobeMulti, MultiKind, Uprobe};
use rawbpf::{Kernel, Loaded, Object, Options, Target};

use crate::executable;
use crate::libbpf;

/// Rounds; the shortest time of each counts.
const ROUNDS: u32 = 15;

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

/// Functions that a pattern is to match, at least.
const WANTED: usize = 5000;

/// Two things are measured, over the pattern that matches the fewest functions of at least [`WANTED`]:
///
/// * its functions by name, the same list for both, without names that several functions have: by name the kernel
///   gives a link to the first of them, or to none;
/// * by the pattern itself.
fn kprobes(dir: &str) -> Fallible<()> {
    let list = std::fs::read_to_string("/sys/kernel/tracing/available_filter_functions")?;
    let mut times_there: HashMap<&str, u32> = HashMap::new();
    for name in list.lines().filter(|line| !line.contains(' ')) {
        *times_there.entry(name).or_default() += 1;
    }
    let once = |part: &str| {
        let there = times_there.iter().filter(|(name, times)| **times == 1 && name.contains(part));
        there.map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    let parts = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}")));
    let counted = parts.map(|part| (once(&part).len(), part));
    let (_, part) =
        counted.filter(|(count, _)| *count >= WANTED).min().ok_or("no pattern has as many functions")?;
    let (pattern, names) = (format!("*{part}*"), once(&part));

    let (theirs, loaded) = load(dir, "kprobe_multi", "many")?;
    let program = loaded.program("many").ok_or("no program")?;
    let target = |functions: Functions| {
        Target::KprobeMulti(KprobeMulti { functions, kind: MultiKind::Entry, cookies: Vec::new() })
    };
    let attach = |target: &Target| -> Fallible<links::Link> {
        Ok(links::attach_on(&Kernel::host(), program, target)?)
    };
    let failed = |e: i32| -> Box<dyn std::error::Error> { std::io::Error::from_raw_os_error(e).into() };

    let c_names: Vec<CString> = names.iter().map(|n| CString::new(n.as_str()).unwrap_or_default()).collect();
    let by_name = || theirs.kprobe_multi_named(&c_names).map_err(failed);
    let named = format!("kprobe.multi, {} names", names.len());
    let names = target(Functions::Names(names));
    say(&named, race(by_name, || attach(&names))?);

    let matching = target(Functions::Pattern(pattern.clone()));
    let (by_them, by_us) = (|| theirs.kprobe_multi(&pattern).map_err(failed), || attach(&matching));
    let (there, here) = (count(by_them()?.fd())?, by_us()?);
    println!(
        "kprobe.multi/{pattern}: libbpf attaches to {there} functions, rawbpf to {} and leaves out {}",
        count(here.fd().ok_or("no descriptor")?)?,
        here.skipped().len()
    );
    drop(here);
    say(&format!("kprobe.multi/{pattern}"), race(by_them, by_us)?);
    Ok(())
}

/// How many functions a link has.
fn count(link: BorrowedFd<'_>) -> Fallible<u32> {
    match links::LinkInfo::of(&LinkFd::new(link.try_clone_to_owned()?)?)?.hook {
        links::Hook::KprobeMulti { count, .. } => Ok(count),
        other => Err(format!("not kprobe.multi: {other:?}").into()),
    }
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
