//! Which TCP connections move bytes, and how many: a live table, the fastest first.
//!
//! ```text
//! tcp_top --interval 2                  a table every two seconds, until Ctrl-C
//! tcp_top --json                        the same as a JSON document a line
//! tcp_top --listen 127.0.0.1:9100       and over HTTP: JSON at /, OpenMetrics at /metrics
//! ```
//!
//! The programs (`bpf/tcp_top.bpf.c`) are attached by fentry or kprobe. What `sendfile` sends is seen since Linux 6.5,
//! what kernel TLS sends is not.

use std::collections::HashMap as StdMap;
use std::error::Error;
use std::io::IsTerminal;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use prometheus_client::encoding::EncodeLabelSet;
use rawbpf::maps::HashMap;
use rawbpf::{Attached, Causes, Kernel, Object};
use serde::Serialize;
use tiny_http::Server;

#[path = "tcp_top/serve.rs"]
mod serve;
mod tool;

static OBJECT: &[u8] = include_bytes!("../bpf/tcp_top.o");

/// The variants that are called when bytes move, best first, and the programs of each.
const VARIANTS: [(&str, &[&str]); 2] = [
    ("fentry", &["sendmsg_fexit", "recvmsg_fentry", "cleanup_fentry", "close_fentry"]),
    ("kprobe", &["sendmsg_kprobe", "sendmsg_return", "recvmsg_kprobe", "cleanup_kprobe", "close_kprobe"]),
];

/// Bytes sent and received by each TCP connection
#[derive(Parser)]
struct Args {
    /// Seconds between two updates
    #[arg(long, default_value_t = 1.0)]
    interval: f64,
    /// How many connections to show
    #[arg(long, default_value_t = 20)]
    rows: usize,
    /// Only those of this process
    #[arg(long)]
    pid: Option<u32>,
    /// Only those with this port at either end
    #[arg(long)]
    port: Option<u16>,
    /// A JSON document a line
    #[arg(long)]
    json: bool,
    /// Serve the table over HTTP
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Only this kind of hook: fentry or kprobe
    #[arg(long, value_parser = VARIANTS.map(|(name, _)| name))]
    via: Option<String>,
}

rawbpf::plain! {
    /// `struct ends` of bpf/ends.h.
    #[derive(PartialEq, Eq, Hash)]
    struct Ends { local: [u8; 16], remote: [u8; 16], local_port: u16, remote_port: u16 }

    /// `struct traffic` of bpf/tcp_top.bpf.c.
    struct Traffic { sent: u64, received: u64, pid: u32, closed: u32, command: [u8; 16], position: u32, pad: u32 }
}

/// A connection as it is shown.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet, Serialize)]
struct Who {
    local: String,
    remote: String,
    pid: u32,
    command: String,
}

/// What it moved: bytes, and bytes a second.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    who: Who,
    sent: u64,
    received: u64,
    send_rate: f64,
    receive_rate: f64,
    closed: bool,
}

impl Row {
    fn new(ends: &Ends, now: &Traffic, before: (u64, u64), seconds: f64) -> Row {
        let show = |ip: [u8; 16], port| SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port).to_string();
        let who = Who {
            local: show(ends.local, ends.local_port),
            remote: show(ends.remote, ends.remote_port),
            pid: now.pid,
            command: tool::shown(&now.command),
        };
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let (send_rate, receive_rate) = (rate(now.sent, before.0), rate(now.received, before.1));
        Row { who, sent: now.sent, received: now.received, send_rate, receive_rate, closed: now.closed != 0 }
    }
}

/// Reads the map: what is there, the fastest first. What is closed is taken out, and so is shown once more.
fn look(
    map: &HashMap<Ends, Traffic>,
    seen: &mut StdMap<Ends, (u64, u64)>,
    seconds: f64,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for (ends, mut now) in map.iter().collect::<Result<Vec<_>, _>>()? {
        let before = seen.insert(ends, (now.sent, now.received)).unwrap_or_default();
        if now.closed != 0 {
            now = map.take(&ends)?.unwrap_or(now);
            seen.remove(&ends);
        }
        // One that only waits for bytes is not shown.
        rows.extend((now.sent + now.received > 0).then(|| Row::new(&ends, &now, before, seconds)));
    }
    let rate = |row: &Row| row.send_rate + row.receive_rate;
    rows.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then((b.sent + b.received).cmp(&(a.sent + a.received))));
    Ok(rows)
}

fn table(rows: &[Row], args: &Args) {
    if std::io::stdout().is_terminal() {
        print!("\x1b[H\x1b[2J");
    }
    println!(
        "{:>8} {:16} {:24} {:24} {:>10} {:>10} {:>12} {:>12}",
        "PID", "COMMAND", "LOCAL", "REMOTE", "SENT/s", "RECV/s", "SENT", "RECV"
    );
    for Row { who, sent, received, send_rate, receive_rate, .. } in rows.iter().take(args.rows) {
        let Who { pid, command, local, remote } = who;
        println!(
            "{pid:>8} {command:16} {local:24} {remote:24} {send_rate:>10.0} {receive_rate:>10.0} {sent:>12} {received:>12}"
        );
    }
}

/// The object with its filters set, attached by the first variant that works.
fn start(args: &Args) -> Result<Attached, Box<dyn Error>> {
    let mut object = Object::parse("tcp_top", OBJECT)?;
    object.global("only_pid")?.set(args.pid.unwrap_or(0))?;
    object.global("only_port")?.set(args.port.unwrap_or(0))?;
    let variants: Vec<_> =
        VARIANTS.into_iter().filter(|(name, _)| args.via.as_ref().is_none_or(|v| v == name)).collect();
    let attached = Attached::first(&Kernel::host(), &object, &variants)?;
    for (name, why) in &attached.refused {
        eprintln!("tcp_top: not by {name}: {}", Causes(why));
    }
    eprintln!("tcp_top: watching by {}; Ctrl-C ends it", variants[attached.variant].0);
    Ok(attached)
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let stop = tool::Stop::new()?;
    let Attached { loaded, links: _links, .. } = start(args)?;
    let map = HashMap::try_from(loaded.map("connections").ok_or("no map `connections`")?)?;
    let shared = Arc::new(Mutex::new(Vec::new()));
    if let Some(address) = &args.listen {
        let server = Server::http(address).map_err(|e| format!("cannot listen at {address}: {e}"))?;
        eprintln!("tcp_top: serving http://{}/", server.server_addr());
        let rows = shared.clone();
        std::thread::spawn(move || serve::serve(&server, &rows));
    }
    let (mut seen, mut since) = (StdMap::new(), Instant::now());
    let interval = Duration::try_from_secs_f64(args.interval)?.min(Duration::from_secs(86_400));
    while !stop.wait(None, interval)? {
        let rows = look(&map, &mut seen, since.elapsed().as_secs_f64())?;
        since = Instant::now();
        match args.json {
            true => println!("{}", serve::document(&rows)),
            false => table(&rows, args),
        }
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }
    match loaded.variable::<u64>("lost")?.get()? {
        0 => Ok(()),
        lost => Err(format!("{lost} moves of bytes found no room and are missing above").into()),
    }
}

fn main() -> ExitCode {
    tool::run(|| run(&Args::parse()))
}
