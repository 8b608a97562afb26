//! The disassembler: slots as assembly text, with the names that somebody knows.
//!
//! A [`Listing`] never fails. What is no instruction is printed as the number it is, with the reason
//! behind it, and the next slot is looked at afresh. Names come from whoever has them, through
//! [`Symbols`]: a [`Code`] knows its own, an object file has relocations, a kernel has maps and
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
//! That text is what the text assembler ([`text`]) reads, and it gives the same slots back.

use super::code::{Code, LineRef, RefKind};
use super::fmt::show;
use super::inst::{Callee, Imm64, Insn};
use super::raw::{RawInsn, alu, class, mode, size, source};
use super::reg::InsnIx;
use super::{DecodeError, text};
use crate::bytes::Endian;
use std::borrow::Cow;
use std::fmt;

/// Who knows names. Every answer may be `None`.
pub trait Symbols {
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
}

/// Nobody knows anything.
impl Symbols for () {}

impl<S: Symbols + ?Sized> Symbols for &S {
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        (**self).reference(at)
    }
    fn function(&self, at: InsnIx) -> Option<&str> {
        (**self).function(at)
    }
    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        (**self).line(at)
    }
}

impl Symbols for Code {
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

impl<'a, S: Symbols> Listing<'a, S> {
    /// The same slots, named by `symbols`.
    pub fn symbols<T: Symbols>(self, symbols: T) -> Listing<'a, T> {
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
        Items {
            listing: self,
            marks: survey(self.insns, &self.symbols),
            at: 0,
            step: Step::Function,
            last_line: None,
        }
    }

    /// Writes the listing, line by line.
    ///
    /// # Errors
    /// What the writer says.
    pub fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for item in self.items() {
            match item {
                Item::Function { name, called, at } => {
                    if at.0 != 0 {
                        out.write_char('\n')?;
                        if !called {
                            writeln!(out, ".globl {}", Name(&name))?;
                        }
                    }
                    writeln!(out, "{}:", Name(&name))?;
                }
                Item::Label { at } => writeln!(out, "{}:", LabelName(at))?,
                Item::Line(line) => writeln!(out, "    {}", SourceComment(line))?,
                Item::Insn(insn) => self.write_insn(out, &insn)?,
            }
        }
        Ok(())
    }

    fn write_insn(&self, out: &mut dyn fmt::Write, insn: &InsnLine<'_>) -> fmt::Result {
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

impl<S: Symbols> fmt::Display for Listing<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A function starts here.
    Function {
        /// Its first slot.
        at: InsnIx,
        /// Its name; one made of its place if nobody knows it.
        name: Cow<'a, str>,
        /// Whether a call or an address of it is in the listing.
        called: bool,
    },
    /// The instruction that follows comes from another source line than the last.
    Line(LineRef<'a>),
    /// A jump of the listing goes to the instruction that follows.
    Label {
        /// The instruction.
        at: InsnIx,
    },
    /// An instruction.
    Insn(InsnLine<'a>),
}

/// An instruction of a listing, or a slot that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsnLine<'a> {
    /// Its place.
    pub at: InsnIx,
    /// Its one or two slots.
    pub slots: &'a [RawInsn],
    /// The instruction, or why it is none.
    pub insn: Result<Insn, DecodeError>,
    /// What stands in it in place of a number.
    pub name: Option<Operand<'a>>,
}

/// A name in an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand<'a> {
    /// The target of a jump.
    Label(InsnIx),
    /// A helper's name.
    Helper(&'static str),
    /// A function of the listing that is called.
    Call(Cow<'a, str>),
    /// A function of the listing whose address is loaded.
    Address(Cow<'a, str>),
    /// What [`Symbols::reference`] said.
    Reference(RefKind),
}

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Label(at) => write!(f, "{}", LabelName(*at)),
            Operand::Helper(name) => f.write_str(name),
            Operand::Call(name) => write!(f, "{}", Name(name)),
            Operand::Address(name) => write!(f, "code_addr({})", Name(name)),
            Operand::Reference(RefKind::Map { name }) => write!(f, "{}", Name(name)),
            Operand::Reference(RefKind::MapValue { name, off }) => {
                write!(f, "map_val({}) + {off}", Name(name))
            }
            Operand::Reference(RefKind::Kfunc { name }) => write!(f, "kfunc({})", Name(name)),
            Operand::Reference(RefKind::Ksym { name }) => write!(f, "var_addr({})", Name(name)),
            Operand::Reference(RefKind::Func { name }) => write!(f, "extern({})", Name(name)),
            Operand::Reference(RefKind::FuncAddr { name }) => {
                write!(f, "code_addr(extern({}))", Name(name))
            }
        }
    }
}

