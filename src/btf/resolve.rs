//! What follows from a type: what is under its qualifiers, how large it is, where a member lies.

use super::{Btf, BtfError, BtfKind, Kind, KindSet, Member, Type, TypeId};

/// How many qualifiers, typedefs and arrays may stand between a name and what it means. The longest
/// chain of a Linux kernel is below 10.
pub(super) const MAX_CHAIN: u32 = 32;

/// `const`, `volatile`, `restrict` and type tags.
pub(super) const MODIFIERS: KindSet =
    KindSet::of(&[BtfKind::Const, BtfKind::Volatile, BtfKind::Restrict, BtfKind::TypeTag]);

/// [`MODIFIERS`] and typedefs.
pub(super) const ALIASES: KindSet = MODIFIERS.union(KindSet::of(&[BtfKind::Typedef]));

/// The ways to spell the one integer type that is as long as a pointer.
const LONG: [&str; 11] = [
    "long",
    "unsigned long",
    "long unsigned int",
    "long int",
    "int long",
    "long unsigned",
    "unsigned long int",
    "unsigned int long",
    "long int unsigned",
    "int unsigned long",
    "int long unsigned",
];

/// Where a member lies, as [`Btf::field`] finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "Field")]
pub struct BtfField {
    /// The type of the member, qualifiers and typedefs included.
    pub ty: TypeId,
    /// Where it starts, in bits from the start of the outer struct.
    pub bit_offset: u64,
    /// How many bits a bitfield has; 0 for a member that is no bitfield.
    pub bit_size: u32,
}

