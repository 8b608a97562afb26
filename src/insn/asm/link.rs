//! The end of assembling: distances are filled in, and what no kernel would take is refused.

use super::{Asm, AsmError, Bound, Fix, Goal, Label};
use crate::insn::code::{Code, CodeFunc, Lines};
use crate::insn::raw::{RawInsn, class, jmp};
use crate::insn::{Insn, InsnIx};
use std::mem;

impl Asm {
    /// Fills in the distances of jumps and calls, and gives the code. The `Asm` is empty afterwards.
    ///
    /// # Errors
    /// The first mistake, as an [`AsmError`] with its line of Rust.
    pub fn finish(&mut self) -> Result<Code, AsmError> {
        let mut asm = mem::take(self);
        if let Some(error) = asm.errors.drain(..).next() {
            return Err(error);
        }
        if asm.slots.is_empty() {
            return Err(AsmError::Empty);
        }
        if asm.long_jumps {
            asm.lengthen();
        }
        let funcs = asm.layout()?;
        for fix in mem::take(&mut asm.fixes) {
            asm.resolve(fix, &funcs)?;
        }
        asm.check_ends(&funcs)?;
        let name = |f: &Extent| CodeFunc {
            name: asm.funcs.get(f.func).map(|d| d.name.clone()).unwrap_or_default(),
            start: InsnIx(f.start),
        };
        let funcs = funcs.iter().map(name).collect();
        Ok(Code { insns: asm.slots, refs: asm.refs, funcs, lines: Lines::Rust(asm.places) })
    }

    /// The functions with their slots, in order. Every declared function has some.
    fn layout(&self) -> Result<Vec<Extent>, AsmError> {
        let mut all = Vec::with_capacity(self.funcs.len());
        for (func, decl) in self.funcs.iter().enumerate() {
            let begun = decl.begun.ok_or_else(|| self.no_body(func))?;
            all.push(Extent { func, start: begun.slot, end: 0 });
        }
        all.sort_by_key(|f| f.start);
        let mut end = self.slots.len() as u32;
        for extent in all.iter_mut().rev() {
            extent.end = end;
            end = extent.start;
            if extent.start == extent.end {
                return Err(self.no_body(extent.func));
            }
        }
        Ok(all)
    }

    /// A function without instructions, reported where it is first used.
    fn no_body(&self, func: usize) -> AsmError {
        let uses = |fix: &&Fix| matches!(fix.to, Goal::Func(f) if f.ix as usize == func);
        let used = self.fixes.iter().find(uses).and_then(|fix| self.places.get(fix.slot as usize));
        match self.funcs.get(func) {
            Some(decl) => {
                AsmError::NoBody { at: used.copied().unwrap_or(decl.declared), function: decl.name.clone() }
            }
            None => AsmError::Empty,
        }
    }

    /// Where a label or function is; `None` if it is bound nowhere, or not of this `Asm`.
    fn find(&self, goal: Goal) -> Option<Bound> {
        match goal {
            Goal::Near(Label { owner, ix }) | Goal::Far(Label { owner, ix }) if owner == self.id => {
                *self.labels.get(ix as usize)?
            }
            Goal::Func(func) if func.owner == self.id => self.funcs.get(func.ix as usize)?.begun,
            _ => None,
        }
    }

    fn resolve(&mut self, fix: Fix, funcs: &[Extent]) -> Result<(), AsmError> {
        let Some(&at) = self.places.get(fix.slot as usize) else { return Ok(()) };
        let owner = match fix.to {
            Goal::Near(label) | Goal::Far(label) => label.owner,
            Goal::Func(func) => func.owner,
        };
        if owner != self.id {
            return Err(AsmError::Foreign { at });
        }
        let to = self.find(fix.to).ok_or(AsmError::Unbound { at })?;
        if !matches!(fix.to, Goal::Func(_)) {
            self.check_target(fix, to, funcs)?;
        }
        let delta = i64::from(to.slot) - i64::from(fix.slot) - 1;
        let far = i32::try_from(delta).map_err(|_| AsmError::TooFar { at, delta })?;
        let Some(slot) = self.slots.get_mut(fix.slot as usize) else { return Ok(()) };
        match (fix.to, i16::try_from(delta)) {
            (Goal::Near(_), Ok(near)) => slot.off = near,
            (Goal::Near(_), Err(_)) if self.long_jumps && is_goto(*slot) => {
                *slot = RawInsn { opcode: class::JMP32 | jmp::JA, imm: far, ..*slot };
            }
            (Goal::Near(_), Err(_)) => return Err(AsmError::TooFar { at, delta }),
            (Goal::Far(_) | Goal::Func(_), _) => slot.imm = far,
        }
        Ok(())
    }

