//! Making BTF, and changing it.
//!
//! A [`BtfBuilder`] is a list of types that is still open: types can be added, looked at, replaced. Two
//! things never change while it is: a type keeps its number and a string keeps its offset. So BTF that
//! was read from an object can be changed and written again ([`BtfBuilder::edit`]), and whatever
//! refers to it from outside, `.BTF.ext` above all, stays right.

use super::kind::{BtfKind, FuncLinkage, IntEncoding, VarLinkage};
use super::name::until_nul;
use super::parse::{HEADER, MAGIC};
use super::types::{Array, Enumerators, FwdKind, Int, Kind, Member, Members, Type, Unknown};
use super::{Btf, BtfError, Name, StrOff, TypeId};
use crate::bytes::Endian;
use std::collections::HashMap;

/// A type that is being built: as [`Kind`], but owned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Def {
    /// An integer.
    Int(Int),
    /// A pointer.
    Ptr(TypeId),
    /// An array.
    Array(Array),
    /// A struct.
    Struct(Composite),
    /// A union.
    Union(Composite),
    /// An enumeration of 32-bit values.
    Enum(Values),
    /// An enumeration of 64-bit values.
    Enum64(Values),
    /// A forward declaration.
    Fwd(FwdKind),
    /// Another name for a type.
    Typedef(TypeId),
    /// A `volatile` type.
    Volatile(TypeId),
    /// A `const` type.
    Const(TypeId),
    /// A `restrict` pointer.
    Restrict(TypeId),
    /// A function.
    Func {
        /// Its `FuncProto`.
        proto: TypeId,
        /// Who can see it.
        linkage: FuncLinkage,
    },
    /// The type of a function.
    FuncProto {
        /// What it returns.
        ret: TypeId,
        /// Name and type of each argument.
        params: Vec<(StrOff, TypeId)>,
    },
    /// A variable.
    Var {
        /// Its type.
        ty: TypeId,
        /// Who can see it.
        linkage: VarLinkage,
    },
    /// An ELF section and its variables.
    Datasec {
        /// The size of the section in bytes.
        size: u32,
        /// The variables, in the order of their offsets.
        vars: Vec<super::Secinfo>,
    },
    /// A floating-point number of this many bytes.
    Float {
        /// Its size in bytes.
        size: u32,
    },
    /// A tag on a declaration.
    DeclTag {
        /// What is tagged.
        ty: TypeId,
        /// Which member or argument of it; `None` for all of it.
        component: Option<u32>,
        /// As in [`Kind::DeclTag`].
        attribute: bool,
    },
    /// A tag on a type.
    TypeTag {
        /// What is tagged.
        ty: TypeId,
        /// As in [`Kind::TypeTag`].
        attribute: bool,
    },
    /// A kind that is newer than this crate, word for word.
    Unknown {
        /// The `info` word: vlen, kind and kind flag.
        info: u32,
        /// The word after it.
        size_or_type: u32,
        /// The words that follow.
        rest: Vec<u32>,
    },
}

/// A struct or union that is being built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composite {
    /// Its size in bytes.
    pub size: u32,
    /// Member offsets carry bitfield sizes (`kind_flag`). It is set by itself when a member has one.
    pub bitfields: bool,
    /// The members, in the order of their declaration.
    pub members: Vec<MemberDef>,
}

/// A member that is being built, its name already in the string section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberDef {
    /// Its name; [`StrOff::NONE`] for an anonymous struct or union.
    pub name: StrOff,
    /// Its type.
    pub ty: TypeId,
    /// Where it starts, in bits.
    pub bit_offset: u32,
    /// How many bits a bitfield has; 0 for a member that is no bitfield.
    pub bit_size: u32,
}

/// An enumeration that is being built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Its size in bytes.
    pub size: u32,
    /// Whether the values are signed.
    pub signed: bool,
    /// Name and value of each; as many bits of a value as fit are written.
    pub values: Vec<(StrOff, i128)>,
}

