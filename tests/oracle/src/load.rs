//! What loading costs beside the kernel's own part, with libbpf and with rawbpf:
//! `rawbpf-oracle --bench-load FILE...`.
//!
//! Each object is loaded by processes of its own, in turns, so that nothing is counted that another load has left
//! behind, and the memory is that of one load. A process reads the file, and loads all programs of it that libbpf can
//! load on this kernel. Its CPU time is split: inside of bpf(2), which both need, and all the rest. Then it loads the
//! same a few times more: that is what the next object of a process costs.

use std::process::Command;

use rawbpf::Object;

use crate::{Verdict, clock, libbpf, ours};

/// How often each object is loaded by each, if the environment variable ROUNDS does not say; the median counts.
const ROUNDS: usize = 9;
/// How often a process does it again.
const AGAIN: usize = 5;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// What one load took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Nanoseconds of CPU time outside of bpf(2).
    outside: u64,
    /// And inside.
    inside: u64,
    /// Outside, when the process does it again.
    again: u64,
    /// The most memory that the process ever had, in kB.
    peak: u64,
}

/// An object's line in the table.
struct Row {
    name: String,
    core: bool,
    theirs: Cost,
    ours: Cost,
}

impl Row {
    fn time(&self) -> f64 {
        self.ours.outside as f64 / self.theirs.outside as f64
    }

    fn again(&self) -> f64 {
        self.ours.again as f64 / self.theirs.again as f64
    }

    fn print(&self) {
        let Row { name, core, theirs, ours } = self;
        println!(
            "{name:<24} {:>5} {:>7} {:>6} {:>6.3} {:>7} {:>6} {:>6} {:>5} {:>6.3} {:>6} {:>5} {:>6.3}",
            if *core { "yes" } else { "" },
            theirs.outside / 1000,
            ours.outside / 1000,
            self.time(),
            theirs.inside / 1000,
            ours.inside / 1000,
            theirs.again / 1000,
            ours.again / 1000,
            self.again(),
            theirs.peak,
            ours.peak,
            self.memory()
        );
    }

    fn memory(&self) -> f64 {
        self.ours.peak as f64 / self.theirs.peak as f64
    }
}

/// The object's name, as file and as libbpf shortens it.
fn stem(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file).split('.').next().unwrap_or("object")
}

/// Loads a file, for the first time and then some more, and prints what it took: `--load-once libbpf|rawbpf FILE
/// PROGRAM...`.
pub fn once(who: &str, file: &str, programs: &[String]) -> Fallible<()> {
    let load = || -> Fallible<()> {
        let bytes = std::fs::read(file)?;
        match who {
            "libbpf" => {
                let object = libbpf::load_all(stem(file), &bytes, programs);
                std::mem::forget(object.map_err(std::io::Error::from_raw_os_error)?);
            }
            _ => std::mem::forget(ours::load_all(stem(file), &bytes, programs)?),
        }
        Ok(())
    };
    let (loaded, outside, inside) = clock::split(load);
    loaded?;
    let peak = peak()?;
    let again = (0..AGAIN).map(|_| clock::split(load).1).collect();
    println!("{outside} {inside} {} {peak}", median::<u64>(again).unwrap_or_default());
    Ok(())
}

/// The most memory that this process ever had, in kB.
fn peak() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// One load in a process of its own.
fn child(who: &str, file: &str, programs: &[String]) -> Fallible<Cost> {
    let out = Command::new("/proc/self/exe").args(["--load-once", who, file]).args(programs).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    match numbers[..] {
        [outside, inside, again, peak] => Ok(Cost { outside, inside, again, peak }),
        _ => Err(format!("{who}: {}", String::from_utf8_lossy(&out.stderr).trim()).into()),
    }
}

fn median<T: Copy + PartialOrd>(mut all: Vec<T>) -> Option<T> {
    all.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    all.get(all.len() / 2).copied()
}

fn typical(costs: &[Cost]) -> Option<Cost> {
    Some(Cost {
        outside: median(costs.iter().map(|c| c.outside).collect())?,
        inside: median(costs.iter().map(|c| c.inside).collect())?,
        again: median(costs.iter().map(|c| c.again).collect())?,
        peak: median(costs.iter().map(|c| c.peak).collect())?,
    })
}

fn rounds() -> usize {
    std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

/// Measures one object; `None` if libbpf loads nothing of it here.
fn measure(file: &str) -> Fallible<Option<Row>> {
    let bytes = std::fs::read(file)?;
    let name = stem(file).to_string();
    let mut programs = libbpf::programs(&name, &bytes).unwrap_or_default();
    programs.retain(|p| matches!(libbpf::load(&name, &bytes, p), Verdict::Loaded(_)));
    if programs.is_empty() || libbpf::load_all(&name, &bytes, &programs).is_err() {
        return Ok(None);
    }
    let object = Object::parse(&name, bytes.as_slice())?;
    let core = object.ext.as_ref().is_some_and(|ext| ext.core_relo().next().is_some());
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        theirs.push(child("libbpf", file, &programs)?);
        ours.push(child("rawbpf", file, &programs)?);
    }
    let costs = typical(&theirs).zip(typical(&ours)).ok_or("no rounds")?;
    Ok(Some(Row { name, core, theirs: costs.0, ours: costs.1 }))
}

/// Measures all these objects and prints the table.
pub fn run(files: &[String]) -> Fallible<()> {
    println!(
        "CPU time in µs outside of bpf(2), and inside, of the first load and of the next ones in the same process;"
    );
    println!("peak memory in kB; always libbpf, rawbpf, and the ratio; medians of {} processes", rounds());
    println!(
        "{:<24} {:>5} {:>21} {:>14} {:>19} {:>19}",
        "object", "CO-RE", "first, outside", "inside", "next, outside", "memory"
    );
    let mut rows = Vec::new();
    for file in files {
        match measure(file) {
            Ok(Some(row)) => {
                row.print();
                rows.push(row);
            }
            Ok(None) => println!("{:<24} libbpf loads nothing of it here", stem(file)),
            Err(e) => println!("{:<24} {e}", stem(file)),
        }
    }
    for (what, core) in [("CO-RE objects", true), ("other objects", false)] {
        let those: Vec<&Row> = rows.iter().filter(|r| r.core == core).collect();
        summary(what, &those);
    }
    Ok(())
}

fn summary(what: &str, rows: &[&Row]) {
    println!("{} {what}, ratios:", rows.len());
    for (of, ratio) in [
        ("first load", Row::time as fn(&Row) -> f64),
        ("next load", Row::again),
        ("peak memory", Row::memory),
    ] {
        let all: Vec<f64> = rows.iter().map(|r| ratio(r)).collect();
        let worst = all.iter().copied().fold(0.0, f64::max);
        println!("  {of:<12} median {:.3}, the worst {worst:.3}", median(all).unwrap_or_default());
    }
}
