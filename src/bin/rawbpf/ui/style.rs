//! Colour, and numbers with their nouns.

use std::io::{self, IsTerminal};

/// Colour, only for a terminal that wants it.
pub(crate) fn color(out: &impl IsTerminal) -> bool {
    out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

pub(crate) fn paint(code: &str, text: &str) -> String {
    if color(&io::stderr()) { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}

/// `1 map`, `2 maps`.
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
