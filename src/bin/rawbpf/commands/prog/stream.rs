//! `rawbpf prog stream`: what a program printed to its own two streams. Linux 6.17.
//!
//! Unlike the trace these belong to the program: nobody else's lines are in between, and what nobody reads is kept, up
//! to 100 KiB. The second one is the kernel's: why it stopped a loop, or which address of an arena was not there.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueEnum};
use rawbpf::events::{ProgStream, StreamKind};
use rawbpf::sys::{Errno, SysError};
use serde_json::json;

use crate::select::{PROG, program};
use crate::ui::error::CliError;
use crate::ui::output::Output;
use crate::ui::stop::Stop;

/// Which stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamArg {
    /// What the program prints (bpf_stream_printk)
    Out,
    /// What the kernel reports of it: loops without end, faults in an arena
    Err,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StreamArgs {
    /// Which stream
    pub(crate) stream: StreamArg,
    #[arg(required = true, num_args = 1..=2, value_name = "PROG", help = PROG)]
    pub(crate) program: Vec<String>,
    /// Wait for more, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Wait for more, for SECONDS
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
}

/// How often an empty stream is looked at again: the kernel has no way of waiting for one.
const AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &StreamArgs, out: &Output) -> Result<(), CliError> {
    let found = program(&args.program)?;
    let (kind, name) = match args.stream {
        StreamArg::Out => (StreamKind::Out, "out"),
        StreamArg::Err => (StreamKind::Err, "err"),
    };
    let fail = |e: SysError| match e.errno {
        Errno::EINVAL => CliError::Unsupported("streams of programs came with Linux 6.17".into()),
        _ => CliError::sys(format!("read the stream of program `{}`", found.info.name))(e),
    };
    let mut stream = ProgStream::new(&found.program, kind).map_err(fail)?;
    let stop = Stop::new()?;
    let deadline = args.seconds.map(|s| Instant::now() + Duration::from_secs(s));
    loop {
        let text = stream.read_now().map_err(fail)?;
        if !text.is_empty() && !say(&text, name, out)? {
            return Ok(());
        }
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if late || !(args.follow || deadline.is_some()) || stop.wait(AGAIN) {
            return Ok(());
        }
    }
}

/// As it is for people; for programs in an object. False if the reader has gone away.
fn say(text: &[u8], name: &str, out: &Output) -> Result<bool, CliError> {
    if out.is_json() {
        return out.line(|| json!({"stream": name, "text": String::from_utf8_lossy(text)}), String::new);
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true).map_err(CliError::io("write to standard output")),
    }
}