/// A member to be added with [`BtfBuilder::composite`].
#[derive(Clone, Copy, Debug)]
pub struct NewMember<'n> {
    /// Its name; empty for an anonymous struct or union.
    pub name: &'n str,
    /// Its type.
    pub ty: TypeId,
    /// Where it starts, in bits.
    pub bit_offset: u32,
    /// How many bits a bitfield has; 0 for a member that is no bitfield.
    pub bit_size: u32,
}

impl<'n> NewMember<'n> {
    /// A member that is no bitfield, at `bit_offset` bits.
    pub fn at(name: &'n str, ty: TypeId, bit_offset: u32) -> NewMember<'n> {
        NewMember { name, ty, bit_offset, bit_size: 0 }
    }
}

/// BTF that is being made or changed.
///
/// ```
/// use rawbpf::btf::{Btf, BtfBuilder, BtfKind, IntEncoding, NewMember};
/// let mut b = BtfBuilder::new();
/// let u32_ = b.int("unsigned int", 4, IntEncoding::UNSIGNED);
/// let alias = b.typedef("__u32", u32_);
/// let key = b.composite(false, "key", 8, &[NewMember::at("saddr", alias, 0), NewMember::at("daddr", alias, 32)]);
/// let btf = Btf::parse(b.to_bytes()?)?;
/// assert_eq!(btf.find("key", BtfKind::Struct)?, key);
/// assert_eq!(btf.size_of(key)?, 8);
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BtfBuilder {
    endian: Endian,
    first_id: u32,
    first_str: u32,
    types: Vec<(StrOff, Def)>,
    strings: Vec<u8>,
    /// Where each string is; made when the first one is added.
    index: Option<HashMap<Vec<u8>, StrOff>>,
    layout: Vec<[u8; 4]>,
}

impl Default for BtfBuilder {
    fn default() -> BtfBuilder {
        BtfBuilder::new()
    }
}

impl BtfBuilder {
    /// An empty one, in the byte order of this machine.
    pub fn new() -> BtfBuilder {
        BtfBuilder::with_endian(Endian::NATIVE)
    }

    /// An empty one, in the given byte order.
    pub fn with_endian(endian: Endian) -> BtfBuilder {
        BtfBuilder { strings: vec![0], ..BtfBuilder::empty(endian, 1, 0) }
    }

    /// An empty one that continues `base`.
    pub fn split(base: &Btf) -> BtfBuilder {
        BtfBuilder::empty(base.endian(), base.type_count(), base.string_end())
    }

    fn empty(endian: Endian, first_id: u32, first_str: u32) -> BtfBuilder {
        BtfBuilder {
            endian,
            first_id,
            first_str,
            types: vec![],
            strings: vec![],
            index: None,
            layout: vec![],
        }
    }

    /// The own types and strings of `btf`, open for changes. The layout section is kept.
    ///
    /// # Errors
    /// A type that cannot be read.
    pub fn edit(btf: &Btf) -> Result<BtfBuilder, BtfError> {
        let mut out = BtfBuilder::empty(btf.endian(), btf.first_id().0, btf.first_str().0);
        out.strings = btf.own_strings().to_vec();
        out.layout = btf.own_layout().chunks_exact(4).filter_map(|row| row.first_chunk().copied()).collect();
        for ty in btf.iter_own() {
            let ty = ty?;
            out.types.push((ty.name.offset(), Def::of(&ty, btf.endian())));
        }
        btf.stopped().map_or(Ok(out), |stop| Err(stop.clone()))
    }

    /// Continues `base` from now on: all types get new numbers, and all strings new offsets. What refers
    /// to them is not changed.
    pub(super) fn rebase(&mut self, base: &Btf) {
        self.first_id = base.type_count();
        self.first_str = base.string_end();
        self.index = None;
    }

    /// Writes in another byte order from now on.
    pub fn set_endian(&mut self, endian: Endian) {
        self.endian = endian;
    }

    /// Drops the layout section, which kernels before 7.2 refuse.
    pub fn clear_layout(&mut self) {
        self.layout.clear();
    }

    /// The number that the next type will get.
    pub fn next_id(&self) -> TypeId {
        TypeId(self.first_id.saturating_add(self.types.len() as u32))
    }

    /// The numbers of the types so far.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (self.first_id..self.next_id().0).map(TypeId)
    }

