//! The least BTF that the relocations of some objects need of a kernel.
//!
//! A kernel without BTF of its own can still run CO-RE programs, if its types come with them. All types of a kernel
//! are megabytes; what a set of objects asks for is a few kilobytes: the types that their paths lead through, and of
//! each struct the members that they name. What is left out of a struct leaves its size and the places of the other
//! members as they were, so each relocation finds the same numbers, and what it did not find it does not find either.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::candidates::Candidates;
use super::error::CoreError;
use super::fault::{CoreFault, Side};
use super::matching::{self, Match};
use super::spec::{Spec, Subject};
use super::work::Work;
use crate::btf::{Btf, BtfBuilder, BtfError, CoreRelo, CoreReloKind, Def, Kind, StrOff, TypeId};
use crate::elf::{Function, Object};
use crate::insn::InsnIx;
use crate::kernel::Kernel;
use crate::uapi::Release;

/// What [`minimal_btf`] made.
#[derive(Debug, Clone)]
pub struct MinimalBtf {
    /// The BTF.
    pub bytes: Vec<u8>,
    /// How many types are in it.
    pub types: u32,
    /// How many relocations it is for.
    pub relocations: usize,
    /// Types that the objects ask about and the kernel does not have.
    pub missing: BTreeSet<String>,
}

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinimalError {
    /// A relocation makes no sense.
    #[error("{object}")]
    Core {
        /// The object.
        object: String,
        /// Which relocation, and why.
        source: CoreError,
    },
    /// The kernel's types are damaged.
    #[error("the kernel's types cannot be read")]
    Btf(#[from] BtfError),
}

/// Makes the least BTF with which these objects are relocated as with all types of `kernel`.
///
/// # Errors
/// A relocation that makes no sense, or damaged types.
#[doc(alias = "bpftool gen min_core_btf")]
pub fn minimal_btf(objects: &[Object], kernel: &Arc<Btf>) -> Result<MinimalBtf, MinimalError> {
    let host = Kernel::fixture(Release(255, 0, 0)).with_btf(Arc::clone(kernel));
    let mut keep = Keep { btf: kernel, types: BTreeMap::new() };
    let (mut relocations, mut missing) = (0usize, BTreeSet::new());
    for object in objects {
        let Some(btf) = object.btf.as_deref() else { continue };
        let (mut candidates, mut work) = (Candidates::new(btf, &host), Work::default());
        for func in object.programs.iter().map(|p| &p.func).chain(&object.functions) {
            for relo in object.core_relocations(func) {
                relocations = relocations.saturating_add(1);
                let mut one =
                    || -> Result<bool, CoreFault> { keep.relocation(btf, &relo, &mut candidates, &mut work) };
                let found = one().map_err(|fault| wrong(object, btf, func, &relo, fault))?;
                if !found {
                    let name = btf.ty(relo.type_id).map(|t| t.name.to_string()).unwrap_or_default();
                    missing.insert(name);
                }
            }
        }
    }
    let (bytes, types) = keep.write()?;
    Ok(MinimalBtf { bytes, types, relocations, missing })
}

fn wrong(object: &Object, btf: &Btf, func: &Function, relo: &CoreRelo, fault: CoreFault) -> MinimalError {
    let at = InsnIx((relo.insn_off / 8).saturating_sub(func.offset.0));
    MinimalError::Core { object: object.name.clone(), source: CoreError::new(btf, func, at, relo, fault) }
}

/// What is kept of one type.
#[derive(Debug, Default)]
struct Kept {
    /// Of a struct: which members, by number.
    members: BTreeSet<usize>,
    /// Of a pointer: what it points to. Else it points to nothing.
    target: bool,
}

/// The types that are kept.
struct Keep<'k> {
    btf: &'k Btf,
    types: BTreeMap<TypeId, Kept>,
}

/// Types in types are followed so far.
const DEPTH: u32 = 64;

