//! Whether a type of the kernel is as the program describes it: `bpf_core_type_matches()`.
//!
//! The description may be partial. A struct of the kernel may have more members than the program's, and an
//! enumeration more values; what the program does name must be there, with types that match in turn.
//! Behind a pointer, names are enough, or each comparison would be one of half the kernel.

use std::collections::{HashMap, HashSet};

use super::compat::{In, MAX_DEPTH};
use super::fault::{CoreFault, Side};
use super::work::Work;
use crate::btf::{Btf, Enumerators, FwdKind, Kind, Members, Type, TypeId};

/// Whether it is. That the names of the types themselves agree is made sure of by the search for candidates.
#[doc(alias = "bpf_core_types_match")]
pub(super) fn types_match(ours: In<'_>, theirs: In<'_>, work: &mut Work) -> Result<bool, CoreFault> {
    let mut matcher = Matcher { local: ours.0, target: theirs.0, work, known: HashMap::new() };
    matcher.types(ours.1, theirs.1, false, MAX_DEPTH)
}

struct Matcher<'b, 'w> {
    local: &'b Btf,
    target: &'b Btf,
    work: &'w mut Work,
    /// The structs that were compared already, which can hold one another many times over.
    known: HashMap<(TypeId, TypeId), bool>,
}

impl<'b> Matcher<'b, '_> {
    fn types(
        &mut self,
        mut ours: TypeId,
        mut theirs: TypeId,
        mut behind_ptr: bool,
        left: usize,
    ) -> Result<bool, CoreFault> {
        let deeper = left.checked_sub(1).ok_or(CoreFault::TooDeep { limit: MAX_DEPTH })?;
        for _ in 0..MAX_DEPTH {
            let a = self.local.skip_mods_and_typedefs(ours).map_err(Side::Program.fault())?;
            let b = self.target.skip_mods_and_typedefs(theirs).map_err(Side::Kernel.fault())?;
            self.work.spend(Work::TYPE)?;
            if a.name.essential() != b.name.essential() {
                return Ok(false);
            }
            match (a.kind, b.kind) {
                (Kind::Ptr(a), Kind::Ptr(b)) => (ours, theirs, behind_ptr) = (a, b, true),
                (Kind::Array(a), Kind::Array(b)) if a.len == b.len => (ours, theirs) = (a.elem, b.elem),
                (Kind::FuncProto(a), Kind::FuncProto(b)) if a.len() == b.len() => {
                    for (p, q) in a.iter().zip(b.iter()) {
                        if !self.types(p.ty, q.ty, behind_ptr, deeper)? {
                            return Ok(false);
                        }
                    }
                    (ours, theirs) = (a.ret(), b.ret());
                }
                (Kind::Struct(m), Kind::Struct(n)) | (Kind::Union(m), Kind::Union(n)) if !behind_ptr => {
                    if let Some(known) = self.known.get(&(a.id, b.id)) {
                        return Ok(*known);
                    }
                    let same = self.members(m, n, deeper)?;
                    self.known.insert((a.id, b.id), same);
                    return Ok(same);
                }
                _ => return self.leaves(&a, &b, behind_ptr),
            }
        }
        Err(CoreFault::TooDeep { limit: MAX_DEPTH })
    }

    /// Types that lead to no further ones, and structs behind a pointer.
    fn leaves(&mut self, a: &Type<'_>, b: &Type<'_>, behind_ptr: bool) -> Result<bool, CoreFault> {
        Ok(match (a.kind, b.kind) {
            (Kind::Void, Kind::Void) => true,
            (Kind::Int(a), Kind::Int(b)) => {
                a.size == b.size && a.encoding.is_signed() == b.encoding.is_signed()
            }
            (Kind::Enum(a) | Kind::Enum64(a), Kind::Enum(b) | Kind::Enum64(b)) => self.values(a, b)?,
            (Kind::Fwd(a), Kind::Fwd(b)) => a == b,
            (Kind::Struct(_), Kind::Struct(_) | Kind::Fwd(FwdKind::Struct)) => behind_ptr,
            (Kind::Union(_), Kind::Union(_) | Kind::Fwd(FwdKind::Union)) => behind_ptr,
            (Kind::Fwd(FwdKind::Struct), Kind::Struct(_)) => behind_ptr,
            (Kind::Fwd(FwdKind::Union), Kind::Union(_)) => behind_ptr,
            _ => false,
        })
    }

    /// Whether each value of `ours` has one of that name in `theirs`; the numbers may differ.
    fn values(&mut self, ours: Enumerators<'_>, theirs: Enumerators<'_>) -> Result<bool, CoreFault> {
        self.work.spend(ours.len().saturating_add(theirs.len()).saturating_mul(Work::NAME))?;
        if ours.size != theirs.size || ours.len() > theirs.len() {
            return Ok(false);
        }
        let names: HashSet<&[u8]> = theirs.iter().map(|v| v.name.essential()).collect();
        Ok(ours.iter().all(|v| names.contains(v.name.essential())))
    }

    /// Whether each member of `ours` has one of that name and a matching type in `theirs`. An anonymous one
    /// may be any anonymous one.
    fn members(&mut self, ours: Members<'b>, theirs: Members<'b>, left: usize) -> Result<bool, CoreFault> {
        self.work.spend(ours.len().saturating_add(theirs.len()).saturating_mul(Work::NAME))?;
        if ours.len() > theirs.len() {
            return Ok(false);
        }
        let mut by_name: HashMap<&[u8], Vec<TypeId>> = HashMap::new();
        for member in theirs {
            by_name.entry(member.name.essential()).or_default().push(member.ty);
        }
        for member in ours {
            let mut matched = false;
            for &theirs in by_name.get(member.name.essential()).into_iter().flatten() {
                matched = self.types(member.ty, theirs, false, left)?;
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
}
