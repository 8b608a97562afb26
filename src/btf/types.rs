//! One type, as typed data that borrows the bytes it came from.

use super::kind::{BtfKind, FuncLinkage, HEAD, IntEncoding, VarLinkage};
use super::{Btf, BtfError, Name, StrOff, TypeId};
use crate::bytes::Endian;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

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
#[derive(Clone, Copy)]
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
#[derive(Clone, Copy)]
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

/// A list in a type record, read element by element from the file's own bytes.
///
/// ```
/// # use rawbpf::btf::{BtfBuilder, Btf, IntEncoding, Kind, NewMember};
/// # let mut b = BtfBuilder::new();
/// # let int = b.int("int", 4, IntEncoding::SIGNED);
/// # b.composite(false, "point", 8, &[NewMember::at("x", int, 0), NewMember::at("y", int, 32)]);
/// # let btf = Btf::parse(b.to_bytes()?)?;
/// let point = btf.ty(btf.find("point", rawbpf::btf::BtfKind::Struct)?)?;
/// if let Kind::Struct(members) = point.kind {
///     let names: Vec<String> = members.iter().map(|m| m.name.to_string()).collect();
///     assert_eq!(names, ["x", "y"]);
///     assert_eq!(members.size, 8);
/// }
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
pub struct List<'a, R> {
    /// What the `size` word of the record says: bytes for a struct, union, enumeration or section, and
    /// the number of the return type for a prototype (use [`Params::ret`]).
    pub size: u32,
    /// The kind flag: members may be bitfields, values are signed.
    pub(super) flag: bool,
    btf: &'a Btf,
    bytes: &'a [u8],
    stride: usize,
    element: PhantomData<fn() -> R>,
}

/// The members of a struct or union, in the order of their declaration.
pub type Members<'a> = List<'a, Member<'a>>;
/// The values of an enumeration.
pub type Enumerators<'a> = List<'a, Enumerator<'a>>;
/// The arguments of a function.
pub type Params<'a> = List<'a, Param<'a>>;
/// The variables of an ELF section.
pub type Secinfos<'a> = List<'a, Secinfo>;

/// A member of a struct or union.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its name; empty for an anonymous struct or union, whose members count as the outer one's.
    pub name: Name<'a>,
    /// Its type.
    pub ty: TypeId,
    /// Where it starts, in bits from the start of the struct.
    pub bit_offset: u32,
    /// How many bits a bitfield has; 0 for a member that is no bitfield.
    pub bit_size: u32,
}

/// A value of an enumeration.
#[derive(Clone, Copy, Debug)]
pub struct Enumerator<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// Its value, which fits into the 32 or 64 bits that the enumeration has.
    pub value: i128,
}

/// An argument of a function.
#[derive(Clone, Copy, Debug)]
pub struct Param<'a> {
    /// Its name; empty in a prototype that is behind a function pointer.
    pub name: Name<'a>,
    /// Its type; `void` in last place stands for `...`.
    pub ty: TypeId,
}

/// A variable in an ELF section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secinfo {
    /// The `Var`, or the `Func` in `.ksyms`.
    pub ty: TypeId,
    /// Where it is, in bytes from the start of the section.
    pub offset: u32,
    /// How long it is, in bytes.
    pub size: u32,
}

impl Member<'_> {
    /// Where the member starts in bytes; `None` when it does not start at a byte.
    pub fn byte_offset(&self) -> Option<u32> {
        (self.bit_offset % 8 == 0).then_some(self.bit_offset / 8)
    }

    /// Whether it is a bitfield.
    pub fn is_bitfield(&self) -> bool {
        self.bit_size != 0
    }
}

/// An element of a [`List`].
pub trait Element<'a>: Sized {
    /// Reads the element that starts at byte `at` of the list.
    #[doc(hidden)]
    fn read(list: &List<'a, Self>, at: usize) -> Option<Self>;
    /// Where in an element its name and the type it refers to are, for the check.
    #[doc(hidden)]
    const REFS: (Option<usize>, Option<usize>);
}

impl<'a, R> List<'a, R> {
    #[inline]
    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(self.btf.endian().u32(*bytes))
    }

    /// The name whose offset is the word at `at`; `check` has made sure that there is one.
    #[inline]
    fn name(&self, at: usize) -> Option<Name<'a>> {
        self.btf.lookup_name(StrOff(self.word(at)?))
    }

    #[inline]
    fn ty(&self, at: usize) -> Option<TypeId> {
        self.word(at).map(TypeId)
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(self.stride).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<'a, R: Element<'a>> List<'a, R> {
    /// The element at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<R> {
        R::read(self, index.checked_mul(self.stride)?)
    }

    /// The elements in order.
    #[inline]
    pub fn iter(self) -> ListIter<'a, R> {
        ListIter { range: 0..self.len(), list: self }
    }

    /// Checks every name and every reference of the list.
    fn check(self, id: TypeId) -> Result<Self, BtfError> {
        let (name, ty) = R::REFS;
        let (names, types) = (self.btf.string_end(), self.btf.type_limit());
        let endian = self.btf.endian();
        for element in self.bytes.chunks_exact(self.stride.max(1)) {
            let word = |at: usize| element.get(at..)?.first_chunk::<4>().map(|b| endian.u32(*b));
            match name.and_then(word) {
                Some(off) if off >= names && off != 0 => {
                    return Err(BtfError::Name { id, off: StrOff(off), len: names.into() });
                }
                _ => {}
            }
            match ty.and_then(word) {
                Some(to) if to >= types => {
                    return Err(BtfError::Reference { id, to: TypeId(to), last: types.saturating_sub(1) });
                }
                _ => {}
            }
        }
        Ok(self)
    }
}

