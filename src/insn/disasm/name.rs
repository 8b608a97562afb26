//! Names as a text can read them back.

use std::fmt;

use crate::insn::reg::InsnIx;
use crate::insn::text::cursor::is_plain_name;

/// The name of a jump's target.
pub(super) struct LabelName(pub(super) InsnIx);

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

/// A name as assembly can read it: in quotes if it would be taken for something else.
pub(in crate::insn) struct Name<'a>(pub(in crate::insn) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match is_plain_name(self.0) {
            true => f.write_str(self.0),
            false => write!(f, "\"{}\"", self.0.escape_default()),
        }
    }
}
