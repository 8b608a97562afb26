//! A listing line by line: where functions start, where jumps lead, what has a name.

use super::{LabelName, Listing, Name, SymbolNames};
use crate::bytes::Endian;
use crate::insn::code::{LineRef, RefKind};
use crate::insn::fmt::show;
use crate::insn::raw::{RawInsn, alu, class, mode, size, source};
use crate::insn::{Callee, DecodeError, Imm64, Insn, InsnIx};
use std::borrow::Cow;
use std::fmt;

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
    /// What [`SymbolNames::reference`] said.
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
    pub(super) fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
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

impl<'a, S: SymbolNames> Iterator for Items<'a, S> {
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

impl<'a, S: SymbolNames> Items<'a, S> {
    pub(super) fn new(listing: &'a Listing<'a, S>) -> Items<'a, S> {
        let marks = survey(listing.insns, &listing.symbols);
        Items { listing, marks, at: 0, step: Step::Function, last_line: None }
    }

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
            return Some(match kind {
                RefKind::Func { name } if self.listing.symbols.defines(&name) => Operand::Call(name.into()),
                RefKind::FuncAddr { name } if self.listing.symbols.defines(&name) => {
                    Operand::Address(name.into())
                }
                kind => Operand::Reference(kind),
            });
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
fn survey(insns: &[RawInsn], symbols: &impl SymbolNames) -> Vec<u8> {
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
