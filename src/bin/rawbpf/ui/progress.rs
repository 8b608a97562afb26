//! How far a long command is: one line at a terminal, which goes when the command ends.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use crate::ui::output::Output;

/// What ends sooner says nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const BETWEEN: Duration = Duration::from_millis(100);

pub(crate) struct Progress {
    /// When the next line is due; `None` where nobody looks.
    due: Option<Instant>,
    shown: bool,
}

impl Progress {
    /// Shown on standard error, and only if that is a terminal.
    pub(crate) fn new(out: &Output) -> Progress {
        let seen = io::stderr().is_terminal() && !out.is_json();
        Progress { due: seen.then(|| Instant::now() + PATIENCE), shown: false }
    }

    /// The command has come so far.
    pub(crate) fn at(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = Some(now + BETWEEN);
        self.shown = true;
        let _ = write!(io::stderr(), "\r{}\x1b[K", text());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
