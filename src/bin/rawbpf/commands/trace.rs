//! `rawbpf trace`: what programs print with `bpf_printk`, and which program it was.

use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use rawbpf::events::{TraceEvent, TracePipe};
use serde_json::{Value as Json, json};

use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::stop::Stop;
use crate::ui::style::count;

#[derive(Debug, ClapArgs)]
pub(crate) struct TraceArgs {
    /// Stop after N lines
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after SECONDS
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
    /// Only what programs of this name print (the first 15 letters count)
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// Read the machine's one trace instead of a buffer of one's own: takes the lines away from other readers, and
    /// does not know the programs
    #[arg(long, conflicts_with = "program")]
    pub(crate) global: bool,
}

pub(crate) fn run(args: &TraceArgs, out: &Output) -> Result<(), CliError> {
    let mut pipe = if args.global { TracePipe::global()? } else { TracePipe::private()? };
    if !args.global && !pipe.is_private() {
        out.note("this kernel has one trace for all readers: lines are taken away from others, and programs are not known");
    }
    let stop = Stop::new()?;
    let deadline = args.seconds.map(|s| Instant::now() + Duration::from_secs(s));
    // The kernel's stack traces show 15 letters of a name.
    let wanted = args.program.as_ref().map(|name| name.chars().take(15).collect::<String>());
    let (mut left, mut gone) = (args.count, false);
    let done = |left: Option<u64>, gone: bool| {
        gone || left == Some(0) || deadline.is_some_and(|d| Instant::now() >= d) || stop.wait(Duration::ZERO)
    };
    while !done(left, gone) {
        while let Some(event) = pipe.next_event()? {
            if wanted.as_ref().is_some_and(|name| event.program.as_ref().is_none_or(|p| p.name != *name)) {
                continue;
            }
            gone = !out.line(|| json_of(&event), || text_of(&event))?;
            left = left.map(|n| n.saturating_sub(1));
            // Programs may print faster than we do.
            if done(left, gone) {
                break;
            }
        }
        if !done(left, gone) {
            pipe.poll(Some(Duration::from_millis(100))).map_err(CliError::sys("wait for the trace"))?;
        }
    }
    if pipe.lost() > 0 {
        out.note(&format!(
            "{} lost: programs printed faster than this was read",
            count(pipe.lost() as usize, "line")
        ));
    }
    Ok(())
}

fn text_of(event: &TraceEvent) -> String {
    let program = event.program.as_ref().map_or("?", |p| p.name.as_str());
    let time = Duration::from_nanos(event.time_ns).as_secs_f64();
    let (task, message) = (printable(&event.task), printable(&event.message));
    format!("{time:.6}  {program}  {task}-{}  cpu {}  {message}", event.pid, event.cpu)
}

/// Without what a terminal obeys: a process can give itself any name.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect()
}

fn json_of(event: &TraceEvent) -> Json {
    json!({
        "time_ns": event.time_ns,
        "program": event.program.as_ref().map(|p| json!({"name": p.name, "tag": p.tag})),
        "task": event.task,
        "pid": event.pid,
        "cpu": event.cpu,
        "flags": event.flags,
        "message": event.message,
    })
}
