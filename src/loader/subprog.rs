//! Subprograms: every program gets its own copy of the functions that it calls.
//!
//! The kernel loads one program as one run of instructions, its main function first. The object has the
//! functions of `.text` once, for all programs. So for each program the functions that it reaches are
//! appended, each once, in the order in which a walk in depth meets them (libbpf's order, so that the same
//! instructions reach the kernel), and every call gets the distance to its copy:
//!
//! ```text
//!   object                        what the kernel gets for `count`
//!   xdp:   count  calls a, b      0  count   call +3 ──┐  call +7 ──┐
//!   .text: a      calls c         4  a       call +2   ◄┘ ──┐        │
//!          b                      7  c       exit      ◄────┘        │
//!          c                      9  b       exit      ◄─────────────┘
//! ```

use std::collections::HashMap;

use super::poison::Poison;
use crate::elf::{FuncIx, Function, Object, RelocTarget};
use crate::insn::raw::pseudo;
use crate::insn::{InsnIx, RawInsn};

/// A function's instructions after CO-RE, shared by all programs that use it.
#[derive(Debug, Clone, Default)]
pub(super) struct Body {
    pub(super) insns: Vec<RawInsn>,
    pub(super) poisons: Vec<(InsnIx, Poison)>,
}

/// A function as a part of an assembled program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'o> {
    /// The function.
    pub(super) func: &'o Function,
    /// Its first slot in the program.
    pub(super) at: InsnIx,
}

/// A program with everything that it calls.
#[derive(Debug, Default)]
pub(super) struct Assembled<'o> {
    pub(super) insns: Vec<RawInsn>,
    pub(super) parts: Vec<Part<'o>>,
    /// References that are still to be filled in, by their final slot.
    pub(super) refs: Vec<(InsnIx, RelocTarget)>,
    pub(super) poisons: Vec<(InsnIx, Poison)>,
}

/// Assembles a program: `main` with its body, then what it reaches, then `also` (an exception callback,
/// which nothing calls).
pub(super) fn assemble<'o>(
    object: &'o Object,
    main: &'o Function,
    main_body: &Body,
    bodies: &[Body],
    also: Option<FuncIx>,
) -> Assembled<'o> {
    let mut out = Assembler { object, bodies, out: Assembled::default(), placed: HashMap::new() };
    out.append(main, main_body);
    out.walk(main, InsnIx(0));
    if let Some(also) = also {
        if let Some((func, at)) = out.place(also) {
            out.walk(func, at);
        }
    }
    out.out.refs.sort_by_key(|(at, _)| *at);
    out.out
}

struct Assembler<'o, 'b> {
    object: &'o Object,
    bodies: &'b [Body],
    out: Assembled<'o>,
    placed: HashMap<FuncIx, InsnIx>,
}

impl<'o> Assembler<'o, '_> {
    fn append(&mut self, func: &'o Function, body: &Body) -> InsnIx {
        let at = InsnIx(self.out.insns.len() as u32);
        self.out.insns.extend_from_slice(&body.insns);
        self.out.parts.push(Part { func, at });
        let poisons = body.poisons.iter().map(|(ix, p)| (InsnIx(ix.0 + at.0), p.clone()));
        self.out.poisons.extend(poisons);
        at
    }

    /// Appends a function that is not there yet; `None` if it is, or if there is no such function.
    fn place(&mut self, ix: FuncIx) -> Option<(&'o Function, InsnIx)> {
        if self.placed.contains_key(&ix) {
            return None;
        }
        let func = self.object.functions.get(ix.0)?;
        let body = self.bodies.get(ix.0)?;
        let at = self.append(func, body);
        self.placed.insert(ix, at);
        Some((func, at))
    }

    /// Follows the calls of `func` in depth. The stack is ours: a hostile object can nest as deep as it
    /// has functions.
    fn walk(&mut self, func: &'o Function, at: InsnIx) {
        let mut stack = vec![(func, at, 0)];
        while let Some((func, base, next)) = stack.pop() {
            let Some(reloc) = func.relocs.get(next) else { continue };
            stack.push((func, base, next + 1));
            let slot = InsnIx(base.0 + reloc.at.0);
            match reloc.target {
                RelocTarget::Call(callee) | RelocTarget::FuncAddr(callee) => {
                    if let Some((func, at)) = self.place(callee) {
                        stack.push((func, at, 0));
                    }
                    if let Some(&to) = self.placed.get(&callee) {
                        self.point(slot, to, matches!(reloc.target, RelocTarget::FuncAddr(_)));
                    }
                }
                other => self.out.refs.push((slot, other)),
            }
        }
    }

    /// Makes the call or address load in `slot` reach `to`.
    fn point(&mut self, slot: InsnIx, to: InsnIx, address: bool) {
        if let Some(insn) = self.out.insns.get_mut(slot.0 as usize) {
            insn.imm = (i64::from(to.0) - i64::from(slot.0) - 1) as i32;
            if address {
                insn.src = pseudo::FUNC;
                if let Some(high) = self.out.insns.get_mut(slot.0 as usize + 1) {
                    high.imm = 0;
                }
            }
        }
    }
}
