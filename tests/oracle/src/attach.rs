//! How long attaching takes, with libbpf and with rawbpf, in turns: `rawbpf-oracle --bench-attach DIR`, where DIR holds
//! kprobe_multi.o and uprobe.o of bpf/.
//!
//! Each starts from nothing every time: what rawbpf keeps of a kernel from one attachment to the next is not counted in
//! its favour.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::time::{Duration, Instant};

use rawbpf::links::{self, Functions, KprobeMulti, MultiKind, Uprobe};
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

/// Functions that a pattern is to match.
const WANTED: usize = 5000;

/// libbpf gives up a whole pattern where one function cannot be probed, whereas rawbpf finds those and leaves them out.
/// So rawbpf is asked first which these are, and then three things are measured:
///
/// * some 5,000 functions by name, the same list for both, without those that cannot be probed;
/// * the same functions: libbpf by that list, rawbpf by the pattern that they come from;
/// * the largest pattern of those tried that both can attach.
fn kprobes(dir: &str) -> Fallible<()> {
    let list = std::fs::read_to_string("/sys/kernel/tracing/available_filter_functions")?;
    let mut times_there: HashMap<&str, u32> = HashMap::new();
    for name in list.lines().filter(|line| !line.contains(' ')) {
        *times_there.entry(name).or_default() += 1;
    }
    let starts = ('a'..='z')
        .flat_map(|a| [String::from(a)].into_iter().chain(('a'..='z').map(move |b| format!("{a}{b}"))));
    let mut patterns: Vec<(String, usize)> = starts
        .map(|start| {
            (format!("{start}*"), times_there.keys().filter(|name| name.starts_with(&start)).count())
        })
        .collect();
    let (theirs, loaded) = load(dir, "kprobe_multi", "many")?;
    let program = loaded.program("many").ok_or("no program")?;
    let kernel = Kernel::host();
    let attach = |kernel: &Kernel, functions: Functions| -> Fallible<links::Link> {
        let target = KprobeMulti { functions, kind: MultiKind::Entry, cookies: Vec::new() };
        Ok(links::attach_on(kernel, program, &Target::KprobeMulti(target))?)
    };
    let failed = |e: i32| -> Box<dyn std::error::Error> { std::io::Error::from_raw_os_error(e).into() };

    patterns.sort_by_key(|(_, count)| count.abs_diff(WANTED));
    let (pattern, _) = patterns.first().ok_or("no functions")?.clone();
    let link = attach(&kernel, Functions::Pattern(pattern.clone()))?;
    let left_out: HashSet<&str> = link.skipped().iter().map(|s| s.name.as_str()).collect();
    let start = pattern.trim_end_matches('*');
    let good =
        |(name, times): &(&&str, &u32)| name.starts_with(start) && **times == 1 && !left_out.contains(**name);
    let names: Vec<String> = times_there.iter().filter(good).map(|(name, _)| name.to_string()).collect();
    println!("kprobe.multi/{pattern}: rawbpf leaves out {}: {:?}", left_out.len(), left_out);
    drop(link);
    let c_names: Vec<CString> = names.iter().map(|n| CString::new(n.as_str()).unwrap_or_default()).collect();
    let by_name = || theirs.kprobe_multi_named(&c_names).map_err(failed);
    let result = race(by_name, || attach(&Kernel::host(), Functions::Names(names.clone())))?;
    say(&format!("kprobe.multi, {} names", names.len()), result);
    match theirs.kprobe_multi(&pattern) {
        Ok(_) => println!("libbpf attaches kprobe.multi/{pattern}"),
        Err(e) => println!("libbpf fails with errno {e} at kprobe.multi/{pattern}"),
    }
    let result = race(by_name, || attach(&Kernel::host(), Functions::Pattern(pattern.clone())))?;
    say(&format!("kprobe.multi/{pattern} against libbpf by names"), result);
    patterns.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    // Most patterns have a function that the kernel keeps probes off. Trying is slow where a guest is emulated.
    let kept_off = std::fs::read_to_string("/sys/kernel/debug/kprobes/blacklist")?;
    let kept_off: HashSet<&str> = kept_off.lines().filter_map(|l| l.split_whitespace().nth(1)).collect();
    patterns.retain(|(pattern, _)| {
        let start = pattern.trim_end_matches('*');
        !kept_off.iter().any(|name| name.starts_with(start))
    });
    for (pattern, count) in patterns.iter().take(12) {
        match theirs.kprobe_multi(pattern) {
            Err(_) => continue,
            Ok(link) => drop(link),
        }
        let by_pattern = || attach(&Kernel::host(), Functions::Pattern(pattern.clone()));
        let result = race(|| theirs.kprobe_multi(pattern).map_err(failed), by_pattern)?;
        say(&format!("kprobe.multi/{pattern}, both by pattern, {count} functions"), result);
        break;
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
