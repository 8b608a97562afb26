//! The number goes into the instruction.
//!
//! ```text
//!   r1 = 24                 arithmetic with a constant: imm
//!   r1 += 24
//!   r1 = 24 ll              64-bit constant:            imm of both slots
//!   r1 = *(u32 *)(r2 + 24)  load                        off, and perhaps the size
//!   *(u32 *)(r2 + 24) = r1  stores, also atomic ones    off, and perhaps the size
//! ```
//!
//! Before, it must have the number that the program's own types give. If it has not, then the relocation
//! and the code are not of one build, and every other number would be wrong as well.

use super::super::poison;
use super::fault::CoreFault;
use super::value::{Change, Resize};
use crate::insn::RawInsn;
use crate::insn::raw::{class, mode, size, source};

/// What became of an instruction.
pub(super) enum Patched {
    Done,
    /// It is as it was: it would have to move another number of bytes, and get a wrong value.
    Unsafe,
}

/// Puts a number into the instruction at `at`.
pub(super) fn apply(insns: &mut [RawInsn], at: usize, change: &Change<'_>) -> Result<Patched, CoreFault> {
    let Some((insn, rest)) = insns.get_mut(at..).and_then(<[_]>::split_first_mut) else {
        return Ok(Patched::Done);
    };
    match insn.class() {
        class::ALU | class::ALU64 if insn.opcode & source::X == 0 => {
            check(change, insn.imm.into())?;
            insn.imm = change.number as i32;
        }
        class::LDX | class::ST | class::STX => return memory(insn, change),
        class::LD => constant(insn, rest, change)?,
        _ => return Err(CoreFault::Instruction { opcode: insn.opcode }),
    }
    Ok(Patched::Done)
}

/// Makes an instruction one that the verifier must refuse, should it get there.
pub(super) fn poison(insns: &mut [RawInsn], at: usize) {
    let slots = insns.get(at).map_or(0, |insn| insn.slots() as usize);
    for insn in insns.iter_mut().skip(at).take(slots) {
        *insn = poison::poison(poison::POISON_CORE);
    }
}

fn check(change: &Change<'_>, found: i64) -> Result<(), CoreFault> {
    match change.expected {
        Some(expected) if expected != found as u64 => Err(CoreFault::Unexpected { found, expected }),
        _ => Ok(()),
    }
}

fn memory(insn: &mut RawInsn, change: &Change<'_>) -> Result<Patched, CoreFault> {
    check(change, insn.off.into())?;
    let off = i16::try_from(change.number).map_err(|_| CoreFault::Range { offset: change.number })?;
    match change.resize {
        Resize::No => {}
        Resize::Unsafe { .. } => return Ok(Patched::Unsafe),
        Resize::Fits { from, to } => insn.opcode = resized(insn, from, to)?,
    }
    insn.off = off;
    Ok(Patched::Done)
}

/// The opcode of the same access to `to` instead of `from` bytes.
fn resized(insn: &RawInsn, from: u32, to: u32) -> Result<u8, CoreFault> {
    const SIZES: [(u32, u8); 4] = [(1, size::B), (2, size::H), (4, size::W), (8, size::DW)];
    let moved = SIZES.iter().find(|(_, code)| *code == insn.size()).map_or(0, |(bytes, _)| *bytes);
    if moved != from {
        return Err(CoreFault::AccessSize { moved, size: from });
    }
    let code = SIZES.iter().find(|(bytes, _)| *bytes == to).map(|(_, code)| *code);
    Ok(insn.mode() | code.ok_or(CoreFault::NewSize { size: to })? | insn.class())
}

fn constant(insn: &mut RawInsn, rest: &mut [RawInsn], change: &Change<'_>) -> Result<(), CoreFault> {
    let unfit = CoreFault::Instruction { opcode: insn.opcode };
    let plain = insn.opcode == class::LD | size::DW | mode::IMM && insn.src == 0 && insn.off == 0;
    let high =
        rest.first_mut().filter(|high| plain && **high == RawInsn { imm: high.imm, ..RawInsn::default() });
    let high = high.ok_or(unfit)?;
    check(change, i64::from(high.imm) << 32 | i64::from(insn.imm as u32))?;
    insn.imm = change.number as i32;
    high.imm = (change.number >> 32) as i32;
    Ok(())
}