    /// The offset of a string, which is added if it is not there yet. A NUL ends the string.
    pub fn string(&mut self, text: impl AsRef<[u8]>) -> StrOff {
        let text = until_nul(text.as_ref());
        if text.is_empty() {
            return StrOff::NONE;
        }
        let (strings, first) = (&mut self.strings, self.first_str);
        let index = self.index.get_or_insert_with(|| index(strings, first));
        if let Some(&off) = index.get(text) {
            return off;
        }
        let off = StrOff(first.saturating_add(strings.len() as u32));
        strings.extend_from_slice(text);
        strings.push(0);
        index.insert(text.to_vec(), off);
        off
    }

    /// The name at an offset of the own strings.
    pub fn name(&self, off: StrOff) -> Option<Name<'_>> {
        let own = off.0.checked_sub(self.first_str)? as usize;
        let tail = self.strings.get(own..).filter(|tail| !tail.is_empty())?;
        Some(Name::new(tail, off))
    }

    /// Adds a type under a name that is in the string section.
    pub fn push(&mut self, name: StrOff, def: Def) -> TypeId {
        let id = self.next_id();
        self.types.push((name, def));
        id
    }

    /// Adds a type.
    pub fn add(&mut self, name: &str, def: Def) -> TypeId {
        let name = self.string(name);
        self.push(name, def)
    }

    /// A type of this builder: its name and what it is.
    pub fn get(&self, id: TypeId) -> Option<&(StrOff, Def)> {
        self.types.get(id.0.checked_sub(self.first_id)? as usize)
    }

    /// A type of this builder, to be changed; its number stays.
    pub fn get_mut(&mut self, id: TypeId) -> Option<&mut (StrOff, Def)> {
        self.types.get_mut(id.0.checked_sub(self.first_id)? as usize)
    }

    /// Adds an integer of `size` bytes.
    #[doc(alias = "btf__add_int")]
    pub fn int(&mut self, name: &str, size: u32, encoding: IntEncoding) -> TypeId {
        let bits = u8::try_from(size.saturating_mul(8)).unwrap_or(u8::MAX);
        self.add(name, Def::Int(Int { size, bits, bit_offset: 0, encoding }))
    }

    /// Adds a pointer.
    #[doc(alias = "btf__add_ptr")]
    pub fn ptr(&mut self, to: TypeId) -> TypeId {
        self.push(StrOff::NONE, Def::Ptr(to))
    }

    /// Adds an array of `len` elements, indexed by the integer type `index`.
    #[doc(alias = "btf__add_array")]
    pub fn array(&mut self, elem: TypeId, index: TypeId, len: u32) -> TypeId {
        self.push(StrOff::NONE, Def::Array(Array { elem, index, len }))
    }

    /// Adds another name for a type.
    #[doc(alias = "btf__add_typedef")]
    pub fn typedef(&mut self, name: &str, ty: TypeId) -> TypeId {
        self.add(name, Def::Typedef(ty))
    }

    /// Adds a struct, or a union, of `size` bytes.
    #[doc(alias = "btf__add_struct")]
    #[doc(alias = "btf__add_field")]
    pub fn composite(&mut self, union: bool, name: &str, size: u32, members: &[NewMember<'_>]) -> TypeId {
        let mut out = Composite { size, bitfields: false, members: Vec::with_capacity(members.len()) };
        for m in members {
            let name = self.string(m.name);
            out.members.push(MemberDef { name, ty: m.ty, bit_offset: m.bit_offset, bit_size: m.bit_size });
        }
        self.add(name, if union { Def::Union(out) } else { Def::Struct(out) })
    }

    /// Adds an enumeration of `size` bytes; one of 8 bytes becomes an `ENUM64`. It is signed when a value
    /// is negative.
    #[doc(alias = "btf__add_enum")]
    #[doc(alias = "btf__add_enum64")]
    pub fn enumeration(&mut self, name: &str, size: u32, values: &[(&str, i128)]) -> TypeId {
        let signed = values.iter().any(|(_, value)| *value < 0);
        let values = values.iter().map(|(name, value)| (self.string(name), *value)).collect();
        let def = Values { size, signed, values };
        self.add(name, if size > 4 { Def::Enum64(def) } else { Def::Enum(def) })
    }

    /// Adds the type of a function.
    #[doc(alias = "btf__add_func_proto")]
    pub fn func_proto(&mut self, ret: TypeId, params: &[(&str, TypeId)]) -> TypeId {
        let params = params.iter().map(|(name, ty)| (self.string(name), *ty)).collect();
        self.push(StrOff::NONE, Def::FuncProto { ret, params })
    }

    /// Adds a function.
    #[doc(alias = "btf__add_func")]
    pub fn func(&mut self, name: &str, proto: TypeId, linkage: FuncLinkage) -> TypeId {
        self.add(name, Def::Func { proto, linkage })
    }

    /// Adds a variable.
    #[doc(alias = "btf__add_var")]
    pub fn var(&mut self, name: &str, ty: TypeId, linkage: VarLinkage) -> TypeId {
        self.add(name, Def::Var { ty, linkage })
    }

    /// Adds a section of `size` bytes with its variables.
    #[doc(alias = "btf__add_datasec")]
    pub fn datasec(&mut self, name: &str, size: u32, vars: &[super::Secinfo]) -> TypeId {
        self.add(name, Def::Datasec { size, vars: vars.to_vec() })
    }

    /// The BTF as bytes: header, types, layout if there is one, strings.
    ///
    /// # Errors
    /// A list is too long for its length field, or a member lies too far out for a bitfield.
    #[doc(alias = "btf__raw_data")]
    pub fn to_bytes(&self) -> Result<Vec<u8>, BtfError> {
        let with_layout = !self.layout.is_empty();
        let header = if with_layout { HEADER + 8 } else { HEADER };
        let mut out = Writer { out: vec![0; header], endian: self.endian };
        for (id, (name, def)) in self.ids().zip(&self.types) {
            def.write(id, *name, &mut out)?;
        }
        let types = out.out.len().saturating_sub(header);
        for &[fixed, each, lo, hi] in &self.layout {
            out.out.extend([fixed, each, lo, hi]);
        }
        let strings_at = out.out.len().saturating_sub(header);
        out.out.extend_from_slice(&self.strings);
        let fit = |value: usize| {
            let large =
                BtfError::TooLarge { id: self.next_id(), what: "the BTF up to the end", value: value as u64 };
            u32::try_from(value).map_err(|_| large)
        };
        fit(out.out.len())?;
        let mut head = Writer { out: Vec::with_capacity(header), endian: self.endian };
        head.out.extend(self.endian.put_u16(MAGIC));
        head.out.extend([1, 0]);
        for word in [header, 0, types, strings_at, self.strings.len()] {
            head.word(fit(word)?);
        }
        if with_layout {
            head.word(fit(types)?);
            head.word(fit(self.layout.len().saturating_mul(4))?);
        }
        if let Some(place) = out.out.get_mut(..header) {
            place.copy_from_slice(&head.out);
        }
        Ok(out.out)
    }
}

