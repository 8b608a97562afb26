//! No signal ends the process between two steps that belong together.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

/// Signals that would end the process wait while this lives.
pub(crate) struct Held {
    set: SigSet,
}

pub(crate) fn hold_signals() -> Held {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None);
    Held { set }
}

impl Held {
    /// Waits for one of them.
    pub(crate) fn wait(&self) {
        let _ = self.set.wait();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&self.set), None);
    }
}