impl Btf {
    /// The size of a pointer in bytes: 4 if the BTF has a 4-byte `long`, else 8, as in all BPF objects.
    pub fn pointer_size(&self) -> u32 {
        let size = self.pointer_size.get_or_init(|| {
            if let Some(base) = self.base() {
                return base.pointer_size() as u8;
            }
            let longs = |t: &Type<'_>| LONG.iter().any(|name| t.name == *name);
            let sizes = |t: Type<'_>| match t.kind {
                Kind::Int(int) if matches!(int.size, 4 | 8) && longs(&t) => Some(int.size as u8),
                _ => None,
            };
            let ints = (1..self.type_count())
                .map(TypeId)
                .filter(|&id| self.head(id).is_some_and(|h| h.kind() == BtfKind::Int));
            ints.filter_map(|id| self.ty(id).ok()).find_map(sizes).unwrap_or(8)
        });
        (*size).into()
    }

    /// The type under `const`, `volatile`, `restrict` and type tags.
    ///
    /// # Errors
    /// A broken reference, or a chain without an end.
    pub fn skip_mods(&self, id: TypeId) -> Result<Type<'_>, BtfError> {
        self.skip(id, MODIFIERS)
    }

    /// The type under `const`, `volatile`, `restrict`, type tags and typedefs.
    ///
    /// # Errors
    /// A broken reference, or a chain without an end.
    pub fn skip_mods_and_typedefs(&self, id: TypeId) -> Result<Type<'_>, BtfError> {
        self.skip(id, ALIASES)
    }

    /// The type that a variable, typedef or qualifier stands for.
    ///
    /// # Errors
    /// A broken reference, or a chain without an end.
    #[doc(alias = "btf__resolve_type")]
    pub fn resolve(&self, id: TypeId) -> Result<Type<'_>, BtfError> {
        self.skip(id, ALIASES.union(KindSet::of(&[BtfKind::Var])))
    }

    fn skip(&self, id: TypeId, kinds: KindSet) -> Result<Type<'_>, BtfError> {
        self.skip_id(id, kinds).and_then(|id| self.ty(id))
    }

    /// The first type on the chain that is of none of these kinds; it may not exist.
    pub(super) fn skip_id(&self, id: TypeId, kinds: KindSet) -> Result<TypeId, BtfError> {
        let mut at = id;
        for _ in 0..=MAX_CHAIN {
            match self.head(at) {
                Some(head) if kinds.contains(head.kind()) => at = TypeId(head.word),
                _ => return Ok(at),
            }
        }
        Err(BtfError::TooDeep { id, limit: MAX_CHAIN })
    }

    /// The size of a value of this type, in bytes.
    ///
    /// # Errors
    /// The type has no size (`void`, a function, a forward declaration), or one above 4 GiB.
    #[doc(alias = "btf__resolve_size")]
    pub fn size_of(&self, id: TypeId) -> Result<u32, BtfError> {
        let mut count = 1u64;
        let mut at = id;
        for _ in 0..=MAX_CHAIN {
            let ty = self.resolve(at)?;
            let size = match ty.kind {
                Kind::Int(int) => int.size,
                Kind::Struct(m) | Kind::Union(m) => m.size,
                Kind::Enum(values) | Kind::Enum64(values) => values.size,
                Kind::Datasec(vars) => vars.size,
                Kind::Float { size } => size,
                Kind::Ptr(_) => self.pointer_size(),
                Kind::DeclTag { ty, .. } => {
                    at = ty;
                    continue;
                }
                Kind::Array(array) => {
                    count = self.fit(id, "the number of elements", count, array.len)?.into();
                    at = array.elem;
                    continue;
                }
                _ => return Err(self.wrong_kind(&ty, "size")),
            };
            return self.fit(id, "the size", count, size);
        }
        Err(BtfError::TooDeep { id, limit: MAX_CHAIN })
    }

    fn fit(&self, id: TypeId, what: &'static str, count: u64, each: u32) -> Result<u32, BtfError> {
        let value = count.saturating_mul(each.into());
        u32::try_from(value).map_err(|_| BtfError::TooLarge { id, what, value })
    }

    /// The alignment that a compiler gives this type unless told otherwise, in bytes; 1 for a struct
    /// whose members are not where their own alignment would put them, which therefore must be packed.
    ///
    /// # Errors
    /// The type has no alignment (`void`, a function, a forward declaration).
    #[doc(alias = "btf__align_of")]
    pub fn align_of(&self, id: TypeId) -> Result<u32, BtfError> {
        let mut left = self.type_count().saturating_mul(4).max(1024);
        self.align(id, 0, &mut left)
    }

    /// `depth` bounds the nesting, `left` the work: a struct of hostile BTF can hold itself many times over.
    fn align(&self, id: TypeId, depth: u32, left: &mut u32) -> Result<u32, BtfError> {
        step(left, id, depth)?;
        let ty = self.resolve(id)?;
        let natural = |size: u32| {
            let most = if self.pointer_size() == 8 { 16 } else { 4 };
            // A number of odd size (an 80-bit float of 12 bytes) is aligned like its largest part.
            let part = if size == 0 { 1 } else { 1 << size.trailing_zeros() };
            part.min(most)
        };
        match ty.kind {
            Kind::Int(int) => Ok(natural(int.size)),
            Kind::Enum(values) | Kind::Enum64(values) => Ok(natural(values.size)),
            Kind::Float { size } => Ok(natural(size)),
            Kind::Ptr(_) => Ok(self.pointer_size()),
            Kind::Array(array) => self.align(array.elem, depth.saturating_add(1), left),
            Kind::Struct(members) | Kind::Union(members) => {
                let mut most = 1;
                for m in members {
                    let align = self.align(m.ty, depth.saturating_add(1), left)?;
                    if !m.is_bitfield() && m.bit_offset % align.saturating_mul(8) != 0 {
                        return Ok(1);
                    }
                    most = most.max(align);
                }
                Ok(if members.size % most == 0 { most } else { 1 })
            }
            _ => Err(self.wrong_kind(&ty, "alignment")),
        }
    }

    pub(super) fn wrong_kind(&self, ty: &Type<'_>, what: &'static str) -> BtfError {
        BtfError::WrongKind { id: ty.id, name: ty.name.to_string(), kind: ty.tag(), what }
    }

    /// Finds a member by a path such as `a.b[2].c`, through anonymous structs and unions.
    ///
    /// A path goes through arrays and embedded structs, and never through a pointer. It may start with
    /// an index (`[1].a`), if the type is an array. An index past the end is an error, except for
    /// a flexible array.
    ///
    /// # Errors
    /// The path is malformed, there is no such member, or the types do not fit.
    pub fn field(&self, id: TypeId, path: &str) -> Result<BtfField, BtfError> {
        let mut field = BtfField { ty: id, bit_offset: 0, bit_size: 0 };
        for step in Step::split(path) {
            let ty = self.resolve(field.ty)?;
            let fail = |why| Err(BtfError::Path { path: path.into(), at: step.text().into(), why });
            match (step, ty.kind) {
                (Step::Bad(_), _) => return fail("expected `name`, `.name` or `[number]`"),
                (Step::Index(index, _), Kind::Array(array)) => {
                    if array.len != 0 && index >= array.len {
                        return fail("the index is past the end of the array");
                    }
                    let bits = u64::from(self.size_of(array.elem)?).saturating_mul(8);
                    let offset = bits.saturating_mul(index.into()).saturating_add(field.bit_offset);
                    field = BtfField { ty: array.elem, bit_offset: offset, bit_size: 0 };
                }
                (Step::Index(..), _) => return fail("this is not an array"),
                (Step::Name(_), Kind::Ptr(_)) => return fail("this is a member behind a pointer"),
                (Step::Name(name), Kind::Struct(_) | Kind::Union(_)) => match self.member(&ty, name)? {
                    Some((inner, m)) => {
                        let bit_offset =
                            field.bit_offset.saturating_add(inner).saturating_add(m.bit_offset.into());
                        field = BtfField { ty: m.ty, bit_offset, bit_size: m.bit_size };
                    }
                    None => return Err(self.no_member(&ty, name, path)),
                },
                (Step::Name(_), _) => return fail("this is not a struct or union"),
            }
        }
        Ok(field)
    }

    /// Finds a member by its name, also in anonymous members; with it, where the anonymous member that
    /// it is in starts, in bits.
    pub fn member<'a>(&'a self, ty: &Type<'a>, name: &str) -> Result<Option<(u64, Member<'a>)>, BtfError> {
        let mut left = self.type_count().saturating_mul(4).max(1024);
        self.member_in(ty, name, 0, 0, &mut left)
    }

    fn member_in<'a>(
        &'a self,
        ty: &Type<'a>,
        name: &str,
        start: u64,
        depth: u32,
        left: &mut u32,
    ) -> Result<Option<(u64, Member<'a>)>, BtfError> {
        for m in ty.members().into_iter().flatten() {
            if m.name == name {
                return Ok(Some((start, m)));
            }
            if m.name.is_empty() {
                step(left, ty.id, depth)?;
                let inner = self.skip_mods_and_typedefs(m.ty)?;
                let at = start.saturating_add(m.bit_offset.into());
                let found = self.member_in(&inner, name, at, depth.saturating_add(1), left)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        Ok(None)
    }

    fn no_member(&self, ty: &Type<'_>, member: &str, path: &str) -> BtfError {
        let members = ty.members().into_iter().flatten().filter(|m| !m.name.is_empty());
        let word = if ty.tag() == BtfKind::Union { "union" } else { "struct" };
        BtfError::NoMember {
            ty: if ty.name.is_empty() {
                format!("{word} (anonymous)")
            } else {
                format!("{word} {}", ty.name)
            },
            member: member.into(),
            path: path.into(),
            members: members.map(|m| m.name.to_string()).collect(),
        }
    }
}

/// Counts a step of a search that hostile BTF could make endless, or deeper than any real type.
pub(super) fn step(left: &mut u32, id: TypeId, depth: u32) -> Result<(), BtfError> {
    if *left == 0 || depth > MAX_CHAIN {
        return Err(BtfError::TooDeep { id, limit: MAX_CHAIN });
    }
    *left = left.saturating_sub(1);
    Ok(())
}

/// A step of a path to a member.
#[derive(Clone, Copy)]
enum Step<'p> {
    Name(&'p str),
    Index(u32, &'p str),
    Bad(&'p str),
}

impl<'p> Step<'p> {
    /// The steps of `a.b[2].c`: `a`, `b`, `[2]`, `c`.
    fn split(path: &'p str) -> impl Iterator<Item = Step<'p>> {
        let mut rest = path;
        std::iter::from_fn(move || {
            let (step, tail) = Step::first(rest)?;
            rest = tail;
            Some(step)
        })
    }

    fn first(path: &'p str) -> Option<(Step<'p>, &'p str)> {
        if path.is_empty() {
            return None;
        }
        if let Some(inside) = path.strip_prefix('[') {
            let Some((digits, tail)) = inside.split_once(']') else { return Some((Step::Bad(path), "")) };
            let tail_ok = tail.is_empty() || tail.starts_with(['.', '[']);
            return Some(match digits.trim().parse() {
                Ok(index) if tail_ok => (Step::Index(index, digits), tail),
                _ => (Step::Bad(path), ""),
            });
        }
        let name = path.strip_prefix('.').unwrap_or(path);
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, tail) = name.split_at_checked(end).unwrap_or((name, ""));
        Some(if name.is_empty() { (Step::Bad(path), "") } else { (Step::Name(name), tail) })
    }

    fn text(self) -> &'p str {
        match self {
            Step::Name(text) | Step::Index(_, text) | Step::Bad(text) => text,
        }
    }
}
