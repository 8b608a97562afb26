//! An instruction as it was read.

use std::ops::Range;

use crate::insn::Insn;

/// An instruction as it was read, and the name that it still has to be resolved with.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) insn: Insn,
    pub(super) goal: Option<(Goal, Range<usize>)>,
}

/// What an instruction says by name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Goal {
    /// The target of a jump.
    Label(String),
    /// Whom a call calls: a function of the text, a helper or a kfunc.
    Call(String),
    /// A kfunc in so many words: `kfunc(NAME)`.
    Kfunc(String),
    /// A function of another part of the object: `extern(NAME)`.
    Extern(String),
    /// A map or a function of the text: `r1 = NAME ll`.
    Wide(String),
    /// The value of a map: `map_val(NAME) + 8`.
    MapValue(String, u32),
    /// A kernel variable: `var_addr(NAME)`.
    Ksym(String),
    /// A function's address: `code_addr(NAME)`.
    Address(String),
    /// The address of a function of another part of the object: `code_addr(extern(NAME))`.
    ExternAddress(String),
}

impl From<Insn> for Parsed {
    fn from(insn: Insn) -> Parsed {
        Parsed { insn, goal: None }
    }
}
