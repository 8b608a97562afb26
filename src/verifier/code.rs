//! The program that a log speaks of: its instructions, and where each comes from.

use crate::insn::{Insn, RawInsn};

/// A program as it was given to the kernel, with its source.
#[derive(Debug, Clone, Default)]
#[doc(alias = "Code")]
pub struct CodeLines<'a> {
    /// Its name.
    pub program: &'a str,
    /// The section it stands in.
    pub section: &'a str,
    /// Its instructions, with those of the functions that it calls behind.
    pub insns: &'a [RawInsn],
    /// Where lines begin, by instruction.
    pub lines: Vec<LineAt<'a>>,
    /// Where functions begin, by instruction.
    pub functions: Vec<(u32, &'a str)>,
}

/// A place in the source, from `.BTF.ext`: the text is there even where the file is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineAt<'a> {
    /// The first instruction of it.
    pub at: u32,
    /// The file, as the compiler knew it.
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 if it is not known.
    pub column: u32,
    /// The line's text, with its blanks in front.
    pub text: &'a str,
}

impl<'a> CodeLines<'a> {
    /// The instruction of a number; `None` for what is not one.
    pub fn insn(&self, at: u32) -> Option<Insn> {
        Insn::decode(self.insns.get(at as usize..)?).ok().map(|(insn, _)| insn)
    }

    /// Where an instruction comes from.
    pub fn line(&self, at: u32) -> Option<LineAt<'a>> {
        let after = self.lines.partition_point(|l| l.at <= at);
        self.lines.get(after.checked_sub(1)?).copied().filter(|l| l.line > 0)
    }

    /// The function that an instruction is in.
    pub fn function(&self, at: u32) -> &'a str {
        self.functions.iter().rev().find(|(first, _)| *first <= at).map_or(self.program, |(_, name)| name)
    }

    /// The text of a line of a file, if any instruction comes from it.
    pub fn text_of(&self, file: &str, line: u32) -> Option<&'a str> {
        self.lines.iter().find(|l| l.line == line && l.file == file).map(|l| l.text)
    }
}
