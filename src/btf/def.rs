//! Types that are being built, and how they are written.

use super::kind::{BtfKind, FuncLinkage, VarLinkage};
use super::list::{Enumerators, Member, Members, Secinfo};
use super::types::{Array, FwdKind, Int, Kind, Type, Unknown};
use super::{BtfError, StrOff, TypeId};
use crate::bytes::Endian;

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
        vars: Vec<Secinfo>,
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

/// Words in a byte order.
pub(super) struct Writer {
    pub out: Vec<u8>,
    pub endian: Endian,
}

impl Writer {
    pub(super) fn word(&mut self, word: u32) {
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
    pub(super) fn of(ty: &Type<'_>, endian: Endian) -> Def {
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

    pub(super) fn write(&self, id: TypeId, name: StrOff, out: &mut Writer) -> Result<(), BtfError> {
        if let Def::Unknown { info, size_or_type, rest } = self {
            out.words([name.0, *info, *size_or_type]);
            rest.iter().for_each(|word| out.word(*word));
            return Ok(());
        }
        let (kind, flag, elements, word) = self.head();
        let large = BtfError::TooLarge { id, what: "the number of elements", value: elements as u64 };
        let vlen = u32::try_from(elements).ok().filter(|n| *n <= 0xff_ffff).ok_or(large)?;
        out.words([name.0, u32::from(flag) << 31 | u32::from(kind.0) << 24 | vlen, word]);
        self.write_elements(id, flag, out)
    }

    /// Kind, flag, number of elements, and the size or type that the head of a record has.
    fn head(&self) -> (BtfKind, bool, usize, u32) {
        match self {
            Def::Int(int) => (BtfKind::Int, false, 0, int.size),
            Def::Ptr(to) => (BtfKind::Ptr, false, 0, to.0),
            Def::Array(_) => (BtfKind::Array, false, 0, 0),
            Def::Struct(def) => (BtfKind::Struct, def.has_bitfields(), def.members.len(), def.size),
            Def::Union(def) => (BtfKind::Union, def.has_bitfields(), def.members.len(), def.size),
            Def::Enum(def) => (BtfKind::Enum, def.signed, def.values.len(), def.size),
            Def::Enum64(def) => (BtfKind::Enum64, def.signed, def.values.len(), def.size),
            Def::Fwd(kind) => (BtfKind::Fwd, *kind == FwdKind::Union, 0, 0),
            Def::Typedef(to) => (BtfKind::Typedef, false, 0, to.0),
            Def::Volatile(to) => (BtfKind::Volatile, false, 0, to.0),
            Def::Const(to) => (BtfKind::Const, false, 0, to.0),
            Def::Restrict(to) => (BtfKind::Restrict, false, 0, to.0),
            Def::Func { proto, linkage } => (BtfKind::Func, false, linkage.0 as usize, proto.0),
            Def::FuncProto { ret, params } => (BtfKind::FuncProto, false, params.len(), ret.0),
            Def::Var { ty, .. } => (BtfKind::Var, false, 0, ty.0),
            Def::Datasec { size, vars } => (BtfKind::Datasec, false, vars.len(), *size),
            Def::Float { size } => (BtfKind::Float, false, 0, *size),
            Def::DeclTag { ty, attribute, .. } => (BtfKind::DeclTag, *attribute, 0, ty.0),
            Def::TypeTag { ty, attribute } => (BtfKind::TypeTag, *attribute, 0, ty.0),
            Def::Unknown { info, size_or_type, .. } => {
                (BtfKind((info >> 24) as u8 & 0x1f), false, 0, *size_or_type)
            }
        }
    }

    /// What stands behind the head.
    fn write_elements(&self, id: TypeId, flag: bool, out: &mut Writer) -> Result<(), BtfError> {
        match self {
            Def::Int(int) => {
                let [encoding, offset, bits] = [int.encoding.0, int.bit_offset, int.bits].map(u32::from);
                out.word(encoding << 24 | offset << 16 | bits);
            }
            Def::Array(array) => out.words([array.elem.0, array.index.0, array.len]),
            Def::Struct(def) | Def::Union(def) => {
                for m in &def.members {
                    out.words([m.name.0, m.ty.0, m.offset_word(id, flag)?]);
                }
            }
            Def::Enum(def) => {
                def.values.iter().for_each(|(name, value)| out.words([name.0, *value as u32]));
            }
            Def::Enum64(def) => def
                .values
                .iter()
                .for_each(|(name, value)| out.words([name.0, *value as u32, (*value >> 32) as u32])),
            Def::FuncProto { params, .. } => params.iter().for_each(|(name, ty)| out.words([name.0, ty.0])),
            Def::Var { linkage, .. } => out.word(linkage.0),
            Def::Datasec { vars, .. } => {
                vars.iter().for_each(|var| out.words([var.ty.0, var.offset, var.size]));
            }
            Def::DeclTag { component, .. } => out.word(component.unwrap_or(u32::MAX)),
            _ => {}
        }
        Ok(())
    }
}

impl Composite {
    /// Whether offsets have the sizes of bit fields beside them.
    fn has_bitfields(&self) -> bool {
        self.bitfields || self.members.iter().any(|m| m.bit_size != 0)
    }

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
