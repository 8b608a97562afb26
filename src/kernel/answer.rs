//! Three answers, since two are a lie where nobody could ask.

use std::fmt;

/// Whether a kernel has a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not, and why that is known.
    No(String),
    /// It could not be found out, and why.
    Unknown(String),
}

impl Answer {
    /// True unless the kernel is known not to have it.
    pub fn allows(&self) -> bool {
        !matches!(self, Answer::No(_))
    }

    /// True if the kernel is known not to have it.
    pub fn is_no(&self) -> bool {
        matches!(self, Answer::No(_))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Yes => f.write_str("yes"),
            Answer::No(why) => write!(f, "no ({why})"),
            Answer::Unknown(why) => write!(f, "unknown ({why})"),
        }
    }
}
