//! What every tool here needs besides rawbpf: an orderly end, and errors that say everything.

use std::error::Error;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Runs a tool; its error goes to standard error, with what is known about it.
pub(crate) fn run(tool: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    match tool() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", rawbpf::Causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// A name that a process gave itself: it may hold anything, also what a terminal obeys.
#[allow(dead_code, reason = "not every tool shows names")]
pub(crate) fn shown(name: &[u8]) -> String {
    let name = name.split(|&b| b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Ctrl-C, SIGTERM and the end of the terminal as a question that is asked between two pieces of work: they no longer end the process, but
/// make this readable. Who leaves `main` by himself drops his links, and with them his programs are detached.
#[derive(Debug)]
pub(crate) struct Stop(SignalFd);

impl Stop {
    /// To be made before any thread starts, so that no thread takes a signal.
    pub(crate) fn new() -> nix::Result<Stop> {
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map(Stop)
    }

    /// Waits until a signal comes or `other` is readable, at most so long; true if a signal has come.
    pub(crate) fn wait(&self, other: Option<&dyn AsFd>, at_most: Duration) -> nix::Result<bool> {
        let until = Instant::now() + at_most;
        let fds = [Some(self.0.as_fd()), other.map(|fd| fd.as_fd())];
        let mut fds: Vec<_> =
            fds.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        loop {
            // poll() takes milliseconds; a minute at a time is enough.
            let left = until.saturating_duration_since(Instant::now());
            let ms = u16::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(60_000);
            if poll(&mut fds, PollTimeout::from(ms))? > 0 || left.is_zero() {
                return Ok(fds.first().is_some_and(|signal| signal.any() == Some(true)));
            }
        }
    }
}
