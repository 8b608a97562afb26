//! One line of the answer.

use rawbpf::kernel::Answer;
use serde::Serialize;

/// Something that is needed or useful, and whether it is there.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) answer: &'static str,
    pub(super) why: String,
    /// Without it the object does not load; without an object, whether tools in general want it.
    pub(super) needed: bool,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, answer: Answer) -> Row {
        let (answer, why) = match answer {
            Answer::Yes => ("yes", String::new()),
            Answer::No(why) => ("no", why),
            Answer::Unknown(why) => ("unknown", why),
        };
        Row { what: what.into(), answer, why, needed: false }
    }

    pub(super) fn because(mut self, why: impl Into<String>) -> Row {
        if self.why.is_empty() {
            self.why = why.into();
        }
        self
    }

    pub(super) fn needed(mut self) -> Row {
        self.needed = true;
        self
    }
}
