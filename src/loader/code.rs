//! A program of a plan as the explanation of the verifier's log needs it: with source lines and functions.

use super::plan::ProgPlan;
use super::poison::Poison;
use crate::btf::{Btf, ExtRecord, LineInfo, StrOff};
use crate::bytes::Endian;
use crate::verifier::{CodeLines, LineAt};
use std::fmt;

impl ProgPlan {
    /// The program with its source lines, whose texts are in the object's types.
    pub fn code<'a>(&'a self, btf: Option<&'a Btf>) -> CodeLines<'a> {
        let size = (self.line_info.rec_size as usize).max(LineInfo::SIZE);
        let records = self.line_info.bytes.chunks_exact(size);
        let mut lines: Vec<LineAt<'a>> = records.filter_map(|r| line(r, btf?)).collect();
        lines.sort_by_key(|l| l.at);
        CodeLines {
            program: &self.name,
            section: &self.section,
            insns: &self.insns,
            lines,
            functions: self.parts.iter().map(|p| (p.at.0, p.name.as_str())).collect(),
        }
    }
}

/// A record as the plan has it: the first word counts instructions, not bytes.
fn line<'a>(record: &[u8], btf: &'a Btf) -> Option<LineAt<'a>> {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(record.chunks_exact(4)) {
        *word = Endian::NATIVE.u32(bytes.try_into().ok()?);
    }
    let info = LineInfo::from_words(words);
    let text = |off: StrOff| std::str::from_utf8(btf.name(off).ok()?.as_bytes()).ok();
    Some(LineAt {
        at: info.insn_off,
        // `./prog.c` is `prog.c`.
        file: text(info.file_name).map(|f| f.strip_prefix("./").unwrap_or(f))?,
        line: info.line_number(),
        column: info.column(),
        text: text(info.line).unwrap_or(""),
    })
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Poison::Core(what) => f.write_str(what),
            Poison::Map(map) => write!(f, "map `{map}`, which was not created"),
            Poison::Extern(name) => write!(f, "the kernel function `{name}`"),
        }
    }
}
