//! Moving split BTF from a distilled base to the real one.
//!
//! The BTF of a kernel module refers to types of vmlinux by number, and the numbers change with every
//! build of the kernel. A module that is built apart from it therefore carries a *distilled base* (the ELF
//! section `.BTF.base`, Linux 6.11): the name, kind and size of each type of vmlinux that it refers to. To
//! use the module's types, each of these is looked up in the BTF of the running kernel:
//!
//! ```text
//!   .BTF.base        [1] INT 'int' size=4       [2] STRUCT 'sk_buff' size=232 vlen=0
//!   .BTF (split)     [3] PTR type_id=2 ...
//!                         │ relocate
//!   vmlinux          [12] INT 'int'  ...  [4711] STRUCT 'sk_buff' size=232 vlen=28
//!   .BTF (split)     [126573] PTR type_id=4711 ...
//! ```
//!
//! A struct that the module holds by value must have the size that it was compiled with; one that is only
//! pointed to may have grown.

use super::build::BtfBuilder;
use super::find::{FindScope, TypeQuery};
use super::resolve::MAX_CHAIN;
use super::types::{FwdKind, Kind, Type};
use super::{Btf, BtfError, BtfKind, KindSet, StrOff, TypeId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a distilled base may hold.
const DISTILLED: KindSet = KindSet::of(&[
    BtfKind::Int,
    BtfKind::Float,
    BtfKind::Enum,
    BtfKind::Struct,
    BtfKind::Union,
    BtfKind::Fwd,
]);

const COMPOSITE: KindSet = KindSet::of(&[BtfKind::Struct, BtfKind::Union]);

impl Btf {
    /// Moves split BTF whose base is a distilled one to the real base: a copy in which every reference
    /// is to the types of `base`. Type `n` of the split BTF becomes `n - old base + new base`.
    ///
    /// # Errors
    /// This BTF has no base, the base is no distilled one, or `base` has no type, or several, for one of
    /// its types.
    #[doc(alias = "btf__relocate")]
    pub fn relocate(&self, base: &Arc<Btf>) -> Result<Btf, BtfError> {
        let Some(distilled) = self.base() else {
            return Err(BtfError::Relocate {
                id: TypeId::VOID,
                name: String::new(),
                why: "this BTF is not split",
            });
        };
        let map = Map::new(self, distilled, base)?;
        let mut out = BtfBuilder::edit(self)?;
        out.rebase(base);
        for id in self.own_ids() {
            let moved = map.own(id);
            let Some((name, def)) = out.get(moved).cloned() else { continue };
            let name = map.string(&mut out, distilled, name);
            let mut def = def;
            def.map_names(|name| map.string(&mut out, distilled, name));
            def.map_ids(|id| map.id(id));
            if let Some(place) = out.get_mut(moved) {
                *place = (name, def);
            }
        }
        Btf::parse_split(out.to_bytes()?, Arc::clone(base))
    }

    fn own_ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (self.first_id().0..self.type_count()).map(TypeId)
    }
}

/// Where each type of the distilled base went, and each string.
struct Map {
    ids: Vec<TypeId>,
    first_own: u32,
    new_first: u32,
    names: HashMap<StrOff, StrOff>,
    first_str: u32,
    new_first_str: u32,
}

impl Map {
    fn new(split: &Btf, distilled: &Btf, base: &Btf) -> Result<Map, BtfError> {
        let types = distilled.iter().collect::<Result<Vec<_>, _>>()?;
        for ty in &types {
            let why = "a distilled base has only named numbers, enumerations, structs and unions";
            if ty.name.is_empty() || !DISTILLED.contains(ty.tag()) {
                return Err(BtfError::Relocate { id: ty.id, name: ty.name.to_string(), why });
            }
        }
        let embedded = embedded(split)?;
        let names: Vec<_> = types.iter().map(|ty| ty.name.to_str()).collect();
        let wanted: Vec<_> =
            names.iter().zip(&types).map(|(name, ty)| TypeQuery::named(name, counterparts(ty))).collect();
        let found = base.find_many(FindScope::All, &wanted)?;
        let mut map = Map {
            ids: vec![TypeId::VOID],
            first_own: split.first_id().0,
            new_first: base.type_count(),
            names: HashMap::new(),
            first_str: split.first_str().0,
            new_first_str: base.string_end(),
        };
        for (ty, candidates) in types.iter().zip(found) {
            let new = choose(ty, base, &candidates, embedded.contains(&ty.id))?;
            map.ids.push(new.id);
            map.names.insert(ty.name.offset(), new.name.offset());
        }
        Ok(map)
    }

