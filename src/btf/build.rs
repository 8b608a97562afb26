//! Making BTF, and changing it.
//!
//! A [`BtfBuilder`] is a list of types that is still open: types can be added, looked at, replaced. Two
//! things never change while it is: a type keeps its number and a string keeps its offset. So BTF that
//! was read from an object can be changed and written again ([`BtfBuilder::edit`]), and whatever
//! refers to it from outside, `.BTF.ext` above all, stays right.

use super::def::{Composite, Def, MemberDef, Values, Writer};
use super::kind::{FuncLinkage, IntEncoding, VarLinkage};
use super::name::until_nul;
use super::parse::{HEADER, MAGIC};
use super::types::{Array, Int};
use super::{Btf, BtfError, Name, StrOff, TypeId};
use crate::bytes::Endian;
use std::collections::HashMap;

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
