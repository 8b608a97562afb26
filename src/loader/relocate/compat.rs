//! Whether two types are of the same sort as a whole.
//!
//! ```text
//!   struct, union, enum, fwd     always, with one of the same kind
//!   int                          always, whatever its size and sign
//!   pointer, array               if what they point to, or consist of, is; the length does not count
//!   function                     if it has as many arguments, and all of them and the result are
//! ```
//!
//! Names are not compared: where that matters, the caller did it.

use super::candidates::same_sort;
use super::fault::{CoreFault, Side};
use super::work::Work;
use crate::btf::{Btf, BtfKind, Kind, TypeId};

/// How many pointers and arrays are looked through, and how deep functions may be nested; libbpf's limits.
pub(super) const MAX_DEPTH: usize = 32;

/// A type with the BTF that it is of.
pub(super) type In<'b> = (&'b Btf, TypeId);

/// Whether they are. The kinds of the types themselves must agree even before typedefs are looked through.
#[doc(alias = "bpf_core_types_are_compat")]
pub(super) fn compatible(ours: In<'_>, theirs: In<'_>, work: &mut Work) -> Result<bool, CoreFault> {
    level(ours, theirs, MAX_DEPTH, work)
}

fn level(
    (local, mut ours): In<'_>,
    (target, mut theirs): In<'_>,
    left: usize,
    work: &mut Work,
) -> Result<bool, CoreFault> {
    let (program, kernel) = (Side::Program.fault(), Side::Kernel.fault());
    let (a, b) = (local.ty(ours).map_err(&program)?, target.ty(theirs).map_err(&kernel)?);
    if !same_sort(a.tag()).contains(b.tag()) {
        return Ok(false);
    }
    for _ in 0..MAX_DEPTH {
        let a = local.skip_mods_and_typedefs(ours).map_err(&program)?;
        let b = target.skip_mods_and_typedefs(theirs).map_err(&kernel)?;
        work.spend(Work::TYPE)?;
        if !same_sort(a.tag()).contains(b.tag()) {
            return Ok(false);
        }
        match (a.kind, b.kind) {
            (Kind::Ptr(a), Kind::Ptr(b)) => (ours, theirs) = (a, b),
            (Kind::Array(a), Kind::Array(b)) => (ours, theirs) = (a.elem, b.elem),
            (Kind::Int(a), Kind::Int(b)) => return Ok(a.bit_offset == 0 && b.bit_offset == 0),
            (Kind::FuncProto(a), Kind::FuncProto(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (p, q) in a.iter().zip(b.iter()) {
                    let left = left.checked_sub(1).ok_or(CoreFault::TooDeep { limit: MAX_DEPTH })?;
                    let p = local.skip_mods_and_typedefs(p.ty).map_err(&program)?.id;
                    let q = target.skip_mods_and_typedefs(q.ty).map_err(&kernel)?.id;
                    if !level((local, p), (target, q), left, work)? {
                        return Ok(false);
                    }
                }
                (ours, theirs) = (a.ret(), b.ret());
            }
            _ => {
                return Ok(matches!(
                    a.tag(),
                    BtfKind::Void
                        | BtfKind::Struct
                        | BtfKind::Union
                        | BtfKind::Enum
                        | BtfKind::Enum64
                        | BtfKind::Fwd
                ));
            }
        }
    }
    Err(CoreFault::TooDeep { limit: MAX_DEPTH })
}