impl InsnLine<'_> {
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match &self.insn {
            Ok(insn) => show(out, *insn, self.name.as_ref().map(|n| n as &dyn fmt::Display)),
            Err(reason) => {
                for slot in self.slots {
                    let number = u64::from_le_bytes(slot.to_bytes(Endian::Little));
                    write!(out, ".8byte {number:#018x} ; ")?;
                    match kernel_only(*slot) {
                        Some(meaning) => write!(out, "{meaning}, which only the kernel writes")?,
                        None => write!(out, "{reason}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for InsnLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

/// The lines of a [`Listing`], in order.
#[derive(Debug)]
pub struct Items<'a, S> {
    listing: &'a Listing<'a, S>,
    /// What is known of each slot: [`TARGET`], [`FUNCTION`], [`SECOND`].
    marks: Vec<u8>,
    at: usize,
    step: Step,
    /// The file and line of the last source line.
    last_line: Option<(&'a str, u32)>,
}

/// What is looked for next at one slot.
#[derive(Clone, Copy, Debug)]
enum Step {
    Function,
    Line,
    Label,
    Insn,
}

impl<'a, S: Symbols> Iterator for Items<'a, S> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            let slots = self.listing.insns.get(self.at..).filter(|s| !s.is_empty())?;
            let at = InsnIx(self.at as u32);
            let mark = self.marks.get(self.at).copied().unwrap_or(0);
            match self.step {
                Step::Function => {
                    self.step = Step::Label;
                    let called = mark & FUNCTION != 0;
                    // The first label of a text names its first function.
                    let jumped_to = at.0 == 0 && mark & TARGET != 0;
                    match self.listing.symbols.function(at) {
                        Some(name) => return Some(Item::Function { at, name: name.into(), called }),
                        None if called || jumped_to => {
                            return Some(Item::Function { at, name: made_up(at).into(), called });
                        }
                        None => {}
                    }
                }
                Step::Label => {
                    self.step = Step::Line;
                    if mark & TARGET != 0 {
                        return Some(Item::Label { at });
                    }
                }
                Step::Line => {
                    self.step = Step::Insn;
                    let line = self.listing.lines.then(|| self.listing.symbols.line(at)).flatten();
                    if let Some(line) = line {
                        if self.last_line.replace((line.file, line.line)) != Some((line.file, line.line)) {
                            return Some(Item::Line(line));
                        }
                    }
                }
                Step::Insn => {
                    self.step = Step::Function;
                    return Some(Item::Insn(self.insn(at, slots)));
                }
            }
        }
    }
}

impl<'a, S: Symbols> Items<'a, S> {
    /// Decodes the instruction at `at` and moves behind it.
    fn insn(&mut self, at: InsnIx, slots: &'a [RawInsn]) -> InsnLine<'a> {
        let (insn, n) = match Insn::decode(slots) {
            Ok((insn, n)) => (Ok(insn), n),
            Err(error) => (Err(error), 1),
        };
        self.at = self.at.saturating_add(n);
        let name = insn.ok().and_then(|insn| self.operand(at, insn));
        InsnLine { at, slots: slots.get(..n).unwrap_or(slots), insn, name }
    }

    fn operand(&self, at: InsnIx, insn: Insn) -> Option<Operand<'a>> {
        let refers = matches!(insn, Insn::LoadImm64 { .. } | Insn::Call(_));
        if let Some(kind) = refers.then(|| self.listing.symbols.reference(at)).flatten() {
            return Some(Operand::Reference(kind));
        }
        match insn {
            Insn::Call(Callee::Helper(helper)) => helper.name().map(Operand::Helper),
            Insn::Call(Callee::Local { off: UNRESOLVED }) => None,
            Insn::LoadImm64 { imm: Imm64::Func { off: UNRESOLVED }, .. } => None,
            Insn::Call(Callee::Local { off }) => self.function(at, off).map(Operand::Call),
            Insn::LoadImm64 { imm: Imm64::Func { off }, .. } => self.function(at, off).map(Operand::Address),
            _ => {
                let to = target(at, distance(insn)?)?;
                let mark = self.marks.get(to.index())?;
                (mark & TARGET != 0).then_some(Operand::Label(to))
            }
        }
    }

    /// The name of the function that a call or an address at `at` leads to.
    fn function(&self, at: InsnIx, off: i32) -> Option<Cow<'a, str>> {
        let to = target(at, off)?;
        let known = self.marks.get(to.index())? & FUNCTION != 0;
        known.then(|| match self.listing.symbols.function(to) {
            Some(name) => name.into(),
            None => made_up(to).into(),
        })
    }
}

/// The distance that compilers leave in calls for a relocation to replace: to the call itself.
const UNRESOLVED: i32 = -1;

/// A jump of the listing goes here.
const TARGET: u8 = 1;
/// A call or an address of the listing leads here.
const FUNCTION: u8 = 2;
/// The second slot of a `lddw`.
const SECOND: u8 = 4;

/// Finds out where jumps and calls lead, in one pass.
fn survey(insns: &[RawInsn], symbols: &impl Symbols) -> Vec<u8> {
    let mut marks = vec![0u8; insns.len()];
    let mut at = 0;
    while let Some(slots) = insns.get(at..).filter(|s| !s.is_empty()) {
        let (insn, n) = match Insn::decode(slots) {
            Ok((insn, n)) => (Some(insn), n),
            Err(_) => (None, 1),
        };
        if let (2, Some(second)) = (n, marks.get_mut(at.saturating_add(1))) {
            *second |= SECOND;
        }
        let here = InsnIx(at as u32);
        let (to, mark) =
            match insn {
                // One that has yet to be put in place leads nowhere.
                Some(Insn::Call(Callee::Local { .. }) | Insn::LoadImm64 { imm: Imm64::Func { .. }, .. })
                    if symbols.reference(here).is_some() =>
                {
                    (None, 0)
                }
                Some(
                    Insn::Call(Callee::Local { off }) | Insn::LoadImm64 { imm: Imm64::Func { off }, .. },
                ) if off != UNRESOLVED => (target(here, off), FUNCTION),
                Some(insn) => (distance(insn).and_then(|off| target(here, off)), TARGET),
                None => (None, 0),
            };
        if let Some(slot) = to.and_then(|to| marks.get_mut(to.index())) {
            *slot |= mark;
        }
        at = at.saturating_add(n);
    }
    // Nothing can be named inside of an instruction.
    for mark in marks.iter_mut().filter(|mark| **mark & SECOND != 0) {
        *mark = SECOND;
    }
    marks
}

/// How far a jump goes.
fn distance(insn: Insn) -> Option<i32> {
    match insn {
        Insn::Jump { off } | Insn::JumpIf { off, .. } | Insn::MayGoto { off } => Some(off.into()),
        Insn::JumpFar { off } => Some(off),
        _ => None,
    }
}

/// The slot that is `off` slots behind the one after `at`.
fn target(at: InsnIx, off: i32) -> Option<InsnIx> {
    let to = i64::from(at.0).checked_add(1)?.checked_add(i64::from(off))?;
    u32::try_from(to).ok().map(InsnIx)
}

/// What a slot means in a program that the kernel has translated (`bpftool prog dump xlated`), where it
/// means nothing in one that is loaded.
fn kernel_only(slot: RawInsn) -> Option<String> {
    let RawInsn { opcode, dst, src, off, imm } = slot;
    let (mov64, mov32) = (class::ALU64 | alu::MOV | source::X, class::ALU | alu::MOV | source::X);
    match (opcode, off, imm) {
        (op, -1, 0) if op == mov64 => Some(format!("r{dst} = &(void __percpu *)(r{src})")),
        (op, 0, 1) if op == mov32 => Some(format!("w{dst} = w{src}")),
        (op, ..) if op & !size::DW == class::ST | mode::ATOMIC => Some("nospec".into()),
        _ if slot.is_func_ref() => Some(format!("r{dst} = code_addr({imm:+}) ll")),
        _ => None,
    }
}

/// The name of a function that nobody knows.
fn made_up(at: InsnIx) -> String {
    format!("func_{at}")
}

/// The name of a jump's target.
struct LabelName(InsnIx);

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

/// A name as assembly can read it: in quotes if it would be taken for something else.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match text::is_plain_name(self.0) {
            true => f.write_str(self.0),
            false => write!(f, "\"{}\"", self.0.escape_default()),
        }
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