/// Where each string of a section is; of equal ones, the first.
fn index(strings: &[u8], first: u32) -> HashMap<Vec<u8>, StrOff> {
    let mut out = HashMap::new();
    let mut at = 0usize;
    for text in strings.split(|&b| b == 0) {
        out.entry(text.to_vec()).or_insert(StrOff(first.saturating_add(at as u32)));
        at = at.saturating_add(text.len()).saturating_add(1);
    }
    out
}

/// Words in a byte order.
struct Writer {
    out: Vec<u8>,
    endian: Endian,
}

impl Writer {
    fn word(&mut self, word: u32) {
        self.out.extend(self.endian.put_u32(word));
    }

    fn words<const N: usize>(&mut self, words: [u32; N]) {
        for word in words {
            self.word(word);
        }
    }
}

impl Def {
    /// Replaces every type that it refers to.
    pub fn map_ids(&mut self, f: impl Fn(TypeId) -> TypeId) {
        let set = |id: &mut TypeId| *id = f(*id);
        match self {
            Def::Ptr(to) | Def::Typedef(to) | Def::Volatile(to) | Def::Const(to) | Def::Restrict(to) => {
                set(to)
            }
            Def::Func { proto: to, .. } | Def::Var { ty: to, .. } => set(to),
            Def::DeclTag { ty: to, .. } | Def::TypeTag { ty: to, .. } => set(to),
            Def::Array(array) => {
                set(&mut array.elem);
                set(&mut array.index);
            }
            Def::Struct(def) | Def::Union(def) => def.members.iter_mut().for_each(|m| set(&mut m.ty)),
            Def::FuncProto { ret, params } => {
                set(ret);
                params.iter_mut().for_each(|(_, ty)| set(ty));
            }
            Def::Datasec { vars, .. } => vars.iter_mut().for_each(|var| set(&mut var.ty)),
            Def::Int(_)
            | Def::Enum(_)
            | Def::Enum64(_)
            | Def::Fwd(_)
            | Def::Float { .. }
            | Def::Unknown { .. } => {}
        }
    }

