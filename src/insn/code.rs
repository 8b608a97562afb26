//! [`Code`]: instructions with everything a loader needs to finish them.

use super::raw::RawInsn;
use super::reg::InsnIx;
use crate::bytes::Endian;
use std::ops::Range;
use std::panic::Location;

/// Assembled instructions: of one program and the functions that it calls.
///
/// Jumps, calls of local functions and references to them are already in place. What the assembler
/// cannot know, because only the load decides it, stands in [`Code::refs`]: a map's fd, a kernel
/// function's BTF id.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::named("count");
/// a.lddw(R1, map("hits")).mov64(R0, 0).exit();
/// let code = a.finish()?;
/// assert_eq!(code.insns().len(), 4);                      // lddw takes two slots
/// assert_eq!(code.refs()[0].kind, RefKind::Map { name: "hits".into() });
/// assert_eq!(code.funcs()[0].name, "count");
/// assert_eq!(code.lines().next().map(|l| l.file), Some(file!()));  // each knows its line of Rust
/// # Ok::<(), AsmError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Code {
    pub(super) insns: Vec<RawInsn>,
    pub(super) refs: Vec<CodeRef>,
    pub(super) funcs: Vec<CodeFunc>,
    pub(super) lines: Lines,
}

impl Code {
    /// Code of parts that come from elsewhere, such as an object file: without lines. The references and
    /// functions may be in any order.
    ///
    /// ```
    /// use rawbpf::insn::{Listing, prelude::*};
    /// let insns = Insn::Exit.encode().to_vec();
    /// let funcs = vec![CodeFunc { name: "f".into(), start: InsnIx(0) }];
    /// assert_eq!(Listing::of(&Code::from_parts(insns, vec![], funcs)).to_string(), "f:\n    exit\n");
    /// ```
    pub fn from_parts(insns: Vec<RawInsn>, mut refs: Vec<CodeRef>, mut funcs: Vec<CodeFunc>) -> Code {
        refs.sort_by_key(|r| r.at);
        funcs.sort_by_key(|f| f.start);
        Code { insns, refs, funcs, lines: Lines::default() }
    }

    /// The slots, in order.
    pub fn insns(&self) -> &[RawInsn] {
        &self.insns
    }

    /// What is still to be filled in, in the order of the slots.
    pub fn refs(&self) -> &[CodeRef] {
        &self.refs
    }

    /// The functions, in the order of their starts; the program itself is the first and starts at 0.
    pub fn funcs(&self) -> &[CodeFunc] {
        &self.funcs
    }

    /// Where instructions come from, in the order of the slots. An entry holds until the next one, and
    /// every function starts with one.
    pub fn lines(&self) -> impl Iterator<Item = LineRef<'_>> {
        let (places, file, lines) = match &self.lines {
            Lines::Rust(places) => (places.as_slice(), "", [].as_slice()),
            Lines::Text(file, lines) => ([].as_slice(), file.as_str(), lines.as_slice()),
        };
        let mut last = None;
        let rust = places.iter().enumerate().filter_map(move |(at, &place)| {
            let same = last.replace(place).is_some_and(|p| std::ptr::eq(p, place));
            let starts = self.funcs.binary_search_by_key(&at, |f| f.start.index()).is_ok();
            (!same || starts).then(|| rust_line(at, place))
        });
        rust.chain(lines.iter().map(move |l| l.line_ref(file)))
    }

    /// The slots of a function, by its place in [`Code::funcs`]; `None` past the last.
    pub fn func_range(&self, func: usize) -> Option<Range<usize>> {
        let start = self.funcs.get(func)?.start.index();
        let end = self.funcs.get(func.checked_add(1)?).map_or(self.insns.len(), |f| f.start.index());
        Some(start..end)
    }

    /// The line that an instruction comes from.
    pub fn line_at(&self, at: InsnIx) -> Option<LineRef<'_>> {
        match &self.lines {
            Lines::Rust(places) => places.get(at.index()).map(|place| rust_line(at.index(), place)),
            Lines::Text(file, lines) => {
                let after = lines.partition_point(|l| l.at <= at);
                lines.get(after.checked_sub(1)?).map(|l| l.line_ref(file))
            }
        }
    }

    /// The bytes of all slots, as an ELF section or `bpf(2)` holds them.
    pub fn to_bytes(&self, endian: Endian) -> Vec<u8> {
        RawInsn::write_all(&self.insns, endian)
    }
}

