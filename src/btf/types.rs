//! One type, as typed data that borrows the bytes it came from.

use super::kind::{BtfKind, FuncLinkage, HEAD, IntEncoding, VarLinkage};
use super::list::{ENUM64, Enumerators, Members, Params, Secinfos};
use super::{Btf, BtfError, Name, StrOff, TypeId};
use crate::bytes::Endian;
use std::fmt;

/// A type: its number, its name and what it is.
#[derive(Clone, Copy)]
pub struct Type<'a> {
    /// Its number.
    pub id: TypeId,
    /// Its name; empty for anonymous types and for kinds that have none.
    pub name: Name<'a>,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What a type is, with everything that its record says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// No type: the target of `void *`, the return type of a function that returns nothing.
    Void,
    /// An integer.
    Int(Int),
    /// A pointer to a type.
    Ptr(TypeId),
    /// An array.
    Array(Array),
    /// A struct and its members.
    Struct(Members<'a>),
    /// A union and its members.
    Union(Members<'a>),
    /// An enumeration of values of at most 32 bits.
    Enum(Enumerators<'a>),
    /// An enumeration of values of 64 bits.
    Enum64(Enumerators<'a>),
    /// A struct or union of which only the name is known.
    Fwd(FwdKind),
    /// Another name for a type.
    Typedef(TypeId),
    /// A `volatile` type.
    Volatile(TypeId),
    /// A `const` type.
    Const(TypeId),
    /// A `restrict` pointer.
    Restrict(TypeId),
    /// A function: its name is the type's name, its arguments are in the prototype.
    Func {
        /// The `FuncProto`.
        proto: TypeId,
        /// Who can see it.
        linkage: FuncLinkage,
    },
    /// The arguments and the return type of a function.
    FuncProto(Params<'a>),
    /// A global variable.
    Var {
        /// The type of the variable.
        ty: TypeId,
        /// Who can see it.
        linkage: VarLinkage,
    },
    /// An ELF section and the variables in it.
    Datasec(Secinfos<'a>),
    /// A floating-point number.
    Float {
        /// Its size in bytes: 2, 4, 8, 12 or 16.
        size: u32,
    },
    /// A `btf_decl_tag("...")` on a declaration; the text is the type's name.
    DeclTag {
        /// The tagged type, variable or function.
        ty: TypeId,
        /// The tagged member or argument, from 0; `None` when the whole declaration is tagged.
        component: Option<u32>,
        /// The text is an attribute as such, and not inside `btf_decl_tag` (Linux 6.14).
        attribute: bool,
    },
    /// A `btf_type_tag("...")` on a type; the text is the type's name.
    TypeTag {
        /// The tagged type.
        ty: TypeId,
        /// The text is an attribute as such, and not inside `btf_type_tag` (Linux 6.14).
        attribute: bool,
    },
    /// A kind that is newer than this crate.
    Unknown(Unknown<'a>),
}

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// Its size in bytes.
    pub size: u32,
    /// How many of its bits count; less than `8 * size` only in BTF of old compilers.
    pub bits: u8,
    /// Where they start; not 0 only in BTF of old compilers, for bitfields.
    pub bit_offset: u8,
    /// How to read them.
    pub encoding: IntEncoding,
}

/// An array type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// The type of the elements.
    pub elem: TypeId,
    /// The type of the index, of no use but as a 4-byte integer that is surely there.
    pub index: TypeId,
    /// The number of elements; 0 for a flexible array at the end of a struct.
    pub len: u32,
}

/// What a [`Kind::Fwd`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FwdKind {
    /// `struct name;`
    Struct,
    /// `union name;`
    Union,
}

/// The record of a kind that is newer than this crate, stepped over by means of the layout section.
#[derive(Clone, Copy, Debug)]
pub struct Unknown<'a> {
    /// The kind.
    pub kind: BtfKind,
    /// The `info` word: vlen, kind and kind flag.
    pub info: u32,
    /// The word after it: a size or a type.
    pub size_or_type: u32,
    /// What follows the head, in the byte order of the file.
    pub rest: &'a [u8],
}

/// The first 12 bytes of a record: `struct btf_type`.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub name: StrOff,
    pub info: u32,
    pub word: u32,
}

impl Head {
    #[inline]
    pub(super) fn read(record: &[u8], endian: Endian) -> Option<Head> {
        let [n0, n1, n2, n3, i0, i1, i2, i3, w0, w1, w2, w3] = *record.first_chunk::<HEAD>()?;
        Some(Head {
            name: StrOff(endian.u32([n0, n1, n2, n3])),
            info: endian.u32([i0, i1, i2, i3]),
            word: endian.u32([w0, w1, w2, w3]),
        })
    }

    #[inline]
    pub(super) fn kind(self) -> BtfKind {
        BtfKind((self.info >> 24 & 0x7f) as u8)
    }

    #[inline]
    pub(super) fn flag(self) -> bool {
        self.info >> 31 == 1
    }

    #[inline]
    pub(super) fn vlen(self) -> u32 {
        self.info & 0xff_ffff
    }
}

impl Btf {
    /// The type with this number; number 0 is `void`.
    ///
    /// All names and references that the record holds have been checked when this returns.
    ///
    /// # Errors
    /// There is no such type, or its record is damaged.
    #[doc(alias = "btf__type_by_id")]
    pub fn ty(&self, id: TypeId) -> Result<Type<'_>, BtfError> {
        if id == TypeId::VOID {
            return Ok(Type { id, name: Name::EMPTY, kind: Kind::Void });
        }
        let missing = || self.no_type(id);
        let record = self.record(id).ok_or_else(missing)?;
        let head = Head::read(record, self.endian()).ok_or_else(missing)?;
        let name = self.check_name(id, head.name)?;
        let kind = self.kind(id, head, record.get(HEAD..).unwrap_or_default())?;
        Ok(Type { id, name, kind })
    }

    /// Every type but `void`, the base's first.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = Result<Type<'_>, BtfError>> + DoubleEndedIterator + Clone {
        (1..self.type_count()).map(|id| self.ty(TypeId(id)))
    }

    /// Every type that is not the base's.
    pub fn iter_own(
        &self,
    ) -> impl ExactSizeIterator<Item = Result<Type<'_>, BtfError>> + DoubleEndedIterator + Clone {
        (self.first_id().0..self.type_count()).map(|id| self.ty(TypeId(id)))
    }

    /// Reads every type, and so finds every name and reference that leads nowhere.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&self) -> Result<(), BtfError> {
        self.iter_own().try_for_each(|t| t.map(drop))?;
        self.stopped().map_or(Ok(()), |stop| Err(stop.clone()))
    }

    /// The head of a type, unchecked but for its presence.
    #[inline]
    pub(super) fn head(&self, id: TypeId) -> Option<Head> {
        Head::read(self.record(id)?, self.endian())
    }

    pub(super) fn no_type(&self, id: TypeId) -> BtfError {
        match self.stopped() {
            Some(stop) => stop.clone(),
            None => BtfError::NoType { id, last: self.type_count().saturating_sub(1) },
        }
    }

    #[inline]
    fn check_name(&self, id: TypeId, off: StrOff) -> Result<Name<'_>, BtfError> {
        self.lookup_name(off).ok_or_else(|| BtfError::Name { id, off, len: self.string_end().into() })
    }

    #[inline]
    fn check_ref(&self, id: TypeId, to: TypeId) -> Result<TypeId, BtfError> {
        let types = self.type_limit();
        if to.0 < types {
            return Ok(to);
        }
        Err(BtfError::Reference { id, to, last: types.saturating_sub(1) })
    }

    /// What a reference must be below. Where the walk stopped early it may be to a type that is there
    /// and cannot be read.
    #[inline]
    pub(super) fn type_limit(&self) -> u32 {
        if self.stopped().is_some() { u32::MAX } else { self.type_count() }
    }

    fn kind<'a>(&'a self, id: TypeId, head: Head, rest: &'a [u8]) -> Result<Kind<'a>, BtfError> {
        let word = |at: usize| {
            rest.get(at..).and_then(|r| r.first_chunk::<4>()).map_or(0, |b| self.endian().u32(*b))
        };
        let target = || self.check_ref(id, TypeId(head.word));
        Ok(match head.kind() {
            BtfKind::Int => Kind::Int(Int::from_words(head.word, word(0))),
            BtfKind::Ptr => Kind::Ptr(target()?),
            BtfKind::Array => Kind::Array(Array {
                elem: self.check_ref(id, TypeId(word(0)))?,
                index: self.check_ref(id, TypeId(word(4)))?,
                len: word(8),
            }),
            BtfKind::Struct => Kind::Struct(self.list(head, rest, 12).check(id)?),
            BtfKind::Union => Kind::Union(self.list(head, rest, 12).check(id)?),
            BtfKind::Enum => Kind::Enum(self.list(head, rest, 8).check(id)?),
            BtfKind::Enum64 => Kind::Enum64(self.list(head, rest, ENUM64).check(id)?),
            BtfKind::Fwd => Kind::Fwd(if head.flag() { FwdKind::Union } else { FwdKind::Struct }),
            BtfKind::Typedef => Kind::Typedef(target()?),
            BtfKind::Volatile => Kind::Volatile(target()?),
            BtfKind::Const => Kind::Const(target()?),
            BtfKind::Restrict => Kind::Restrict(target()?),
            BtfKind::Func => Kind::Func { proto: target()?, linkage: FuncLinkage(head.vlen()) },
            BtfKind::FuncProto => {
                target()?;
                Kind::FuncProto(self.list(head, rest, 8).check(id)?)
            }
            BtfKind::Var => Kind::Var { ty: target()?, linkage: VarLinkage(word(0)) },
            BtfKind::Datasec => Kind::Datasec(self.list(head, rest, 12).check(id)?),
            BtfKind::Float => Kind::Float { size: head.word },
            BtfKind::DeclTag => {
                let component = u32::try_from(word(0) as i32).ok();
                Kind::DeclTag { ty: target()?, component, attribute: head.flag() }
            }
            BtfKind::TypeTag => Kind::TypeTag { ty: target()?, attribute: head.flag() },
            kind => Kind::Unknown(Unknown { kind, info: head.info, size_or_type: head.word, rest }),
        })
    }
}

