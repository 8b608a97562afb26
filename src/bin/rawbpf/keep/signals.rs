//! No signal ends the process between two steps that belong together.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};

/// Signals that would end the process wait while this lives; then it is as it was before.
pub(crate) struct Held {
    before: Option<SigSet>,
}

pub(crate) fn hold_signals() -> Held {
    let set: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let mut before = SigSet::empty();
    let held = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before));
    Held { before: held.is_ok().then_some(before) }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(before), None);
        }
    }
}