    /// Replaces the name of every member, argument and enumerator.
    pub fn map_names(&mut self, mut f: impl FnMut(StrOff) -> StrOff) {
        match self {
            Def::Struct(def) | Def::Union(def) => def.members.iter_mut().for_each(|m| m.name = f(m.name)),
            Def::Enum(def) | Def::Enum64(def) => def.values.iter_mut().for_each(|(name, _)| *name = f(*name)),
            Def::FuncProto { params, .. } => params.iter_mut().for_each(|(name, _)| *name = f(*name)),
            _ => {}
        }
    }

    /// What a type is, owned.
    fn of(ty: &Type<'_>, endian: Endian) -> Def {
        match ty.kind {
            Kind::Int(int) => Def::Int(int),
            Kind::Ptr(to) => Def::Ptr(to),
            Kind::Array(array) => Def::Array(array),
            Kind::Struct(members) => Def::Struct(Composite::of(members)),
            Kind::Union(members) => Def::Union(Composite::of(members)),
            Kind::Enum(values) => Def::Enum(Values::of(values)),
            Kind::Enum64(values) => Def::Enum64(Values::of(values)),
            Kind::Fwd(kind) => Def::Fwd(kind),
            Kind::Typedef(to) => Def::Typedef(to),
            Kind::Volatile(to) => Def::Volatile(to),
            Kind::Const(to) => Def::Const(to),
            Kind::Restrict(to) => Def::Restrict(to),
            Kind::Func { proto, linkage } => Def::Func { proto, linkage },
            Kind::FuncProto(params) => {
                let list = params.iter().map(|p| (p.name.offset(), p.ty)).collect();
                Def::FuncProto { ret: params.ret(), params: list }
            }
            Kind::Var { ty, linkage } => Def::Var { ty, linkage },
            Kind::Datasec(vars) => Def::Datasec { size: vars.size, vars: vars.iter().collect() },
            Kind::Float { size } => Def::Float { size },
            Kind::DeclTag { ty, component, attribute } => Def::DeclTag { ty, component, attribute },
            Kind::TypeTag { ty, attribute } => Def::TypeTag { ty, attribute },
            Kind::Unknown(Unknown { info, size_or_type, rest, .. }) => {
                let words = rest.chunks_exact(4).filter_map(|w| w.first_chunk()).map(|w| endian.u32(*w));
                Def::Unknown { info, size_or_type, rest: words.collect() }
            }
            // `void` has no record; nothing hands one out.
            Kind::Void => Def::Unknown { info: 0, size_or_type: 0, rest: vec![] },
        }
    }

