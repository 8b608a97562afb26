//! `rawbpf prog run`: what a program does with a packet or a context of one's own.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use rawbpf::sys::{Errno, TestRun, TestRunOutput};
use serde::Serialize;

use super::{pcap, verdict};
use crate::select::{self, PROG};
use crate::ui::error::CliError;
use crate::ui::output::{Output, Report};

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    #[arg(required = true, num_args = 1..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// The packet, or what else the program type takes: a file (`-` is standard input)
    #[arg(long, value_name = "FILE", group = "input")]
    pub(crate) data: Option<PathBuf>,
    /// The same, in hex: `ff ff ff` or `ffffff`
    #[arg(long, value_name = "BYTES", group = "input")]
    pub(crate) hex: Option<String>,
    /// Packets of a capture: each of them, or only the Nth (from 1 on), as FILE:N
    #[arg(long, value_name = "FILE[:N]", group = "input")]
    pub(crate) pcap: Option<String>,
    /// The context struct of the program type: a file
    #[arg(long, value_name = "FILE", conflicts_with = "ctx_hex")]
    pub(crate) ctx: Option<PathBuf>,
    /// The same, in hex
    #[arg(long, value_name = "BYTES")]
    pub(crate) ctx_hex: Option<String>,
    /// Write the resulting data to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) data_out: Option<PathBuf>,
    /// Write the resulting context to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ctx_out: Option<PathBuf>,
    /// How often to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) repeat: u32,
    /// Run it on this CPU (tracing programs and raw tracepoints)
    #[arg(long, value_name = "N")]
    pub(crate) cpu: Option<u32>,
}

#[derive(Debug, Serialize)]
struct RunReport {
    id: u32,
    name: String,
    #[serde(rename = "type")]
    prog_type: String,
    repeat: u32,
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Run {
    /// Which packet of a capture, from 1 on.
    packet: Option<usize>,
    retval: u32,
    verdict: Option<&'static str>,
    /// Nanoseconds of one run, on average.
    duration_ns: u32,
    data_size_in: usize,
    data_size_out: usize,
    data_changes: Vec<Change>,
    ctx_changes: Vec<Change>,
    data_out: String,
    ctx_out: String,
}

/// Bytes that differ.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Change {
    at: usize,
    before: String,
    after: String,
}

pub(super) fn run(args: &RunArgs, out: &Output) -> Result<(), CliError> {
    let found = select::program(&args.program)?;
    let ctx = match (&args.ctx, &args.ctx_hex) {
        (Some(path), _) => file(path)?,
        (_, Some(hex)) => bytes(hex)?,
        _ => Vec::new(),
    };
    let mut runs = Vec::new();
    let mut last = TestRunOutput::default();
    for (packet, data) in inputs(args)? {
        let on_cpu = 1;
        let test = TestRun {
            ctx: ctx.clone(),
            repeat: args.repeat,
            flags: if args.cpu.is_some() { on_cpu } else { 0 },
            cpu: args.cpu.unwrap_or(0),
            data,
            ..TestRun::default()
        };
        let done = found.program.test_run(&test).map_err(|e| refused(e, &found, &test))?;
        runs.push(Run {
            packet,
            retval: done.retval,
            verdict: verdict::name(found.info.prog_type, done.retval),
            duration_ns: done.duration_ns,
            data_size_in: test.data.len(),
            data_size_out: done.data.len(),
            data_changes: changes(&test.data, &done.data),
            ctx_changes: changes(&test.ctx, &done.ctx),
            data_out: hex(&done.data),
            ctx_out: hex(&done.ctx),
        });
        last = done;
    }
    for (path, bytes) in [(&args.data_out, &last.data), (&args.ctx_out, &last.ctx)] {
        if let Some(path) = path {
            std::fs::write(path, bytes).map_err(CliError::io(format!("write {}", path.display())))?;
        }
    }
    let report = RunReport {
        id: found.info.id,
        prog_type: found.info.prog_type.to_string(),
        name: found.info.name,
        repeat: args.repeat,
        runs,
    };
    out.report("prog run", &report)
}

/// The kernel says only EINVAL; the common reasons can be told.
fn refused(e: rawbpf::sys::SysError, found: &select::Found, test: &TestRun) -> CliError {
    use rawbpf::uapi::ProgType;
    let packet = matches!(
        found.info.prog_type,
        ProgType::Xdp
            | ProgType::SchedCls
            | ProgType::SchedAct
            | ProgType::SocketFilter
            | ProgType::CgroupSkb
    );
    let kind = found.info.prog_type;
    let why = match e.errno {
        Errno::EINVAL if packet && test.data.len() < 14 => {
            format!(
                "programs of type {kind} want a packet of at least 14 bytes, and it has {}",
                test.data.len()
            )
        }
        Errno::EINVAL if !packet && !test.data.is_empty() => {
            format!("programs of type {kind} take a context (--ctx, --ctx-hex), not data")
        }
        Errno::ENOTSUPP | Errno::EOPNOTSUPP => {
            format!("programs of type {kind} cannot be run so on this kernel")
        }
        _ => return CliError::sys(format!("run program `{}`", found.info.name))(e),
    };
    CliError::Option(why)
}

/// Which packet of a capture, and its bytes.
type Input = (Option<usize>, pcap::Packet);

