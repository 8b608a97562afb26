//! Every TCP connection that this machine makes: process, command, both ends, and how long the answer took.
//!
//! ```text
//! tcp_connect                        a line a connection; Ctrl-C prints a table of them by count
//! tcp_connect --command curl --json  only those of curl, as JSON
//! tcp_connect --count 10             how often each was tried within ten seconds
//! ```
//!
//! The programs (`bpf/tcp_connect.bpf.c`) are attached by fentry, by kprobe or to a tracepoint, as this kernel can.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rawbpf::events::RingBuf;
use rawbpf::maps::{HashMap, Plain};
use rawbpf::{Attached, Causes, Kernel, Loaded, Object};

mod tool;

static OBJECT: &[u8] = include_bytes!("../bpf/tcp_connect.o");

/// The variants that are called when a connection is made, best first, and the programs of each.
const VARIANTS: [(&str, &[&str]); 3] = [
    ("fentry", &["connect_fentry", "finish_fentry"]),
    ("kprobe", &["connect_kprobe", "finish_kprobe"]),
    ("tracepoint", &["state_changes"]),
];

/// Every TCP connection that this machine makes
#[derive(Parser)]
struct Args {
    /// Only those of this process
    #[arg(long)]
    pid: Option<u32>,
    /// Only those to this port
    #[arg(long)]
    port: Option<u16>,
    /// Only those of commands (threads) of this name
    #[arg(long)]
    command: Option<String>,
    /// Count the attempts of so many seconds
    #[arg(long, value_name = "SECONDS")]
    count: Option<u64>,
    /// A JSON document a line
    #[arg(long)]
    json: bool,
    /// Only this kind of hook: fentry, kprobe or tracepoint
    #[arg(long, value_parser = VARIANTS.map(|(name, _)| name))]
    via: Option<String>,
}

rawbpf::plain! {
    /// `struct ends` of bpf/ends.h.
    struct Ends { local: [u8; 16], remote: [u8; 16], local_port: u16, remote_port: u16 }

    /// `struct event` of bpf/tcp_connect.bpf.c.
    struct Event { nanoseconds: u64, ends: Ends, pid: u32, command: [u8; 16] }
}

impl Ends {
    fn local(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.local).to_canonical(), self.local_port)
    }
    fn remote(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.remote).to_canonical(), self.remote_port)
    }
}

impl Event {
    fn command(&self) -> String {
        tool::shown(&self.command)
    }
}

/// The object with its filters set, attached by the first variant that works.
fn start(args: &Args) -> Result<Attached, Box<dyn Error>> {
    let mut object = Object::parse("tcp_connect", OBJECT)?;
    object.global("only_pid")?.set(args.pid.unwrap_or(0))?;
    object.global("only_port")?.set(args.port.unwrap_or(0))?;
    object.global("counting")?.set(args.count.is_some())?;
    if let Some(name) = &args.command {
        object.global("only_command")?.set(format!("{:?}", name.chars().take(15).collect::<String>()))?;
    }
    let variants = VARIANTS.into_iter().filter(|(name, _)| args.via.as_ref().is_none_or(|v| v == name));
    let variants: Vec<_> = variants.collect();
    let attached = Attached::first(&Kernel::host(), &object, &variants)?;
    for (name, why) in &attached.refused {
        eprintln!("tcp_connect: not by {name}: {}", Causes(why));
    }
    eprintln!("tcp_connect: watching by {}; Ctrl-C ends it", variants[attached.variant].0);
    Ok(attached)
}

/// Prints connections until a signal comes, then how many there were of each.
fn watch(args: &Args, loaded: &Loaded, stop: &tool::Stop) -> Result<(), Box<dyn Error>> {
    let mut events = RingBuf::new(loaded.map("events").ok_or("no map `events`")?.clone())?;
    let (mut table, mut ended) = (BTreeMap::new(), false);
    if !args.json {
        println!("{:>8} {:16} {:24} {:24} {:>10}", "PID", "COMMAND", "FROM", "TO", "LATENCY");
    }
    loop {
        events.consume(|record| {
            let Some(event) = Event::read(record) else { return };
            let (from, to) = (event.ends.local(), event.ends.remote());
            let (command, ms) = (event.command(), event.nanoseconds as f64 / 1e6);
            if args.json {
                let (us, ends) = (event.nanoseconds / 1000, (from.to_string(), to.to_string()));
                let line = serde_json::json!({ "pid": event.pid, "command": command, "from": ends.0, "to": ends.1, "latency_us": us });
                println!("{line}");
            } else {
                println!("{:>8} {command:16} {from:24} {to:24} {ms:7.3} ms", event.pid);
            }
            let (count, sum) = table.entry((command, to)).or_insert((0u64, 0.0));
            (*count, *sum) = (*count + 1, *sum + ms);
        });
        if ended {
            break;
        }
        ended = stop.wait(Some(&events), Duration::from_secs(60))?;
    }
    let mut rows: Vec<_> = table.into_iter().collect();
    rows.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    if !args.json {
        println!("\n{:>8} {:16} {:24} {:>13}", "COUNT", "COMMAND", "TO", "MEAN LATENCY");
        for ((command, to), (count, sum)) in rows {
            println!("{count:>8} {command:16} {to:24} {:10.3} ms", sum / count as f64);
        }
    }
    Ok(())
}

/// Waits, then prints the attempts by both ends.
fn count(args: &Args, loaded: &Loaded, stop: &tool::Stop, seconds: u64) -> Result<(), Box<dyn Error>> {
    stop.wait(None, Duration::from_secs(seconds.min(u32::MAX.into())))?;
    let attempts = HashMap::<Ends, u64>::try_from(loaded.map("attempts").ok_or("no map `attempts`")?)?;
    let mut rows = attempts.iter().collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|(ends, count)| (std::cmp::Reverse(*count), ends.remote(), ends.local()));
    if !args.json {
        println!("{:>8} {:24} {:24}", "COUNT", "FROM", "TO");
    }
    for (ends, count) in rows {
        let (from, to) = (ends.local(), ends.remote());
        let row = serde_json::json!({ "count": count, "from": from.to_string(), "to": to.to_string() });
        if args.json {
            println!("{row}");
        } else {
            println!("{count:>8} {from:24} {to:24}");
        }
    }
    Ok(())
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let stop = tool::Stop::new()?;
    let attached = start(args)?;
    match args.count {
        Some(seconds) => count(args, &attached.loaded, &stop, seconds)?,
        None => watch(args, &attached.loaded, &stop)?,
    }
    match attached.loaded.variable::<u64>("lost")?.get()? {
        0 => Ok(()),
        lost => Err(format!("{lost} found no room and are missing above").into()),
    }
}

fn main() -> ExitCode {
    tool::run(|| run(&Args::parse()))
}