    /// A jump stays in its function, and something stands at its target.
    fn check_target(&self, fix: Fix, to: Bound, funcs: &[Extent]) -> Result<(), AsmError> {
        let name = |func: u32| self.funcs.get(func as usize).map(|f| f.name.clone()).unwrap_or_default();
        if to.func != fix.func {
            let Some(&at) = self.places.get(fix.slot as usize) else { return Ok(()) };
            return Err(AsmError::JumpsOut { at, from: name(fix.func), to: name(to.func) });
        }
        let extent = funcs.iter().find(|f| f.func == to.func as usize);
        if extent.is_some_and(|f| to.slot >= f.end) {
            return Err(AsmError::Dangling { at: to.place, function: name(to.func) });
        }
        Ok(())
    }

    fn check_ends(&self, funcs: &[Extent]) -> Result<(), AsmError> {
        for extent in funcs {
            let last = extent.end.saturating_sub(1) as usize;
            if let (Some(slot), Some(&at)) = (self.slots.get(last), self.places.get(last)) {
                if slot.falls_through() {
                    let function = self.funcs.get(extent.func).map(|f| f.name.clone()).unwrap_or_default();
                    return Err(AsmError::FallsOff { at, function });
                }
            }
        }
        Ok(())
    }

    /// Makes three instructions of every conditional jump that 16 bits do not reach:
    ///
    /// ```text
    ///   if r1 == 0 goto far      ->      if r1 == 0 goto +1
    ///                                    goto +1
    ///                                    gotol far
    /// ```
    ///
    /// Each that grows pushes others apart, so this repeats until none is out of reach.
    fn lengthen(&mut self) {
        let mut grown: Vec<u32> = Vec::new();
        loop {
            let known = grown.len();
            let more = self.fixes.iter().filter(|fix| self.out_of_reach(fix, grown.as_slice()));
            let more: Vec<u32> = more.map(|fix| fix.slot).collect();
            grown.extend(more);
            if grown.len() == known {
                break;
            }
            grown.sort_unstable();
        }
        if !grown.is_empty() {
            self.grow(&grown);
        }
    }

    fn out_of_reach(&self, fix: &Fix, grown: &[u32]) -> bool {
        let conditional = self.slots.get(fix.slot as usize).is_some_and(|slot| !is_goto(*slot));
        if !matches!(fix.to, Goal::Near(_)) || !conditional || grown.binary_search(&fix.slot).is_ok() {
            return false;
        }
        let Some(to) = self.find(fix.to) else { return false };
        let delta = i64::from(moved(to.slot, grown)) - i64::from(moved(fix.slot, grown)) - 1;
        i16::try_from(delta).is_err()
    }

    /// Rewrites the program with the jumps in `grown` three instructions long.
    fn grow(&mut self, grown: &[u32]) {
        let (slots, places) = (mem::take(&mut self.slots), mem::take(&mut self.places));
        for (ix, (slot, place)) in slots.into_iter().zip(places).enumerate() {
            if grown.binary_search(&(ix as u32)).is_err() {
                self.slots.push(slot);
                self.places.push(place);
                continue;
            }
            self.slots.push(RawInsn { off: 1, ..slot });
            self.slots.extend(Insn::Jump { off: 1 }.encode().iter().copied());
            self.slots.extend(Insn::JumpFar { off: 0 }.encode().iter().copied());
            self.places.extend([place; 3]);
        }
        for fix in &mut self.fixes {
            let long = grown.binary_search(&fix.slot).is_ok();
            fix.slot = moved(fix.slot, grown);
            if let (true, Goal::Near(label)) = (long, fix.to) {
                *fix = Fix { slot: fix.slot.saturating_add(2), to: Goal::Far(label), ..*fix };
            }
        }
        let decls = self.funcs.iter_mut().filter_map(|f| f.begun.as_mut());
        for bound in self.labels.iter_mut().flatten().chain(decls) {
            bound.slot = moved(bound.slot, grown);
        }
        for reference in &mut self.refs {
            reference.at = InsnIx(moved(reference.at.0, grown));
        }
    }
}

/// A function and its slots.
struct Extent {
    func: usize,
    start: u32,
    end: u32,
}

/// Where a slot is once the jumps before it have grown by two slots each.
fn moved(slot: u32, grown: &[u32]) -> u32 {
    let before = grown.partition_point(|&g| g < slot);
    slot.saturating_add((before as u32).saturating_mul(2))
}

fn is_goto(slot: RawInsn) -> bool {
    slot.opcode == (class::JMP | jmp::JA)
}
