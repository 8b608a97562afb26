//! Which processes write, and how often? Counted in the kernel, in maps that others can read by a path.
//!
//! ```text
//! cargo run --example pid_writes
//! rawbpf map get /sys/fs/bpf/rawbpf/pid_writes/maps/pid_map 1234      # from anywhere, while it runs
//! ```
//!
//! `bpf/pid_writes.bpf.c` counts each `write` call in two tables. `pid_map` has one counter for each CPU and keeps
//! every process; `recent_map` keeps those that wrote last. Maps are gone with the last descriptor of theirs; a pin is
//! one more name that holds them, in a file system made for it. Here the pins are removed in the end.

use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::time::Duration;

use rawbpf::maps::{HashMap, PerCpu, PerCpuHash, Section, SharedMaps};
use rawbpf::{Kernel, Object, Options};

mod tool;

const OBJECT: &[u8] = include_bytes!("../bpf/pid_writes.o");

/// How many lines a table has.
const ROWS: usize = 10;

fn main() -> std::process::ExitCode {
    tool::run(pid_writes)
}

fn pid_writes() -> Result<(), Box<dyn Error>> {
    if std::env::args().len() > 1 {
        return Err("usage: pid_writes (it takes no arguments)".into());
    }
    let stop = tool::Stop::new()?;
    let kernel = Kernel::host();
    let loaded = Object::parse("pid_writes", OBJECT)?.plan(&kernel, &Options::default())?.run()?;
    let map = |name: &str| loaded.map(name).ok_or_else(|| format!("the object has no map `{name}`"));
    let all = PerCpuHash::<u32, u64>::try_from(map("pid_map")?)?;
    let recent = HashMap::<u32, u64>::try_from(map("recent_map")?)?;
    // The only global variable, so it stands at the beginning of its section.
    let lost = Section::new(map(".bss")?).variable::<u64>(0)?;

    let shared = SharedMaps::take("pid_writes")?;
    for map in [all.map(), recent.map()] {
        println!("{} is at {}", map.name(), shared.pin(map)?.display());
    }
    let program = loaded.program("enter_write").ok_or("the object has no program `enter_write`")?;
    let link = rawbpf::links::auto(&kernel, program)?.ok_or("its section does not say where it attaches")?;
    println!("counting; Ctrl-C ends it");

    let live = std::io::stdout().is_terminal();
    while !stop.wait(None, Duration::from_secs(2))? {
        if live {
            table(&all)?;
        }
    }
    drop(link);
    table(&all)?;
    println!("of {} the last to write are {}", all_pids(&all)?.len(), recent.iter().count());
    match lost.get()? {
        0 => {}
        lost => println!("{lost} more did not fit into pid_map"),
    }
    Ok(())
}

/// Every process with its counts, those that write most first.
fn all_pids(map: &PerCpuHash<u32, u64>) -> Result<Vec<(u32, PerCpu<u64>)>, rawbpf::maps::MapError> {
    let mut rows = Vec::new();
    map.for_each(|pid, counts| rows.push((pid, counts)))?;
    rows.sort_by_key(|(pid, counts)| (std::cmp::Reverse(counts.sum::<u64>()), *pid));
    Ok(rows)
}

fn table(map: &PerCpuHash<u32, u64>) -> Result<(), rawbpf::maps::MapError> {
    println!("{:>8}  {:<15}  {:>8}  ON CPU", "PID", "COMMAND", "WRITES");
    for (pid, counts) in all_pids(map)?.iter().take(ROWS) {
        let on: Vec<String> = counts
            .by_cpu()
            .filter(|(_, count)| **count > 0)
            .map(|(cpu, count)| format!("{cpu}: {count}"))
            .collect();
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_else(|_| "(ended)".into());
        println!(
            "{pid:>8}  {:<15}  {:>8}  {}",
            tool::shown(comm.trim_end().as_bytes()),
            counts.sum::<u64>(),
            on.join(", ")
        );
    }
    Ok(())
}