impl Keep<'_> {
    /// Keeps what one relocation needs; false if the kernel has no type of the name.
    fn relocation(
        &mut self,
        object: &Btf,
        relo: &CoreRelo,
        candidates: &mut Candidates<'_>,
        work: &mut Work,
    ) -> Result<bool, CoreFault> {
        if relo.kind == CoreReloKind::TypeIdLocal {
            return Ok(true);
        }
        let local = Spec::parse(object, relo, work)?;
        let found: Vec<_> = candidates.of(local.root)?.to_vec();
        for candidate in &found {
            // A candidate that does not match is kept as far as it takes to see that.
            self.plain(candidate.id, DEPTH).map_err(Side::Kernel.fault())?;
            let done = match matching::find(&local, candidate.btf, candidate.id, work)? {
                Match::No(_) if local.kind == CoreReloKind::TypeMatches => {
                    self.deep(candidate.id, false, DEPTH)
                }
                Match::No(_) if local.subject == Subject::Type => self.whole(candidate.id, DEPTH),
                Match::No(_) => Ok(()),
                Match::Yes(spec) => match local.subject {
                    Subject::Field => self.path(&spec),
                    Subject::Value => Ok(()),
                    Subject::Type if local.kind == CoreReloKind::TypeMatches => {
                        self.deep(candidate.id, false, DEPTH)
                    }
                    Subject::Type => self.whole(candidate.id, DEPTH),
                },
            };
            done.map_err(Side::Kernel.fault())?;
        }
        Ok(!found.is_empty())
    }

    /// Keeps a type as the end of a path: its size and sort, and nothing of what it points to or holds.
    fn plain(&mut self, id: TypeId, left: u32) -> Result<(), BtfError> {
        let left = left.checked_sub(1).ok_or(BtfError::TooDeep { id, limit: DEPTH })?;
        if id == TypeId::VOID {
            return Ok(());
        }
        self.types.entry(id).or_default();
        match self.btf.ty(id)?.kind {
            Kind::Typedef(to) | Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => {
                self.plain(to, left)
            }
            Kind::TypeTag { ty: to, .. } => self.plain(to, left),
            Kind::Array(array) => {
                self.plain(array.elem, left)?;
                self.plain(array.index, left)
            }
            Kind::FuncProto(list) => {
                self.plain(list.ret(), left)?;
                list.iter().try_for_each(|p| self.plain(p.ty, left))
            }
            Kind::Func { proto, .. } => self.plain(proto, left),
            _ => Ok(()),
        }
    }

    /// As [`plain`](Keep::plain), and what pointers lead to: all that is looked at of a type as a whole.
    fn whole(&mut self, id: TypeId, left: u32) -> Result<(), BtfError> {
        let left = left.checked_sub(1).ok_or(BtfError::TooDeep { id, limit: DEPTH })?;
        self.plain(id, DEPTH)?;
        let mut inner = Vec::new();
        match self.btf.ty(id)?.kind {
            Kind::Ptr(to) => {
                let kept = self.types.entry(id).or_default();
                if std::mem::replace(&mut kept.target, true) {
                    return Ok(());
                }
                inner.push(to);
            }
            Kind::Typedef(to) | Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => inner.push(to),
            Kind::TypeTag { ty: to, .. } => inner.push(to),
            Kind::Array(array) => inner.push(array.elem),
            Kind::FuncProto(list) => {
                inner.push(list.ret());
                inner.extend(list.iter().map(|p| p.ty));
            }
            _ => {}
        }
        inner.into_iter().filter(|id| *id != TypeId::VOID).try_for_each(|id| self.whole(id, left))
    }

    /// All members as well, but behind a pointer: what a comparison of descriptions looks at.
    fn deep(&mut self, id: TypeId, behind: bool, left: u32) -> Result<(), BtfError> {
        let left = left.checked_sub(1).ok_or(BtfError::TooDeep { id, limit: DEPTH })?;
        self.whole(id, DEPTH)?;
        let ty = self.btf.resolve(id)?;
        match ty.kind {
            Kind::Ptr(to) if to != TypeId::VOID => self.deep(to, true, left),
            Kind::Array(array) => self.deep(array.elem, behind, left),
            Kind::Struct(members) | Kind::Union(members) if !behind => {
                let kept = self.types.entry(ty.id).or_default();
                if kept.members.len() == members.len() {
                    return Ok(());
                }
                kept.members.extend(0..members.len());
                members.iter().try_for_each(|m| self.deep(m.ty, false, left))
            }
            _ => Ok(()),
        }
    }

    /// The members on the way to a place.
    fn path(&mut self, spec: &Spec<'_>) -> Result<(), BtfError> {
        let mut at = self.btf.skip_mods_and_typedefs(spec.root)?;
        for &index in spec.raw.iter().skip(1) {
            self.plain(at.id, DEPTH)?;
            let next = match at.kind {
                Kind::Struct(members) | Kind::Union(members) => {
                    let Some(member) = members.get(index as usize) else { break };
                    self.types.entry(at.id).or_default().members.insert(index as usize);
                    member.ty
                }
                Kind::Array(array) => array.elem,
                _ => break,
            };
            self.plain(next, DEPTH)?;
            at = self.btf.skip_mods_and_typedefs(next)?;
        }
        Ok(())
    }

    /// Writes the kept types, in the kernel's order, under new numbers.
    fn write(self) -> Result<(Vec<u8>, u32), BtfError> {
        let source = BtfBuilder::edit(self.btf)?;
        let numbers: HashMap<TypeId, TypeId> =
            self.types.keys().zip(1..).map(|(old, new)| (*old, TypeId(new))).collect();
        let mut out = BtfBuilder::with_endian(self.btf.endian());
        for (id, kept) in &self.types {
            let Some((name, def)) = source.get(*id) else { continue };
            let mut def = def.clone();
            match &mut def {
                Def::Struct(composite) | Def::Union(composite) => {
                    let all = std::mem::take(&mut composite.members);
                    let left = all.into_iter().enumerate().filter(|(n, _)| kept.members.contains(n));
                    composite.members = left.map(|(_, member)| member).collect();
                }
                Def::Ptr(to) if !kept.target => *to = TypeId::VOID,
                _ => {}
            }
            let mut string = |off: StrOff| match source.name(off) {
                Some(name) if !name.is_empty() => out.string(name.as_bytes()),
                _ => StrOff::NONE,
            };
            let name = string(*name);
            def.map_names(&mut string);
            def.map_ids(|old| numbers.get(&old).copied().unwrap_or(TypeId::VOID));
            out.push(name, def);
        }
        Ok((out.to_bytes()?, self.types.len() as u32))
    }
}