    fn own(&self, id: TypeId) -> TypeId {
        TypeId(id.0.saturating_sub(self.first_own).saturating_add(self.new_first))
    }

    fn id(&self, id: TypeId) -> TypeId {
        self.ids.get(id.0 as usize).copied().unwrap_or_else(|| self.own(id))
    }

    /// Own strings move with their section; those of the distilled base are found in the new base, or
    /// added if it does not have them.
    fn string(&self, out: &mut BtfBuilder, distilled: &Btf, off: StrOff) -> StrOff {
        if off == StrOff::NONE {
            return off;
        }
        match (off.0.checked_sub(self.first_str), self.names.get(&off)) {
            (Some(own), _) => StrOff(own.saturating_add(self.new_first_str)),
            (None, Some(new)) => *new,
            (None, None) => out.string(distilled.name(off).map(|n| n.as_bytes()).unwrap_or_default()),
        }
    }
}

/// The kinds that can take the place of a distilled type.
fn counterparts(ty: &Type<'_>) -> KindSet {
    match ty.kind {
        // An enumeration is distilled to its size.
        Kind::Enum(_) => KindSet::of(&[BtfKind::Enum, BtfKind::Enum64]),
        Kind::Fwd(FwdKind::Struct) => KindSet::of(&[BtfKind::Fwd, BtfKind::Struct]),
        Kind::Fwd(FwdKind::Union) => KindSet::of(&[BtfKind::Fwd, BtfKind::Union]),
        Kind::Struct(_) | Kind::Union(_) => KindSet::of(&[ty.tag(), BtfKind::Fwd]),
        _ => ty.tag().into(),
    }
}

/// The one candidate that stands for a distilled type.
fn choose<'b>(
    ty: &Type<'_>,
    base: &'b Btf,
    candidates: &[TypeId],
    embedded: bool,
) -> Result<Type<'b>, BtfError> {
    let fail = |why| BtfError::Relocate { id: ty.id, name: ty.name.to_string(), why };
    let all = candidates.iter().map(|id| base.ty(*id)).collect::<Result<Vec<_>, _>>()?;
    let complete: Vec<_> = all.iter().filter(|c| COMPOSITE.contains(c.tag())).collect();
    let fits = |c: &Type<'_>| match (ty.kind, c.kind) {
        (Kind::Int(a), Kind::Int(b)) => a.size == b.size && a.encoding == b.encoding,
        (Kind::Float { size: a }, Kind::Float { size: b }) => a == b,
        (Kind::Enum(a), Kind::Enum(b) | Kind::Enum64(b)) => a.size == b.size,
        (Kind::Fwd(a), Kind::Fwd(b)) => a == b && complete.is_empty(),
        (Kind::Fwd(_), _) => true,
        // Of several structs of one name, and of one that is held by value, the size must be right.
        (Kind::Struct(a) | Kind::Union(a), Kind::Struct(b) | Kind::Union(b)) => {
            a.size == b.size || (!embedded && complete.len() == 1)
        }
        (Kind::Struct(_), Kind::Fwd(b)) => b == FwdKind::Struct && complete.is_empty() && !embedded,
        (Kind::Union(_), Kind::Fwd(b)) => b == FwdKind::Union && complete.is_empty() && !embedded,
        _ => false,
    };
    let mut fitting = all.iter().filter(|c| fits(c));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(*one),
        (Some(_), Some(_)) => Err(fail("the kernel has several types of this name and size")),
        (None, _) if all.is_empty() => Err(fail("the kernel has no type of this name and kind")),
        (None, _) => Err(fail("the kernel's type of this name has another size or encoding")),
    }
}

/// The types of the base that the structs of split BTF hold by value.
fn embedded(split: &Btf) -> Result<HashSet<TypeId>, BtfError> {
    let mut out = HashSet::new();
    for ty in split.iter_own() {
        for member in ty?.members().into_iter().flatten() {
            let mut at = split.skip_mods_and_typedefs(member.ty)?;
            for _ in 0..MAX_CHAIN {
                let Kind::Array(array) = at.kind else { break };
                at = split.skip_mods_and_typedefs(array.elem)?;
            }
            if at.members().is_some() && at.id < split.first_id() {
                out.insert(at.id);
            }
        }
    }
    Ok(out)
}
