//! Ctrl-C as a question that is asked between two pieces of work, so that there is time for a last word.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::ui::error::CliError;

/// SIGINT, SIGTERM and SIGHUP, held back.
pub(crate) struct Stop(SignalFd);

impl Stop {
    pub(crate) fn new() -> Result<Stop, CliError> {
        let fail = |e: nix::errno::Errno| CliError::Io { doing: "hold signals".into(), source: e.into() };
        let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        set.thread_block().map_err(fail)?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Stop).map_err(fail)
    }

    /// Readable when a signal has come.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The signal that has come, which is then no more.
    pub(crate) fn take(&self) -> Option<Signal> {
        let found = self.0.read_signal().ok().flatten()?;
        Signal::try_from(found.ssi_signo as i32).ok()
    }

    /// Waits so long, however long that is, or until a signal comes; true if one has.
    pub(crate) fn wait_all(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.wait(left) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Waits so long, at most a minute, or until a signal comes; true if one has.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let ms = u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(ms)).is_ok_and(|ready| ready > 0)
    }
}
