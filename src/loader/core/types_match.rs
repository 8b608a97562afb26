//! Whether a type of the kernel is as the program describes it: `bpf_core_type_matches()`.
//!
//! The description may be partial. A struct of the kernel may have more members than the program's, and an
//! enumeration more values; what the program does name must be there, with types that match in turn.
//! Behind a pointer, names are enough, or each comparison would be one of half the kernel.

use std::collections::HashMap;

use super::compat::{In, MAX_DEPTH};
use super::error::{CoreFault, Side};
use super::work::Work;
use crate::btf::{Btf, Enumerators, FwdKind, Kind, Members, Name, Type};

/// Whether it is. That the names of the types themselves agree is made sure of by the search for candidates.
#[doc(alias = "bpf_core_types_match")]
pub(super) fn types_match(ours: In<'_>, theirs: In<'_>, work: &mut Work) -> Result<bool, CoreFault> {
    level(ours, theirs, false, MAX_DEPTH, work)
}

fn level(
    (local, mut ours): In<'_>,
    (target, mut theirs): In<'_>,
    mut behind_ptr: bool,
    left: usize,
    work: &mut Work,
) -> Result<bool, CoreFault> {
    let deeper = left.checked_sub(1).ok_or(CoreFault::TooDeep { limit: MAX_DEPTH })?;
    for _ in 0..MAX_DEPTH {
        let a = local.skip_mods_and_typedefs(ours).map_err(Side::Program.fault())?;
        let b = target.skip_mods_and_typedefs(theirs).map_err(Side::Kernel.fault())?;
        work.spend(1)?;
        if a.name.essential() != b.name.essential() {
            return Ok(false);
        }
        match (a.kind, b.kind) {
            (Kind::Ptr(a), Kind::Ptr(b)) => (ours, theirs, behind_ptr) = (a, b, true),
            (Kind::Array(a), Kind::Array(b)) if a.len == b.len => (ours, theirs) = (a.elem, b.elem),
            (Kind::FuncProto(a), Kind::FuncProto(b)) if a.len() == b.len() => {
                for (p, q) in a.iter().zip(b.iter()) {
                    if !level((local, p.ty), (target, q.ty), behind_ptr, deeper, work)? {
                        return Ok(false);
                    }
                }
                (ours, theirs) = (a.ret(), b.ret());
            }
            (Kind::Struct(ours), Kind::Struct(theirs)) | (Kind::Union(ours), Kind::Union(theirs))
                if !behind_ptr =>
            {
                return members_match((local, ours), (target, theirs), deeper, work);
            }
            _ => return leaves_match(&a, &b, behind_ptr, work),
        }
    }
    Err(CoreFault::TooDeep { limit: MAX_DEPTH })
}

/// Types that lead to no further ones, and structs behind a pointer.
fn leaves_match(a: &Type<'_>, b: &Type<'_>, behind_ptr: bool, work: &mut Work) -> Result<bool, CoreFault> {
    Ok(match (a.kind, b.kind) {
        (Kind::Void, Kind::Void) => true,
        (Kind::Int(a), Kind::Int(b)) => a.size == b.size && a.encoding.is_signed() == b.encoding.is_signed(),
        (Kind::Enum(a) | Kind::Enum64(a), Kind::Enum(b) | Kind::Enum64(b)) => values_match(a, b, work)?,
        (Kind::Fwd(a), Kind::Fwd(b)) => a == b,
        (Kind::Struct(_), Kind::Struct(_) | Kind::Fwd(FwdKind::Struct)) => behind_ptr,
        (Kind::Union(_), Kind::Union(_) | Kind::Fwd(FwdKind::Union)) => behind_ptr,
        (Kind::Fwd(FwdKind::Struct), Kind::Struct(_)) => behind_ptr,
        (Kind::Fwd(FwdKind::Union), Kind::Union(_)) => behind_ptr,
        _ => false,
    })
}

/// Whether each value of `ours` has one of that name in `theirs`; the numbers may differ.
fn values_match(ours: Enumerators<'_>, theirs: Enumerators<'_>, work: &mut Work) -> Result<bool, CoreFault> {
    work.spend(ours.len().saturating_add(theirs.len()))?;
    if ours.size != theirs.size || ours.len() > theirs.len() {
        return Ok(false);
    }
    let names: std::collections::HashSet<&[u8]> = theirs.iter().map(|v| v.name.essential()).collect();
    Ok(ours.iter().all(|v| names.contains(v.name.essential())))
}

/// Whether each member of `ours` has one of that name and a matching type in `theirs`. An anonymous one may
/// be any anonymous one.
fn members_match(
    (local, ours): (&Btf, Members<'_>),
    (target, theirs): (&Btf, Members<'_>),
    left: usize,
    work: &mut Work,
) -> Result<bool, CoreFault> {
    work.spend(ours.len().saturating_add(theirs.len()))?;
    if ours.len() > theirs.len() {
        return Ok(false);
    }
    let mut by_name: HashMap<&[u8], Vec<_>> = HashMap::new();
    for member in theirs {
        by_name.entry(Name::essential(member.name)).or_default().push(member.ty);
    }
    for member in ours {
        let mut matched = false;
        for &theirs in by_name.get(member.name.essential()).into_iter().flatten() {
            matched = level((local, member.ty), (target, theirs), false, left, work)?;
            if matched {
                break;
            }
        }
        if !matched {
            return Ok(false);
        }
    }
    Ok(true)
}
