//! The disassembler: slots as assembly text, with the names that somebody knows.
//!
//! A [`Listing`] never fails. What is no instruction is printed as the number it is, with the reason
//! behind it, and the next slot is looked at afresh. Names come from whoever has them, through
//! [`SymbolNames`]: a [`Code`] knows its own, an object file has relocations, a kernel has maps and
//! functions with ids.
//!
//! ```
//! use rawbpf::insn::{Listing, prelude::*};
//! let mut a = Asm::named("count");
//! let out = a.label();
//! a.lddw(R1, map("hits")).call(Helper::MapLookupElem).jeq(R0, 0, out).mov64(R0, 1).bind(out).exit();
//! let code = a.finish()?;
//! assert_eq!(
//!     Listing::of(&code).to_string(),
//!     "\
//! count:
//!     r1 = hits ll
//!     call bpf_map_lookup_elem
//!     if r0 == 0 goto L5
//!     r0 = 1
//! L5:
//!     exit
//! ",
//! );
//! # Ok::<(), AsmError>(())
//! ```
//!
//! That text is what the text assembler ([`text`](super::text)) reads, and it gives the same slots back.

mod items;
mod name;

pub use items::{InsnLine, Item, Items, Operand};

use super::code::{Code, LineRef, RefKind};
use super::raw::RawInsn;
use super::reg::InsnIx;
use crate::bytes::Endian;
use name::LabelName;
pub(in crate::insn) use name::Name;
use std::fmt::{self, Write};

/// Who knows names. Every answer may be `None`.
#[doc(alias = "Symbols")]
pub trait SymbolNames {
    /// What the `lddw` or call at `at` refers to.
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        let _ = at;
        None
    }

    /// The function that starts at `at`.
    fn function(&self, at: InsnIx) -> Option<&str> {
        let _ = at;
        None
    }

    /// The source line of the instruction at `at`.
    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        let _ = at;
        None
    }

    /// Whether the text that the listing becomes part of has a function of this name.
    fn defines(&self, function: &str) -> bool {
        let _ = function;
        false
    }
}

/// Nobody knows anything.
impl SymbolNames for () {}

impl<S: SymbolNames + ?Sized> SymbolNames for &S {
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        (**self).reference(at)
    }
    fn function(&self, at: InsnIx) -> Option<&str> {
        (**self).function(at)
    }
    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        (**self).line(at)
    }
    fn defines(&self, function: &str) -> bool {
        (**self).defines(function)
    }
}

impl SymbolNames for Code {
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        let ix = self.refs.binary_search_by_key(&at, |r| r.at).ok()?;
        self.refs.get(ix).map(|r| r.kind.clone())
    }
    fn function(&self, at: InsnIx) -> Option<&str> {
        let ix = self.funcs.binary_search_by_key(&at, |f| f.start).ok()?;
        self.funcs.get(ix).map(|f| f.name.as_str())
    }
    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        self.line_at(at)
    }
}

/// Slots to be printed. See [the module](self).
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a, S = ()> {
    insns: &'a [RawInsn],
    symbols: S,
    numbers: bool,
    bytes: Option<Endian>,
    lines: bool,
}

impl<'a> Listing<'a> {
    /// Slots without names.
    pub fn new(insns: &'a [RawInsn]) -> Listing<'a> {
        Listing { insns, symbols: (), numbers: false, bytes: None, lines: false }
    }
}

impl<'a> Listing<'a, &'a Code> {
    /// Assembled code with its own names.
    pub fn of(code: &'a Code) -> Listing<'a, &'a Code> {
        Listing::new(code.insns()).symbols(code)
    }
}

impl<'a, S: SymbolNames> Listing<'a, S> {
    /// The same slots, named by `symbols`.
    pub fn symbols<T: SymbolNames>(self, symbols: T) -> Listing<'a, T> {
        Listing { insns: self.insns, symbols, numbers: self.numbers, bytes: self.bytes, lines: self.lines }
    }

    /// With the place of each instruction before it, as the verifier's log has it.
    pub fn numbers(self, yes: bool) -> Listing<'a, S> {
        Listing { numbers: yes, ..self }
    }

    /// With the bytes of each instruction before it, in a byte order.
    pub fn bytes(self, endian: Option<Endian>) -> Listing<'a, S> {
        Listing { bytes: endian, ..self }
    }

    /// With source lines between the instructions, as comments.
    pub fn lines(self, yes: bool) -> Listing<'a, S> {
        Listing { lines: yes, ..self }
    }

    /// The lines of the listing one by one, for a form of one's own.
    pub fn items(&self) -> Items<'_, S> {
        Items::new(self)
    }

    /// Writes the listing, line by line.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        // A line is put together here, so that the writer is asked once for each.
        let mut line = String::new();
        for item in self.items() {
            line.clear();
            self.write_item(&mut line, &item)?;
            out.write_str(&line)?;
        }
        Ok(())
    }

    /// Writes one of the lines that [`items`](Listing::items) gave, as [`write`](Listing::write) does.
    ///
    /// # Errors
    /// None but those of the text.
    pub fn write_one(&self, out: &mut String, item: &Item<'_>) -> fmt::Result {
        self.write_item(out, item)
    }

    pub(in crate::insn) fn write_item(&self, out: &mut String, item: &Item<'_>) -> fmt::Result {
        match item {
            Item::Function { name, called, at } => {
                if at.0 != 0 {
                    out.push('\n');
                    if !called {
                        writeln!(out, ".globl {}", Name(name))?;
                    }
                }
                writeln!(out, "{}:", Name(name))
            }
            Item::Label { at } => writeln!(out, "{}:", LabelName(*at)),
            Item::Line(line) => writeln!(out, "    {}", SourceComment(*line)),
            Item::Insn(insn) => self.write_insn(out, insn),
        }
    }

    fn write_insn(&self, out: &mut String, insn: &InsnLine<'_>) -> fmt::Result {
        match self.numbers {
            true => write!(out, "{:8}: ", insn.at)?,
            false => out.write_str("    ")?,
        }
        if let Some(endian) = self.bytes {
            out.write_str("(")?;
            for (ix, byte) in insn.slots.iter().flat_map(|s| s.to_bytes(endian)).enumerate() {
                write!(out, "{}{byte:02x}", if ix == 0 { "" } else { " " })?;
            }
            out.write_str(") ")?;
        }
        insn.write(out)?;
        out.write_char('\n')
    }
}

impl<S: SymbolNames> fmt::Display for Listing<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// A source line as a comment: `; text @ file:line:column`, as the verifier prints it.
struct SourceComment<'a>(LineRef<'a>);

impl fmt::Display for SourceComment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineRef { file, line, col, text, .. } = self.0;
        f.write_str("; ")?;
        for c in text.unwrap_or_default().trim().chars().filter(|c| !c.is_control()) {
            write!(f, "{c}")?;
        }
        write!(f, "{}@ {file}:{line}:{col}", if text.is_some() { " " } else { "" })
    }
}
