//! `rawbpf prog stats` and `top`: how often programs run, and how much of the processors' time they take.
//!
//! The kernel counts only while somebody asks it to (`BPF_ENABLE_STATS`), because counting costs some nanoseconds a
//! run. The descriptor that turns it on is open as long as this command measures, and no longer; whoever else has
//! turned it on is not disturbed.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use rawbpf::progs::{self, ProgInfo};
use rawbpf::sys;
use serde::Serialize;

use crate::select::{self, PROG};
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};
use crate::ui::screen;
use crate::ui::stop::Stop;
use crate::ui::table::Table;

#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    #[arg(num_args = 0..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) time: f64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TopArgs {
    /// Seconds between two updates
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub(crate) interval: f64,
    /// Stop after N tables
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// One table, then stop
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,
}

/// One program over a time.
#[derive(Debug, Serialize)]
struct Sample {
    id: u32,
    name: String,
    #[serde(rename = "type")]
    prog_type: String,
    runs: u64,
    run_time_ns: u64,
    /// Of one run; null if it did not run.
    average_ns: Option<u64>,
    runs_per_second: f64,
    /// Of one processor, in percent.
    cpu_percent: f64,
}

#[derive(Debug, Serialize)]
struct Samples {
    seconds: f64,
    programs: Vec<Sample>,
}

impl Report for Samples {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.programs.is_empty() {
            return writeln!(out, "no programs");
        }
        table(&self.programs).write(out)
    }
}

fn table(samples: &[Sample]) -> Table {
    let mut table = Table::new(&["ID", "NAME", "TYPE", "CPU%", "RUNS/S", "AVERAGE", "RUNS"]);
    for s in samples {
        table.row(vec![
            s.id.to_string(),
            s.name.clone(),
            s.prog_type.clone(),
            format!("{:.2}", s.cpu_percent),
            format!("{:.0}", s.runs_per_second),
            s.average_ns.map_or_else(|| "-".into(), |ns| format!("{ns} ns")),
            s.runs.to_string(),
        ]);
    }
    table
}

/// Turns the counters on until it is dropped.
fn counting() -> Result<OwnedFd, CliError> {
    sys::enable_stats().map_err(CliError::sys("turn the statistics of programs on"))
}

fn seconds(value: f64) -> Result<Duration, CliError> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| CliError::Option(format!("{value} is not a number of seconds to measure")))
}

pub(super) fn stats(args: &StatsArgs, out: &Output) -> Result<(), CliError> {
    let time = seconds(args.time)?;
    let chosen = match args.program.as_slice() {
        [] => None,
        words => Some(select::programs(words)?),
    };
    let look = || match &chosen {
        None => progs::list().map_err(CliError::sys("list the programs")),
        Some(list) => {
            list.iter().map(|f| f.program.info().map_err(CliError::sys("ask about the program"))).collect()
        }
    };
    let (_on, stop) = (counting()?, Stop::new()?);
    let (before, since) = (counters(look()?), Instant::now());
    stop.wait_all(time);
    let now = look()?;
    let report = samples(&before, now, since.elapsed());
    out.report("prog stats", &report)
}

pub(super) fn top(args: &TopArgs, out: &Output) -> Result<(), CliError> {
    let interval = seconds(args.interval)?;
    let tables = if args.once { Some(1) } else { args.count };
    let look = || progs::list().map_err(CliError::sys("list the programs"));
    let (_on, stop) = (counting()?, Stop::new()?);
    let mut before = counters(look()?);
    let (mut last, mut shown) = (Instant::now(), 0);
    let terminal = io::stdout().is_terminal() && !out.is_json() && !args.once;
    while tables.is_none_or(|n| shown < n) && !stop.wait_all(interval) {
        let now = look()?;
        let (taken, report) = (counters(now.clone()), samples(&before, now, last.elapsed()));
        (before, last, shown) = (taken, Instant::now(), shown + 1);
        let going = match (terminal, tables) {
            (true, _) => draw(&report),
            // One look is one document; of several each is a line of its own.
            (false, Some(1)) => return out.report("prog top", &report),
            (false, _) => out.line(
                || serde_json::to_value(&report).unwrap_or_default(),
                || {
                    let mut text = Vec::new();
                    let _ = report.text(&mut text);
                    String::from_utf8_lossy(&text).into_owned()
                },
            )?,
        };
        if !going {
            break;
        }
    }
    Ok(())
}

/// What was counted of each program so far.
fn counters(list: Vec<ProgInfo>) -> HashMap<u32, (u64, u64)> {
    list.into_iter().map(|p| (p.id, (p.run_count, p.run_time_ns))).collect()
}

/// What happened since; the busiest first.
fn samples(before: &HashMap<u32, (u64, u64)>, now: Vec<ProgInfo>, time: Duration) -> Samples {
    let seconds = time.as_secs_f64().max(1e-9);
    let mut programs: Vec<Sample> = now
        .into_iter()
        .map(|p| {
            let (count, ns) = before.get(&p.id).copied().unwrap_or_default();
            let (runs, run_time_ns) = (p.run_count.saturating_sub(count), p.run_time_ns.saturating_sub(ns));
            Sample {
                id: p.id,
                prog_type: p.prog_type.to_string(),
                name: p.name,
                runs,
                run_time_ns,
                average_ns: run_time_ns.checked_div(runs),
                runs_per_second: round(runs as f64 / seconds),
                cpu_percent: round(run_time_ns as f64 / seconds / 1e7),
            }
        })
        .collect();
    programs.sort_by_key(|s| (std::cmp::Reverse(s.run_time_ns), s.id));
    Samples { seconds: round(seconds), programs }
}

/// Three digits are enough.
fn round(n: f64) -> f64 {
    (n * 1000.0).round() / 1000.0
}

/// Draws the screen; false if it is gone.
fn draw(report: &Samples) -> bool {
    let (rows, _) = screen::size();
    let room = usize::from(rows).saturating_sub(3);
    let total: f64 = report.programs.iter().map(|s| s.cpu_percent).sum();
    let head = format!("{} programs, {total:.2}% of one CPU; Ctrl-C to stop", report.programs.len());
    let shown = report.programs.len().min(room);
    screen::draw(&head, &table(report.programs.get(..shown).unwrap_or_default()))
}
