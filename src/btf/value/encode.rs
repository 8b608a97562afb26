//! From what people type to bytes.

use super::bits::write;
use super::error::{EncodeError, ValueProblem};
use super::word::address;
use super::{Literal, NODES, NODES_PER_BYTE, is_byte, is_char, meaning};
use crate::btf::list::Members;
use crate::btf::resolve::{BtfField, step};
use crate::btf::types::{Array, Kind, Type};
use crate::btf::{Btf, BtfError, BtfKind, TypeId};
use crate::bytes::Endian;
use std::net::IpAddr;

/// The bytes of a value of a type. What is not mentioned is 0.
///
/// Words are understood by the type they are for: names for enumerations; `true` and `false`; addresses
/// for `__be32`, `in6_addr` and arrays of their length; `10.0.0.0/8` for the key of an LPM trie. An IPv4
/// address for a plain 4-byte integer is written in network order too, as programs take it from packets.
///
/// ```
/// use rawbpf::btf::{Btf, BtfBuilder, IntEncoding, Literal, NewMember, encode};
/// use rawbpf::bytes::Endian;
/// let mut b = BtfBuilder::with_endian(Endian::Little);
/// let u8_ = b.int("unsigned char", 1, IntEncoding::UNSIGNED);
/// let verdict = b.enumeration("verdict", 1, &[("V_PASS", 0), ("V_DROP", 1)]);
/// let s = b.composite(false, "s", 2, &[NewMember::at("ttl", u8_, 0), NewMember::at("verdict", verdict, 8)]);
/// let btf = Btf::parse(b.to_bytes().unwrap()).unwrap();
/// assert_eq!(encode(&btf, s, &Literal::parse("{ttl: 64, verdict: V_DROP}")?)?, [64, 1]);
/// let e = encode(&btf, s, &Literal::parse("{ttl: 300}")?).unwrap_err();
/// assert_eq!(e.to_string(), "`ttl` (unsigned char): 300 does not fit; it takes 0 to 255");
/// # Ok::<(), rawbpf::btf::EncodeError>(())
/// ```
///
/// # Errors
/// The first part of the value that does not fit its type.
pub fn encode(btf: &Btf, id: TypeId, value: &Literal) -> Result<Vec<u8>, EncodeError> {
    let size = btf.size_of(id).map_err(|source| EncodeError::Type { path: String::new(), source })?;
    // Memory follows the size of the type; nothing that a map can hold is larger than this.
    if size > 1 << 30 {
        let source = BtfError::TooLarge { id, what: "the size", value: size.into() };
        return Err(EncodeError::Type { path: String::new(), source });
    }
    let mut out = vec![0; size as usize];
    encode_into(btf, id, value, &mut out)?;
    Ok(out)
}

/// Writes a value over an older one: members that are not mentioned keep what they have.
///
/// # Errors
/// As [`encode`]; what was written before the error stays.
pub fn encode_into(btf: &Btf, id: TypeId, value: &Literal, data: &mut [u8]) -> Result<(), EncodeError> {
    let left = (data.len() as u32).saturating_mul(NODES_PER_BYTE).saturating_add(NODES);
    let mut writer = Writer { btf, data, path: String::new(), left };
    let need = writer.size_of(id)? as usize;
    if writer.data.len() < need {
        return Err(writer.fail(id, ValueProblem::Buffer { have: writer.data.len(), need }));
    }
    writer.value(BtfField { ty: id, bit_offset: 0, bit_size: 0 }, value, 0)
}

pub(super) struct Writer<'a, 'd> {
    pub(super) btf: &'a Btf,
    data: &'d mut [u8],
    path: String,
    left: u32,
}

