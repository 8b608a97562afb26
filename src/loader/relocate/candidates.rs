//! Which types of the kernel a type of the object may stand for.
//!
//! Those of the same name and sort: `struct sock` for `struct sock`. A name's *flavour*, the part from
//! `___` on, does not count on either side, so that a program can describe one struct twice, as it was and
//! as it is (`sock`, `sock___old`). vmlinux is asked first, and modules only about what vmlinux lacks:
//! reading the BTF of all modules takes longer than everything else here.
//!
//! All names are looked up in one pass over the types, and kept. When a relocation finds that only some of
//! the candidates have its field, later relocations for that type see only those, as in libbpf.

use std::collections::HashMap;

use super::fault::{CoreFault, Side};
use crate::btf::{Btf, BtfKind, FindScope, KindSet, Type, TypeId, TypeQuery};
use crate::kernel::Kernel;

/// A type of the kernel.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) btf: &'a Btf,
    pub(super) id: TypeId,
    /// The module that has it; `None` for vmlinux.
    pub(super) module: Option<&'a str>,
}

/// The candidates of all types of an object that were asked for.
pub(super) struct Candidates<'a> {
    local: &'a Btf,
    kernel: &'a Kernel,
    known: HashMap<TypeId, Found<'a>>,
}

#[derive(Default)]
struct Found<'a> {
    candidates: Vec<Candidate<'a>>,
    /// Types of that name, but of another sort; for messages only.
    namesakes: Vec<Candidate<'a>>,
    /// Modules were searched as well, or need not be.
    complete: bool,
}

/// The kinds whose types have names that a message can say something about.
const NAMED: KindSet = KindSet::of(&[
    BtfKind::Int,
    BtfKind::Struct,
    BtfKind::Union,
    BtfKind::Enum,
    BtfKind::Fwd,
    BtfKind::Typedef,
    BtfKind::Float,
    BtfKind::Enum64,
]);

/// The kinds that a type of this kind can stand for: its own, and for an enumeration that of the other width.
pub(super) fn same_sort(kind: BtfKind) -> KindSet {
    match kind {
        BtfKind::Enum | BtfKind::Enum64 => KindSet::of(&[BtfKind::Enum, BtfKind::Enum64]),
        kind => kind.into(),
    }
}

impl<'a> Candidates<'a> {
    pub(super) fn new(local: &'a Btf, kernel: &'a Kernel) -> Candidates<'a> {
        Candidates { local, kernel, known: HashMap::new() }
    }

    /// Looks all these types up in vmlinux. Those that fail stay unknown.
    pub(super) fn prefetch(&mut self, ids: impl Iterator<Item = TypeId>) {
        let mut ids: Vec<TypeId> = ids.filter(|id| !self.known.contains_key(id)).collect();
        ids.sort_unstable();
        ids.dedup();
        let types: Vec<Type<'a>> = ids.into_iter().filter_map(|id| self.named(id).ok()).collect();
        if types.is_empty() || self.search(&types).is_ok() {
            return;
        }
        // One of them fails, perhaps because of a type that cannot be read: then each for itself.
        for ty in types {
            let _ = self.search(&[ty]);
        }
    }

    /// The candidates of a type of the object, in the order of their numbers.
    pub(super) fn of(&mut self, id: TypeId) -> Result<&[Candidate<'a>], CoreFault> {
        if !self.known.contains_key(&id) {
            let ty = self.named(id)?;
            self.search(&[ty])?;
        }
        if self.known.get(&id).is_some_and(|found| !found.complete && found.candidates.is_empty()) {
            self.search_modules()?;
        }
        Ok(self.known.get(&id).map_or(&[], |found| &found.candidates))
    }

    /// Leaves only these as candidates of a type.
    pub(super) fn keep(&mut self, id: TypeId, matched: Vec<Candidate<'a>>) {
        if let Some(found) = self.known.get_mut(&id) {
            found.candidates = matched;
        }
    }

    /// Types of the kernel that have the name of a type of the object, and are of another sort.
    pub(super) fn namesakes(&self, id: TypeId) -> &[Candidate<'a>] {
        self.known.get(&id).map_or(&[], |found| &found.namesakes)
    }

    /// A type of the object that can be searched for.
    fn named(&self, id: TypeId) -> Result<Type<'a>, CoreFault> {
        let ty = self.local.ty(id).map_err(Side::Program.fault())?;
        if ty.name.is_empty() { Err(CoreFault::Anonymous) } else { Ok(ty) }
    }

    fn search(&mut self, types: &[Type<'a>]) -> Result<(), CoreFault> {
        let btf: &'a Btf = self.kernel.core_btf().map_err(|e| CoreFault::NoBtf(Box::new(e)))?;
        let found = find(btf, FindScope::All, types)?;
        for (ty, ids) in types.iter().zip(found) {
            let entry = self.known.entry(ty.id).or_default();
            entry.add(ty, btf, None, ids);
        }
        Ok(())
    }

    /// Looks up in all modules what vmlinux lacks.
    fn search_modules(&mut self) -> Result<(), CoreFault> {
        let open = |found: &Found<'_>| !found.complete && found.candidates.is_empty();
        let mut ids: Vec<TypeId> =
            self.known.iter().filter(|(_, found)| open(found)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let types: Vec<Type<'a>> = ids.into_iter().filter_map(|id| self.named(id).ok()).collect();
        for module in self.kernel.core_modules() {
            let found = find(&module.btf, FindScope::Own, &types)?;
            for (ty, ids) in types.iter().zip(found) {
                let entry = self.known.entry(ty.id).or_default();
                entry.add(ty, &module.btf, Some(&module.name), ids);
            }
        }
        for ty in &types {
            self.known.entry(ty.id).or_default().complete = true;
        }
        Ok(())
    }
}

impl<'a> Found<'a> {
    fn add(&mut self, ty: &Type<'_>, btf: &'a Btf, module: Option<&'a str>, ids: Vec<TypeId>) {
        let sort = same_sort(ty.tag());
        for id in ids {
            let candidate = Candidate { btf, id, module };
            let fits = btf.ty(id).is_ok_and(|target| sort.contains(target.tag()));
            if fits { self.candidates.push(candidate) } else { self.namesakes.push(candidate) }
        }
    }
}

/// The types of each name, of the wanted sort or of one that a message may mention.
fn find(btf: &Btf, scope: FindScope, types: &[Type<'_>]) -> Result<Vec<Vec<TypeId>>, CoreFault> {
    let names: Vec<_> = types.iter().map(|ty| ty.name.to_str()).collect();
    let wanted: Vec<_> = types
        .iter()
        .zip(&names)
        .map(|(ty, name)| TypeQuery::essential(name, NAMED.union(same_sort(ty.tag()))))
        .collect();
    if scope == FindScope::All {
        btf.prefetch_types(&wanted);
    }
    btf.find_many(scope, &wanted).map_err(Side::Kernel.fault())
}