impl<'a> Type<'a> {
    /// Its kind, as a number.
    pub fn tag(&self) -> BtfKind {
        match self.kind {
            Kind::Void => BtfKind::Void,
            Kind::Int(_) => BtfKind::Int,
            Kind::Ptr(_) => BtfKind::Ptr,
            Kind::Array(_) => BtfKind::Array,
            Kind::Struct(_) => BtfKind::Struct,
            Kind::Union(_) => BtfKind::Union,
            Kind::Enum(_) => BtfKind::Enum,
            Kind::Enum64(_) => BtfKind::Enum64,
            Kind::Fwd(_) => BtfKind::Fwd,
            Kind::Typedef(_) => BtfKind::Typedef,
            Kind::Volatile(_) => BtfKind::Volatile,
            Kind::Const(_) => BtfKind::Const,
            Kind::Restrict(_) => BtfKind::Restrict,
            Kind::Func { .. } => BtfKind::Func,
            Kind::FuncProto(_) => BtfKind::FuncProto,
            Kind::Var { .. } => BtfKind::Var,
            Kind::Datasec(_) => BtfKind::Datasec,
            Kind::Float { .. } => BtfKind::Float,
            Kind::DeclTag { .. } => BtfKind::DeclTag,
            Kind::TypeTag { .. } => BtfKind::TypeTag,
            Kind::Unknown(u) => u.kind,
        }
    }

    /// The members, when it is a struct or a union.
    pub fn members(&self) -> Option<Members<'a>> {
        match self.kind {
            Kind::Struct(members) | Kind::Union(members) => Some(members),
            _ => None,
        }
    }

    /// The values, when it is an enumeration of 32 or 64 bits.
    pub fn enumerators(&self) -> Option<Enumerators<'a>> {
        match self.kind {
            Kind::Enum(values) | Kind::Enum64(values) => Some(values),
            _ => None,
        }
    }
}

impl fmt::Debug for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} {:?}", self.id, self.tag(), self.name)
    }
}

impl Int {
    fn from_words(size: u32, word: u32) -> Int {
        let [encoding, bit_offset, bits] = [24, 16, 0].map(|shift| (word >> shift) as u8);
        Int { size, bits, bit_offset, encoding: IntEncoding(encoding & 0xf) }
    }
}
