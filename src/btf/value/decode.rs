//! From bytes to a [`Value`].

use super::bits::{read, sign_extend};
use super::{NODES, NODES_PER_BYTE, Order, Value, addr_len, is_byte, is_char, meaning};
use crate::btf::list::{Enumerators, Members, Secinfos};
use crate::btf::resolve::step;
use crate::btf::types::{Array, Int, Kind, Type};
use crate::btf::{Btf, BtfError, BtfField, Name, TypeId};
use crate::bytes::{Endian, Truncated};
use std::net::IpAddr;

/// Reads a value of a type from its bytes. Bytes after it are ignored, except that they are the elements
/// of a flexible array at its end.
///
/// ```
/// use rawbpf::btf::{Btf, BtfBuilder, IntEncoding, NewMember, decode};
/// use rawbpf::bytes::Endian;
/// let mut b = BtfBuilder::with_endian(Endian::Little);
/// let u32_ = b.int("unsigned int", 4, IntEncoding::UNSIGNED);
/// let verdict = b.enumeration("verdict", 4, &[("V_PASS", 0), ("V_DROP", 1)]);
/// let stats = b.composite(false, "stats", 8, &[NewMember::at("pkts", u32_, 0), NewMember::at("last", verdict, 32)]);
/// let btf = Btf::parse(b.to_bytes()?)?;
/// let value = decode(&btf, stats, &[5, 0, 0, 0, 1, 0, 0, 0])?;
/// assert_eq!(value.to_string(), "{pkts: 5, last: V_DROP}");
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
///
/// # Errors
/// The bytes are too few, or the type has no values (`void`, a function).
pub fn decode<'a>(btf: &'a Btf, id: TypeId, data: &[u8]) -> Result<Value<'a>, BtfError> {
    let size = btf.size_of(id)?;
    if data.len() < size as usize {
        let source = Truncated { at: 0, need: size as usize, len: data.len() };
        return Err(BtfError::Truncated { what: "value", source });
    }
    let left = (data.len() as u32).saturating_mul(NODES_PER_BYTE).saturating_add(NODES);
    let mut reader = Reader { btf, data, end: u64::from(size) * 8, left };
    reader.value(id, 0, 0, 0)
}

/// Reads one member, as [`Btf::field`] found it, from the bytes of the whole: the others are not looked at.
///
/// ```
/// use rawbpf::btf::{Btf, BtfBuilder, IntEncoding, NewMember, Value, decode_field};
/// use rawbpf::bytes::Endian;
/// let mut b = BtfBuilder::with_endian(Endian::Little);
/// let u32_ = b.int("unsigned int", 4, IntEncoding::UNSIGNED);
/// let stats = b.composite(false, "stats", 8, &[NewMember::at("pkts", u32_, 0), NewMember::at("lost", u32_, 32)]);
/// let btf = Btf::parse(b.to_bytes()?)?;
/// let lost = btf.field(stats, "lost")?;
/// assert_eq!(decode_field(&btf, lost, &[5, 0, 0, 0, 1, 0, 0, 0])?, Value::Uint(1));
/// # Ok::<(), rawbpf::btf::BtfError>(())
/// ```
///
/// # Errors
/// The bytes are too few, or the type has no values.
pub fn decode_field<'a>(btf: &'a Btf, field: BtfField, data: &[u8]) -> Result<Value<'a>, BtfError> {
    let left = (data.len() as u32).saturating_mul(NODES_PER_BYTE).saturating_add(NODES);
    let mut reader = Reader { btf, data, end: u64::MAX, left };
    reader.value(field.ty, field.bit_offset, field.bit_size, 0)
}

struct Reader<'a, 'd> {
    btf: &'a Btf,
    data: &'d [u8],
    /// Where the outermost type ends, in bits: what starts there is a flexible array.
    end: u64,
    left: u32,
}

