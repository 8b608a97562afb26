//! The lists in type records: members, values, arguments, variables.

use super::types::Head;
use super::{Btf, BtfError, Name, StrOff, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

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
    pub(super) fn check(self, id: TypeId) -> Result<Self, BtfError> {
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
pub(super) const ENUM64: usize = 12;

impl Enumerators<'_> {
    /// Whether the values are signed.
    ///
    /// clang before 15 and pahole before 1.25 left this out, and called every enumeration unsigned.
    pub fn is_signed(&self) -> bool {
        self.flag
    }
}

impl Btf {
    /// The list that follows the head of a record, of elements of `stride` bytes.
    pub(super) fn list<'a, R>(&'a self, head: Head, bytes: &'a [u8], stride: usize) -> List<'a, R> {
        List { size: head.word, flag: head.flag(), btf: self, bytes, stride, element: PhantomData }
    }
}