/// The inputs of the runs: one, or a packet each.
fn inputs(args: &RunArgs) -> Result<Vec<Input>, CliError> {
    if let Some(path) = &args.data {
        return Ok(vec![(None, file(path)?)]);
    }
    if let Some(hex) = &args.hex {
        return Ok(vec![(None, bytes(hex)?)]);
    }
    let Some(capture) = &args.pcap else { return Ok(vec![(None, Vec::new())]) };
    let (path, nth) = match capture.rsplit_once(':') {
        Some((path, n)) if n.parse::<usize>().is_ok_and(|n| n > 0) && !Path::new(capture).exists() => {
            (path, n.parse::<usize>().ok())
        }
        _ => (capture.as_str(), None),
    };
    let packets =
        pcap::read(&file(Path::new(path))?).map_err(|e| CliError::Option(format!("{path}: {e}")))?;
    let count = packets.len();
    let chosen = packets.into_iter().enumerate().map(|(i, p)| (Some(i + 1), p));
    let chosen: Vec<_> = chosen.filter(|(i, _)| nth.is_none() || *i == nth).collect();
    if chosen.is_empty() {
        return Err(CliError::Option(format!(
            "{path} has {count} packet(s), and no number {}",
            nth.unwrap_or(1)
        )));
    }
    Ok(chosen)
}

fn file(path: &Path) -> Result<Vec<u8>, CliError> {
    if path == Path::new("-") {
        let mut all = Vec::new();
        io::stdin().lock().read_to_end(&mut all).map_err(CliError::io("read standard input"))?;
        return Ok(all);
    }
    std::fs::read(path).map_err(CliError::io(format!("read {}", path.display())))
}

fn bytes(text: &str) -> Result<Vec<u8>, CliError> {
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != ':')
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .filter(|d: &Vec<u32>| d.len() % 2 == 0)
        .ok_or_else(|| CliError::Option(format!("`{text}` is no list of bytes in hex")))?;
    Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0u32, |n, d| n * 16 + d) as u8).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Where the bytes differ. A packet that grew or shrank at its head is compared from its end.
fn changes(before: &[u8], after: &[u8]) -> Vec<Change> {
    let mut out: Vec<Change> = Vec::new();
    let end = before.len().max(after.len());
    let mut at = 0;
    while at < end {
        let same = |at: usize| before.get(at) == after.get(at);
        if same(at) {
            at += 1;
            continue;
        }
        let start = at;
        while at < end && !same(at) {
            at += 1;
        }
        let part =
            |bytes: &[u8]| hex(bytes.get(start.min(bytes.len())..at.min(bytes.len())).unwrap_or_default());
        out.push(Change { at: start, before: part(before), after: part(after) });
    }
    out
}

impl Report for RunReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for run in &self.runs {
            let packet = run.packet.map_or(String::new(), |n| format!("packet {n}: "));
            let verdict = match run.verdict {
                Some(name) => format!("{name} ({})", run.retval as i32),
                None => format!("returned {}", run.retval as i32),
            };
            let often = if self.repeat > 1 { format!(", average of {}", self.repeat) } else { String::new() };
            writeln!(out, "{packet}{verdict}, {} ns{often}", run.duration_ns)?;
            if run.data_size_out != run.data_size_in && !run.data_out.is_empty() {
                writeln!(out, "  data: {} bytes became {}", run.data_size_in, run.data_size_out)?;
            }
            for (what, list) in [("data", &run.data_changes), ("context", &run.ctx_changes)] {
                for c in list {
                    let or_none = |hex: &str| if hex.is_empty() { "nothing".into() } else { spaced(hex) };
                    writeln!(
                        out,
                        "  {what} +{:#06x}: {} -> {}",
                        c.at,
                        or_none(&c.before),
                        or_none(&c.after)
                    )?;
                }
            }
        }
        if let [_, _, ..] = self.runs.as_slice() {
            let mut counts: Vec<(String, usize)> = Vec::new();
            for run in &self.runs {
                let word = run.verdict.map_or_else(|| (run.retval as i32).to_string(), String::from);
                match counts.iter_mut().find(|(w, _)| *w == word) {
                    Some((_, n)) => *n += 1,
                    None => counts.push((word, 1)),
                }
            }
            let words: Vec<String> = counts.iter().map(|(word, n)| format!("{word} {n}")).collect();
            writeln!(out, "{} packets: {}", self.runs.len(), words.join(", "))?;
        }
        Ok(())
    }
}

fn spaced(hex: &str) -> String {
    let pairs: Vec<_> = hex.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_runs_of_bytes() {
        let change =
            |at, before: &str, after: &str| Change { at, before: before.into(), after: after.into() };
        assert_eq!(changes(&[1, 2, 3, 4], &[1, 9, 8, 4]), [change(1, "0203", "0908")]);
        assert_eq!(changes(&[1], &[1, 2]), [change(1, "", "02")]);
        assert_eq!(changes(&[1, 2, 3], &[0]), [change(0, "010203", "00")]);
        assert!(changes(&[], &[]).is_empty());
    }

    #[test]
    fn bytes_are_read() {
        assert_eq!(bytes("ff 00:a1").expect("bytes"), [0xff, 0, 0xa1]);
        assert!(bytes("f").is_err() && bytes("zz").is_err());
    }
}