impl<'a> Params<'a> {
    /// The type that the function returns; `void` is type 0.
    pub fn ret(&self) -> TypeId {
        TypeId(self.size)
    }
}

impl<R> Clone for List<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for List<'_, R> {}

impl<'a, R: Element<'a>> IntoIterator for List<'a, R> {
    type Item = R;
    type IntoIter = ListIter<'a, R>;

    fn into_iter(self) -> ListIter<'a, R> {
        self.iter()
    }
}

impl<'a, R: Element<'a> + fmt::Debug> fmt::Debug for List<'a, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The elements of a [`List`], one after the other.
pub struct ListIter<'a, R> {
    list: List<'a, R>,
    range: Range<usize>,
}

impl<R> Clone for ListIter<'_, R> {
    fn clone(&self) -> Self {
        ListIter { list: self.list, range: self.range.clone() }
    }
}

impl<'a, R: Element<'a>> Iterator for ListIter<'a, R> {
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        self.list.get(self.range.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.range.size_hint()
    }
}

impl<'a, R: Element<'a>> DoubleEndedIterator for ListIter<'a, R> {
    fn next_back(&mut self) -> Option<R> {
        self.list.get(self.range.next_back()?)
    }
}

impl<'a, R: Element<'a>> ExactSizeIterator for ListIter<'a, R> {}

impl<'a> Element<'a> for Member<'a> {
    const REFS: (Option<usize>, Option<usize>) = (Some(0), Some(4));

    #[inline]
    fn read(list: &Members<'a>, at: usize) -> Option<Member<'a>> {
        let offset = list.word(at.checked_add(8)?)?;
        // With the kind flag, the upper byte is the size of a bitfield.
        let (bit_offset, bit_size) = if list.flag { (offset & 0xff_ffff, offset >> 24) } else { (offset, 0) };
        Some(Member { name: list.name(at)?, ty: list.ty(at.checked_add(4)?)?, bit_offset, bit_size })
    }
}

impl<'a> Element<'a> for Enumerator<'a> {
    const REFS: (Option<usize>, Option<usize>) = (Some(0), None);

    #[inline]
    fn read(list: &Enumerators<'a>, at: usize) -> Option<Enumerator<'a>> {
        let low = list.word(at.checked_add(4)?)?;
        let value = match (list.stride, list.flag) {
            (ENUM64, signed) => {
                let high = list.word(at.checked_add(8)?)?;
                let bits = u64::from(high) << 32 | u64::from(low);
                if signed { i128::from(bits as i64) } else { i128::from(bits) }
            }
            (_, true) => i128::from(low as i32),
            (_, false) => i128::from(low),
        };
        Some(Enumerator { name: list.name(at)?, value })
    }
}

impl<'a> Element<'a> for Param<'a> {
    const REFS: (Option<usize>, Option<usize>) = (Some(0), Some(4));

    #[inline]
    fn read(list: &Params<'a>, at: usize) -> Option<Param<'a>> {
        Some(Param { name: list.name(at)?, ty: list.ty(at.checked_add(4)?)? })
    }
}

impl<'a> Element<'a> for Secinfo {
    const REFS: (Option<usize>, Option<usize>) = (None, Some(0));

    #[inline]
    fn read(list: &Secinfos<'a>, at: usize) -> Option<Secinfo> {
        let [offset, size] = [list.word(at.checked_add(4)?)?, list.word(at.checked_add(8)?)?];
        Some(Secinfo { ty: list.ty(at)?, offset, size })
    }
}

/// The length of a `struct btf_enum64`, which tells the two sorts of enumerations apart.
const ENUM64: usize = 12;

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
    fn type_limit(&self) -> u32 {
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

    fn list<'a, R>(&'a self, head: Head, bytes: &'a [u8], stride: usize) -> List<'a, R> {
        List { size: head.word, flag: head.flag(), btf: self, bytes, stride, element: PhantomData }
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

impl Enumerators<'_> {
    /// Whether the values are signed.
    ///
    /// clang before 15 and pahole before 1.25 left this out, and called every enumeration unsigned.
    pub fn is_signed(&self) -> bool {
        self.flag
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