/// Something that an instruction refers to by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeRef {
    /// The instruction.
    pub at: InsnIx,
    /// What it refers to.
    pub kind: RefKind,
}

/// What an instruction refers to, and with it, which fields the loader fills.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefKind {
    /// A `lddw` of a map: source register [`MAP_FD`](super::raw::pseudo::MAP_FD), immediate the fd.
    Map {
        /// The map's name.
        name: String,
    },
    /// A `lddw` of an address in a map's value: source register
    /// [`MAP_VALUE`](super::raw::pseudo::MAP_VALUE), immediate the fd. The offset is in the second
    /// slot's immediate already.
    MapValue {
        /// The map's name.
        name: String,
        /// Bytes from the start of the value.
        off: u32,
    },
    /// A call of a kernel function: source register
    /// [`KFUNC_CALL`](super::raw::pseudo::KFUNC_CALL), immediate the BTF id, offset the place of the
    /// module's BTF in `fd_array`.
    Kfunc {
        /// The function's name.
        name: String,
    },
    /// A `lddw` of a kernel variable's address: source register
    /// [`BTF_ID`](super::raw::pseudo::BTF_ID), immediate the BTF id.
    Ksym {
        /// The variable's name.
        name: String,
    },
    /// A call of a function that is not part of this code: source register
    /// [`CALL`](super::raw::pseudo::CALL), immediate the distance.
    Func {
        /// The function's name.
        name: String,
    },
    /// A `lddw` of the address of a function that is not part of this code: source register
    /// [`FUNC`](super::raw::pseudo::FUNC), immediate the distance.
    FuncAddr {
        /// The function's name.
        name: String,
    },
}

impl RefKind {
    /// The name that is referred to.
    pub fn name(&self) -> &str {
        match self {
            RefKind::Map { name }
            | RefKind::MapValue { name, .. }
            | RefKind::Kfunc { name }
            | RefKind::Ksym { name }
            | RefKind::Func { name }
            | RefKind::FuncAddr { name } => name,
        }
    }
}

/// A function of a [`Code`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodeFunc {
    /// Its name.
    pub name: String,
    /// Its first slot.
    pub start: InsnIx,
}

/// The line that an instruction was written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LineRef<'a> {
    /// The first instruction of the line.
    pub at: InsnIx,
    /// The file.
    pub file: &'a str,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub col: u32,
    /// The text of the line, where it is known (text assembly); a Rust program does not carry its own.
    pub text: Option<&'a str>,
}

/// Where the slots of a [`Code`] come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// For each slot, the call that wrote it.
    Rust(Vec<&'static Location<'static>>),
    /// Of a text: in the order of the slots.
    Text(String, Vec<TextLine>),
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::Rust(Vec::new())
    }
}

/// A line of a text that has an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextLine {
    pub(super) at: InsnIx,
    pub(super) line: u32,
    pub(super) col: u32,
    pub(super) text: String,
}

impl TextLine {
    fn line_ref<'a>(&'a self, file: &'a str) -> LineRef<'a> {
        LineRef { at: self.at, file, line: self.line, col: self.col, text: Some(&self.text) }
    }
}

fn rust_line(at: usize, place: &'static Location<'static>) -> LineRef<'static> {
    LineRef { at: InsnIx(at as u32), file: place.file(), line: place.line(), col: place.column(), text: None }
}
