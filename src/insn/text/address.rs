//! Places in memory, and the registers of atomic operations.

use super::cursor::{Cursor, Parse};
use crate::insn::{Mem, Reg, Size, Width};

pub(super) fn unsigned_address(c: &mut Cursor<'_>) -> Parse<(Size, Mem)> {
    let start = c.pos();
    match c.typed_address()? {
        (size, false, mem) => Ok((size, mem)),
        _ => c.fault_at(c.since(start), "only a load into a register can be of a signed type"),
    }
}

/// `(u64 *)(r1 + 0)`, of a size that atomic operations have.
pub(super) fn atomic_address(c: &mut Cursor<'_>) -> Parse<(Width, Mem)> {
    let start = c.pos();
    match unsigned_address(c)? {
        (Size::W, mem) => Ok((Width::W32, mem)),
        (Size::DW, mem) => Ok((Width::W64, mem)),
        _ => c.fault_at(c.since(start), "atomic operations are of u32 or u64"),
    }
}

/// The register operand: `w2` or `r2` with 32 bits, since LLVM writes the one and the verifier the other.
pub(super) fn atomic_source(c: &mut Cursor<'_>, width: Width) -> Parse<Reg> {
    match width {
        Width::W32 => Ok(c.any_reg()?.reg),
        Width::W64 => c.reg(),
    }
}