impl<'a> Reader<'a, '_> {
    /// The value at bit `at`; `width` is the size of a bitfield in bits, or 0.
    fn value(&mut self, id: TypeId, at: u64, width: u32, depth: u32) -> Result<Value<'a>, BtfError> {
        step(&mut self.left, id, depth)?;
        let (ty, order) = meaning(self.btf, id)?;
        let size = |bytes: u32| if width == 0 { bytes.saturating_mul(8) } else { width };
        match ty.kind {
            Kind::Int(int) => self.int(&ty, int, order, at, width),
            Kind::Ptr(_) => {
                let bits = self.bits(id, at, size(self.btf.pointer_size()), self.btf.endian())?;
                Ok(Value::Ptr(bits as u64))
            }
            Kind::Enum(values) | Kind::Enum64(values) => {
                let bits = size(values.size);
                let raw = self.bits(id, at, bits, self.btf.endian())?;
                Ok(enumerator(values, raw, bits))
            }
            Kind::Float { size } => self.float(id, size, at),
            Kind::Struct(members) | Kind::Union(members) => match addr_len(&ty) {
                Some(len) => self.addr(id, at, len),
                None => {
                    let mut out = Vec::with_capacity(members.len());
                    self.members(members, at, depth, &mut out)?;
                    Ok(Value::Struct(out))
                }
            },
            Kind::Array(array) => self.array(id, array, at, depth),
            Kind::Datasec(vars) => self.vars(vars, at, depth),
            _ => Err(self.btf.wrong_kind(&ty, "value")),
        }
    }

    fn bits(&self, id: TypeId, at: u64, bits: u32, endian: Endian) -> Result<u128, BtfError> {
        let large = BtfError::TooLarge { id, what: "the size or the place of a value", value: bits.into() };
        read(self.data, at, bits, endian).ok_or(large)
    }

    fn bytes(&self, id: TypeId, at: u64, len: u64) -> Result<&[u8], BtfError> {
        let start = usize::try_from(at / 8).ok();
        let end = start.and_then(|s| s.checked_add(usize::try_from(len).ok()?));
        let bytes = start.zip(end).and_then(|(start, end)| self.data.get(start..end));
        bytes.ok_or(BtfError::TooLarge { id, what: "the size or the place of a value", value: len })
    }

    fn int(&self, ty: &Type<'a>, int: Int, order: Order, at: u64, width: u32) -> Result<Value<'a>, BtfError> {
        if int.size > 16 {
            return self.bytes(ty.id, at, int.size.into()).map(|b| Value::Bytes(b.to_vec()));
        }
        // Old compilers put the size and place of a bitfield into a type of its own.
        let old_bitfield = u32::from(int.bits) < int.size.saturating_mul(8) && width == 0 && int.bits != 0;
        let (at, bits) = match (width, old_bitfield) {
            (0, false) => (at, int.size.saturating_mul(8)),
            (0, true) => (at.saturating_add(int.bit_offset.into()), int.bits.into()),
            (width, _) => (at, width),
        };
        let endian = if order == Order::Network && width == 0 { Endian::Big } else { self.btf.endian() };
        let raw = self.bits(ty.id, at, bits, endian)?;
        Ok(match raw {
            raw if order == Order::Network && bits == 32 => {
                Value::Addr(IpAddr::from((raw as u32).to_be_bytes()))
            }
            raw if int.encoding.is_bool() && raw < 2 => Value::Bool(raw == 1),
            raw if is_char(ty) && width == 0 => Value::Char(raw as u8),
            raw if int.encoding.is_signed() => Value::Int(sign_extend(raw, bits)),
            raw => Value::Uint(raw),
        })
    }

    fn float(&self, id: TypeId, size: u32, at: u64) -> Result<Value<'a>, BtfError> {
        let bits = |n| self.bits(id, at, n, self.btf.endian());
        Ok(match size {
            4 => Value::Float(f32::from_bits(bits(32)? as u32).into()),
            8 => Value::Float(f64::from_bits(bits(64)? as u64)),
            size => Value::Bytes(self.bytes(id, at, size.into())?.to_vec()),
        })
    }

    fn addr(&self, id: TypeId, at: u64, len: u32) -> Result<Value<'a>, BtfError> {
        let raw = self.bits(id, at, len.saturating_mul(8), Endian::Big)?;
        Ok(Value::Addr(match len {
            4 => IpAddr::from((raw as u32).to_be_bytes()),
            _ => IpAddr::from(raw.to_be_bytes()),
        }))
    }

    fn members(
        &mut self,
        members: Members<'a>,
        at: u64,
        depth: u32,
        out: &mut Vec<(Name<'a>, Value<'a>)>,
    ) -> Result<(), BtfError> {
        for m in members {
            let start = at.saturating_add(m.bit_offset.into());
            let inner =
                if m.name.is_empty() { self.btf.skip_mods_and_typedefs(m.ty)?.members() } else { None };
            if let Some(inner) = inner {
                step(&mut self.left, m.ty, depth)?;
                self.members(inner, start, depth.saturating_add(1), out)?;
                continue;
            }
            if !m.name.is_empty() {
                let value = self.value(m.ty, start, m.bit_size, depth.saturating_add(1))?;
                out.push((m.name, value));
            }
        }
        Ok(())
    }

    fn array(&mut self, id: TypeId, array: Array, at: u64, depth: u32) -> Result<Value<'a>, BtfError> {
        let (elem, _) = meaning(self.btf, array.elem)?;
        let size = u64::from(self.btf.size_of(array.elem)?);
        let mut len = u64::from(array.len);
        if len == 0 && at >= self.end && size != 0 {
            len = (self.data.len() as u64).saturating_sub(at / 8) / size;
        }
        if size == 0 || len == 0 {
            return Ok(Value::Array(vec![]));
        }
        let bytes = self.bytes(id, at, size.saturating_mul(len))?;
        if is_char(&elem) {
            if let Some(text) = text(bytes) {
                return Ok(Value::Text(text));
            }
        }
        if is_byte(&elem) {
            return Ok(Value::Bytes(bytes.to_vec()));
        }
        let mut out = Vec::new();
        for nth in 0..len {
            let start = at.saturating_add(nth.saturating_mul(size).saturating_mul(8));
            out.push(self.value(array.elem, start, 0, depth.saturating_add(1))?);
        }
        Ok(Value::Array(out))
    }

    fn vars(&mut self, vars: Secinfos<'a>, at: u64, depth: u32) -> Result<Value<'a>, BtfError> {
        let mut out = Vec::with_capacity(vars.len());
        for var in vars {
            let name = self.btf.ty(var.ty)?.name;
            let start = at.saturating_add(u64::from(var.offset).saturating_mul(8));
            out.push((name, self.value(var.ty, start, 0, depth.saturating_add(1))?));
        }
        Ok(Value::Vars(out))
    }
}

/// The text in a `char` array: printable up to a NUL.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&b| b == 0)?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    text.chars().all(shown).then(|| text.to_string())
}

fn enumerator<'a>(values: Enumerators<'a>, raw: u128, bits: u32) -> Value<'a> {
    let mask = u128::MAX >> 128u32.saturating_sub(bits).min(127);
    let found = values.iter().find(|v| v.value as u128 & mask == raw);
    let value = if values.is_signed() { sign_extend(raw, bits) } else { raw as i128 };
    Value::Enum { value: found.map_or(value, |v| v.value), name: found.map(|v| v.name) }
}