impl<'a> Writer<'a, '_> {
    pub(super) fn fail(&self, ty: TypeId, problem: ValueProblem) -> EncodeError {
        let ty = self.btf.render_decl(ty, "").unwrap_or_default();
        EncodeError::Value { path: self.path.clone(), ty, problem }
    }

    pub(super) fn broken(&self, source: BtfError) -> EncodeError {
        EncodeError::Type { path: self.path.clone(), source }
    }

    pub(super) fn expected(&self, ty: TypeId, expected: impl Into<String>, found: &Literal) -> EncodeError {
        let found = match found {
            Literal::Word(word) => format!("`{word}`"),
            Literal::Text(text) => format!("the text {:?}", String::from_utf8_lossy(text)),
            Literal::List { .. } => "a list".to_string(),
            Literal::Fields(_) => "members in braces".to_string(),
        };
        self.fail(ty, ValueProblem::Expected { expected: expected.into(), found })
    }

    fn size_of(&self, id: TypeId) -> Result<u32, EncodeError> {
        self.btf.size_of(id).map_err(|e| self.broken(e))
    }

    /// Writes what is at `inside` of the path, and goes back to where it was.
    fn within(
        &mut self,
        inside: &str,
        field: BtfField,
        value: &Literal,
        depth: u32,
    ) -> Result<(), EncodeError> {
        let len = self.path.len();
        if !self.path.is_empty() && !inside.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(inside);
        self.value(field, value, depth.saturating_add(1))?;
        self.path.truncate(len);
        Ok(())
    }

    fn value(&mut self, field: BtfField, value: &Literal, depth: u32) -> Result<(), EncodeError> {
        step(&mut self.left, field.ty, depth).map_err(|e| self.broken(e))?;
        let (ty, order) = meaning(self.btf, field.ty).map_err(|e| self.broken(e))?;
        if let (Literal::Text(text), false) = (value, matches!(ty.kind, Kind::Array(_))) {
            // JSON has large numbers, names and addresses in quotes.
            let word = Literal::Word(String::from_utf8_lossy(text).into_owned());
            return self.value(field, &word, depth.saturating_add(1)).map_err(|e| match e {
                EncodeError::Value { problem: ValueProblem::Expected { expected, .. }, .. } => {
                    self.expected(field.ty, expected, value)
                }
                other => other,
            });
        }
        match (ty.kind, value) {
            (Kind::Int(int), Literal::Word(word)) => self.int(&ty, int, order, field, word),
            (Kind::Int(_), other) => Err(self.expected(field.ty, "a number", other)),
            (Kind::Enum(values) | Kind::Enum64(values), Literal::Word(word)) => {
                self.enumerator(values, field, word)
            }
            (Kind::Enum(_) | Kind::Enum64(_), other) => {
                Err(self.expected(field.ty, "a name or a number", other))
            }
            (Kind::Ptr(_), other) => self.pointer(field, other),
            (Kind::Float { size }, other) => self.float(field, size, other),
            (Kind::Struct(_) | Kind::Union(_), Literal::Fields(fields)) => {
                self.fields(&ty, field, fields, depth)
            }
            (Kind::Struct(members) | Kind::Union(members), Literal::Word(word)) => {
                self.word_for_struct(&ty, members, field, word, depth)
            }
            (Kind::Struct(_) | Kind::Union(_), other) => {
                Err(self.expected(field.ty, "members in braces, as in {name: value}", other))
            }
            (Kind::Array(array), other) => self.array(array, field, other, depth),
            (Kind::Datasec(_), Literal::Fields(fields)) => self.vars(&ty, field, fields, depth),
            (Kind::Datasec(_), other) => Err(self.expected(field.ty, "variables in braces", other)),
            _ => Err(self.broken(self.btf.wrong_kind(&ty, "value"))),
        }
    }

    /// Writes a number into a field; `bits` is its size unless it is a bitfield.
    pub(super) fn number(&mut self, field: BtfField, bits: u32, value: u128) -> Result<(), EncodeError> {
        self.number_in(field, bits, value, self.btf.endian())
    }

    pub(super) fn number_in(
        &mut self,
        field: BtfField,
        bits: u32,
        value: u128,
        endian: Endian,
    ) -> Result<(), EncodeError> {
        let bits = if field.bit_size == 0 { bits } else { field.bit_size };
        let large =
            BtfError::TooLarge { id: field.ty, what: "the size or the place of a value", value: bits.into() };
        write(self.data, field.bit_offset, bits, endian, value).ok_or_else(|| self.broken(large))
    }

    pub(super) fn bytes(&mut self, field: BtfField, bytes: &[u8]) -> Result<(), EncodeError> {
        let start = usize::try_from(field.bit_offset / 8).unwrap_or(usize::MAX);
        let place = self.data.get_mut(start..).and_then(|d| d.get_mut(..bytes.len()));
        match place {
            Some(place) => {
                place.copy_from_slice(bytes);
                Ok(())
            }
            None => {
                let value = bytes.len() as u64;
                Err(self.broken(BtfError::TooLarge {
                    id: field.ty,
                    what: "the size or the place of a value",
                    value,
                }))
            }
        }
    }

    fn fields(
        &mut self,
        ty: &Type<'a>,
        outer: BtfField,
        fields: &[(String, Literal)],
        depth: u32,
    ) -> Result<(), EncodeError> {
        for (path, value) in fields {
            let mut field = self.btf.field(ty.id, path).map_err(|e| match e {
                BtfError::NoMember { member, members, .. } => {
                    let names = members.into_iter().take(24).collect();
                    self.fail(ty.id, ValueProblem::NoSuchName { name: member, names })
                }
                other => self.broken(other),
            })?;
            field.bit_offset = field.bit_offset.saturating_add(outer.bit_offset);
            self.within(path, field, value, depth)?;
        }
        Ok(())
    }

    fn vars(
        &mut self,
        ty: &Type<'a>,
        outer: BtfField,
        vars: &[(String, Literal)],
        depth: u32,
    ) -> Result<(), EncodeError> {
        let Kind::Datasec(list) = ty.kind else { return Ok(()) };
        let name_of = |id: TypeId| self.btf.ty(id).map(|t| t.name);
        for (name, value) in vars {
            let found = list.iter().find(|var| name_of(var.ty).is_ok_and(|n| n == name.as_str()));
            let Some(var) = found else {
                let names =
                    list.iter().filter_map(|v| name_of(v.ty).ok()).take(24).map(|n| n.to_string()).collect();
                return Err(self.fail(ty.id, ValueProblem::NoSuchName { name: name.clone(), names }));
            };
            let bit_offset = outer.bit_offset.saturating_add(u64::from(var.offset).saturating_mul(8));
            self.within(name, BtfField { ty: var.ty, bit_offset, bit_size: 0 }, value, depth)?;
        }
        Ok(())
    }

    /// An address for a struct that is one, and `address/length` for the key of an LPM trie.
    fn word_for_struct(
        &mut self,
        ty: &Type<'a>,
        members: Members<'a>,
        outer: BtfField,
        word: &str,
        depth: u32,
    ) -> Result<(), EncodeError> {
        let value = Literal::Word(word.into());
        let at = |m: &crate::btf::Member<'_>| BtfField {
            ty: m.ty,
            bit_offset: outer.bit_offset.saturating_add(m.bit_offset.into()),
            bit_size: m.bit_size,
        };
        if let (Some((addr, len)), [Some(first), Some(second), None]) =
            (word.split_once('/'), [members.get(0), members.get(1), members.get(2)])
        {
            let addr_bits = self.size_of(second.ty)?.saturating_mul(8);
            let len_fits = self.checked(first.ty, &Literal::Word(len.into()), 32, false)? <= addr_bits.into();
            if self.size_of(first.ty)? == 4 && addr.parse::<IpAddr>().is_ok() {
                if !len_fits {
                    return Err(self.expected(outer.ty, format!("a length of at most {addr_bits}"), &value));
                }
                self.within(&first.name.to_str(), at(&first), &Literal::Word(len.into()), depth)?;
                return self.within(&second.name.to_str(), at(&second), &Literal::Word(addr.into()), depth);
            }
        }
        // A struct around one member: that one. A union: the member as long as the address, or as the whole.
        let len = match word.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 4,
            Ok(IpAddr::V6(_)) => 16,
            Err(_) => members.size,
        };
        let single = ty.tag() == BtfKind::Union || members.len() == 1;
        for size in [len, members.size] {
            for m in members.iter().filter(|m| single && m.bit_size == 0) {
                if self.size_of(m.ty)? == size {
                    return self.value(at(&m), &value, depth.saturating_add(1));
                }
            }
        }
        Err(self.expected(outer.ty, "members in braces, as in {name: value}", &value))
    }

    fn array(
        &mut self,
        array: Array,
        field: BtfField,
        value: &Literal,
        depth: u32,
    ) -> Result<(), EncodeError> {
        let (elem, _) = meaning(self.btf, array.elem).map_err(|e| self.broken(e))?;
        let most = array.len as usize;
        match value {
            Literal::List { items, rest } => {
                if items.len() > most {
                    return Err(self
                        .fail(field.ty, ValueProblem::TooLong { what: "elements", len: items.len(), most }));
                }
                let bits = u64::from(self.size_of(array.elem)?).saturating_mul(8);
                for (nth, item) in items.iter().enumerate() {
                    let bit_offset = field.bit_offset.saturating_add(bits.saturating_mul(nth as u64));
                    let inner = BtfField { ty: array.elem, bit_offset, bit_size: 0 };
                    self.within(&format!("[{nth}]"), inner, item, depth)?;
                }
                if *rest {
                    let done = bits.saturating_mul(items.len() as u64);
                    let zeros = (bits / 8).saturating_mul(most.saturating_sub(items.len()) as u64);
                    let bit_offset = field.bit_offset.saturating_add(done);
                    // The type has been found to fit into the data, so this is no longer than it.
                    let zeros = vec![0; usize::try_from(zeros).unwrap_or(0).min(self.data.len())];
                    return self.bytes(BtfField { bit_offset, ..field }, &zeros);
                }
                Ok(())
            }
            Literal::Text(text) if is_char(&elem) || is_byte(&elem) => self.text(&elem, field, text, most),
            Literal::Word(word) if is_char(&elem) || is_byte(&elem) => match address(word, most) {
                Some(bytes) if !is_char(&elem) => self.bytes(field, &bytes),
                _ if is_char(&elem) => self.text(&elem, field, word.as_bytes(), most),
                _ => Err(self.expected(field.ty, "a list, or an address of this length", value)),
            },
            Literal::Word(word) if matches!(elem.kind, Kind::Int(_)) => {
                // An IPv6 address in four words, as programs take it from packets.
                let len = self.size_of(field.ty)? as usize;
                match address(word, len).filter(|_| len == 16) {
                    Some(bytes) => self.bytes(field, &bytes),
                    None => Err(self.expected(field.ty, "a list, as in [1, 2]", value)),
                }
            }
            other => Err(self.expected(field.ty, "a list, as in [1, 2]", other)),
        }
    }

    /// Text and zeros up to the end of the array. A string must leave room for its NUL.
    fn text(
        &mut self,
        elem: &Type<'_>,
        field: BtfField,
        text: &[u8],
        most: usize,
    ) -> Result<(), EncodeError> {
        let room = if is_char(elem) { most.saturating_sub(1) } else { most };
        if text.len() > room {
            return Err(
                self.fail(field.ty, ValueProblem::TooLong { what: "bytes", len: text.len(), most: room })
            );
        }
        let mut bytes = text.to_vec();
        bytes.resize(most.min(self.data.len()), 0);
        self.bytes(field, &bytes)
    }

    pub(super) fn byte_list(
        &self,
        ty: TypeId,
        items: &[Literal],
        len: usize,
        rest: bool,
    ) -> Result<Vec<u8>, EncodeError> {
        if items.len() > len || (items.len() < len && !rest) {
            return Err(self.fail(ty, ValueProblem::TooLong { what: "bytes", len: items.len(), most: len }));
        }
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(self.checked(ty, item, 8, false)? as u8);
        }
        out.resize(len, 0);
        Ok(out)
    }
}