    fn write(&self, id: TypeId, name: StrOff, out: &mut Writer) -> Result<(), BtfError> {
        let mut head = |kind: BtfKind, flag: bool, vlen: usize, word: u32| {
            let large = BtfError::TooLarge { id, what: "the number of elements", value: vlen as u64 };
            let vlen = u32::try_from(vlen).ok().filter(|n| *n <= 0xff_ffff).ok_or(large)?;
            out.words([name.0, u32::from(flag) << 31 | u32::from(kind.0) << 24 | vlen, word]);
            Ok::<(), BtfError>(())
        };
        match self {
            Def::Int(int) => {
                head(BtfKind::Int, false, 0, int.size)?;
                let [encoding, offset, bits] = [int.encoding.0, int.bit_offset, int.bits].map(u32::from);
                out.word(encoding << 24 | offset << 16 | bits);
            }
            Def::Ptr(to) => head(BtfKind::Ptr, false, 0, to.0)?,
            Def::Array(array) => {
                head(BtfKind::Array, false, 0, 0)?;
                out.words([array.elem.0, array.index.0, array.len]);
            }
            Def::Struct(def) | Def::Union(def) => {
                let kind = if matches!(self, Def::Union(_)) { BtfKind::Union } else { BtfKind::Struct };
                let flag = def.bitfields || def.members.iter().any(|m| m.bit_size != 0);
                head(kind, flag, def.members.len(), def.size)?;
                for m in &def.members {
                    out.words([m.name.0, m.ty.0, m.offset_word(id, flag)?]);
                }
            }
            Def::Enum(def) => {
                head(BtfKind::Enum, def.signed, def.values.len(), def.size)?;
                for (name, value) in &def.values {
                    out.words([name.0, *value as u32]);
                }
            }
            Def::Enum64(def) => {
                head(BtfKind::Enum64, def.signed, def.values.len(), def.size)?;
                for (name, value) in &def.values {
                    out.words([name.0, *value as u32, (*value >> 32) as u32]);
                }
            }
            Def::Fwd(kind) => head(BtfKind::Fwd, *kind == FwdKind::Union, 0, 0)?,
            Def::Typedef(to) => head(BtfKind::Typedef, false, 0, to.0)?,
            Def::Volatile(to) => head(BtfKind::Volatile, false, 0, to.0)?,
            Def::Const(to) => head(BtfKind::Const, false, 0, to.0)?,
            Def::Restrict(to) => head(BtfKind::Restrict, false, 0, to.0)?,
            Def::Func { proto, linkage } => head(BtfKind::Func, false, linkage.0 as usize, proto.0)?,
            Def::FuncProto { ret, params } => {
                head(BtfKind::FuncProto, false, params.len(), ret.0)?;
                for (name, ty) in params {
                    out.words([name.0, ty.0]);
                }
            }
            Def::Var { ty, linkage } => {
                head(BtfKind::Var, false, 0, ty.0)?;
                out.word(linkage.0);
            }
            Def::Datasec { size, vars } => {
                head(BtfKind::Datasec, false, vars.len(), *size)?;
                for var in vars {
                    out.words([var.ty.0, var.offset, var.size]);
                }
            }
            Def::Float { size } => head(BtfKind::Float, false, 0, *size)?,
            Def::DeclTag { ty, component, attribute } => {
                head(BtfKind::DeclTag, *attribute, 0, ty.0)?;
                out.word(component.unwrap_or(u32::MAX));
            }
            Def::TypeTag { ty, attribute } => head(BtfKind::TypeTag, *attribute, 0, ty.0)?,
            Def::Unknown { info, size_or_type, rest } => {
                out.words([name.0, *info, *size_or_type]);
                rest.iter().for_each(|word| out.word(*word));
            }
        }
        Ok(())
    }
}

impl Composite {
    fn of(members: Members<'_>) -> Composite {
        let def = |m: Member<'_>| MemberDef {
            name: m.name.offset(),
            ty: m.ty,
            bit_offset: m.bit_offset,
            bit_size: m.bit_size,
        };
        Composite { size: members.size, bitfields: members.flag, members: members.iter().map(def).collect() }
    }
}

impl Values {
    fn of(values: Enumerators<'_>) -> Values {
        let list = values.iter().map(|v| (v.name.offset(), v.value)).collect();
        Values { size: values.size, signed: values.flag, values: list }
    }
}

impl MemberDef {
    /// The third word of a member: 24 bits of offset and 8 of size, or 32 of offset.
    fn offset_word(&self, id: TypeId, flag: bool) -> Result<u32, BtfError> {
        if !flag {
            return Ok(self.bit_offset);
        }
        let fits = self.bit_offset <= 0xff_ffff && self.bit_size <= 0xff;
        let what = "the offset or size of a bitfield";
        let large = BtfError::TooLarge { id, what, value: self.bit_offset.into() };
        if fits { Ok(self.bit_size << 24 | self.bit_offset) } else { Err(large) }
    }
}
