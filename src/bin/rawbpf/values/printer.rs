//! Printing many values of one type: the type is looked at once, not once for each value.
//!
//! Reading a value by its BTF walks the types for each one, which is what most of the time of a dump of a million
//! elements would go into. A [`Printer`] is made of the type once. It knows integers, enumerations and structs of
//! them, the types that large maps have; of all others the value is read in the general way, and what is printed is
//! the same.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;

use rawbpf::btf::{Btf, Kind, TypeId, decode};

use crate::values::json::{hex_into, json_of};

/// How the values of a type are printed.
pub(crate) enum Printer {
    /// A number of 1, 2, 4 or 8 bytes at this offset.
    Number { at: usize, len: usize, signed: bool },
    /// The same, with names.
    Enum { at: usize, len: usize, signed: bool, names: HashMap<i128, Vec<u8>> },
    /// Names and values.
    Struct(Vec<(String, Printer)>),
    /// Read in the general way.
    Typed(Arc<Btf>, TypeId),
    /// Bytes in hex.
    Bytes,
}

/// No struct of the fast kind is deeper.
const DEPTH: u32 = 8;

impl Printer {
    /// For the values of a type; bytes, if there is none.
    pub(crate) fn of(btf: Option<&Arc<Btf>>, ty: TypeId) -> Printer {
        let Some(btf) = btf.filter(|_| ty != TypeId(0)) else { return Printer::Bytes };
        fast(btf, ty, 0, 0).unwrap_or_else(|| Printer::Typed(Arc::clone(btf), ty))
    }

    /// A value for people.
    pub(crate) fn text(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Printer::Number { at, len, signed } => number(bytes, *at, *len, *signed, out),
            Printer::Enum { at, len, signed, names } => {
                match read(bytes, *at, *len, *signed).and_then(|n| names.get(&n)) {
                    Some(name) => out.extend_from_slice(name),
                    None => number(bytes, *at, *len, *signed, out),
                }
            }
            Printer::Struct(members) => {
                out.push(b'{');
                for (nth, (name, member)) in members.iter().enumerate() {
                    if nth > 0 {
                        out.extend_from_slice(b", ");
                    }
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b": ");
                    member.text(bytes, out);
                }
                out.push(b'}');
            }
            Printer::Typed(btf, ty) => match decode(btf, *ty, bytes) {
                Ok(value) => drop(write!(out, "{value}")),
                Err(_) => hex_into(bytes, out),
            },
            Printer::Bytes => hex_into(bytes, out),
        }
    }

    /// A value as JSON.
    pub(crate) fn json(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Printer::Number { at, len, signed } => number(bytes, *at, *len, *signed, out),
            Printer::Enum { at, len, signed, names } => {
                match read(bytes, *at, *len, *signed).and_then(|n| names.get(&n)) {
                    Some(name) => {
                        out.push(b'"');
                        out.extend_from_slice(name);
                        out.push(b'"');
                    }
                    None => number(bytes, *at, *len, *signed, out),
                }
            }
            Printer::Struct(members) => {
                out.push(b'{');
                for (nth, (name, member)) in members.iter().enumerate() {
                    out.extend_from_slice(if nth > 0 { b",\"" } else { b"\"" });
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b"\":");
                    member.json(bytes, out);
                }
                out.push(b'}');
            }
            Printer::Typed(btf, ty) => match decode(btf, *ty, bytes) {
                Ok(value) => drop(write!(out, "{}", json_of(&value))),
                Err(_) => quoted_hex(bytes, out),
            },
            Printer::Bytes => quoted_hex(bytes, out),
        }
    }
}

fn quoted_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    hex_into(bytes, out);
    out.push(b'"');
}

/// The fast way, if the type has one. Names are C identifiers, so they need no quoting in JSON.
fn fast(btf: &Btf, ty: TypeId, at: usize, depth: u32) -> Option<Printer> {
    if depth > DEPTH || is_special(btf, ty) {
        return None;
    }
    let of = btf.resolve(ty).ok()?;
    match of.kind {
        Kind::Int(int) => {
            let (len, bits) = (int.size as usize, u32::from(int.bits));
            let plain =
                [1, 2, 4, 8].contains(&len) && (bits == 0 || bits == int.size * 8) && int.bit_offset == 0;
            let number = !int.encoding.is_bool() && !int.encoding.is_char() && of.name != "char";
            (plain && number).then_some(Printer::Number { at, len, signed: int.encoding.is_signed() })
        }
        Kind::Enum(values) | Kind::Enum64(values) => {
            let len = values.size as usize;
            let mut names = HashMap::new();
            for v in values.iter() {
                // Of several names for one number the first is shown.
                names.entry(v.value).or_insert_with(|| v.name.as_bytes().to_vec());
            }
            let names_are_plain = names.values().all(|n| is_identifier(n));
            let known = [1, 2, 4, 8].contains(&len) && names_are_plain;
            known.then_some(Printer::Enum { at, len, signed: values.is_signed(), names })
        }
        Kind::Struct(members) => {
            let mut out = Vec::new();
            for m in members {
                let whole = m.bit_size == 0 && m.bit_offset % 8 == 0;
                if !whole || !is_identifier(m.name.as_bytes()) {
                    return None;
                }
                let at = at + m.bit_offset as usize / 8;
                out.push((m.name.to_string(), fast(btf, m.ty, at, depth + 1)?));
            }
            let address = of.name == "in_addr" || of.name == "in6_addr";
            (!address).then_some(Printer::Struct(out))
        }
        _ => None,
    }
}

/// True if a typedef on the way says that the bytes are in network order.
fn is_special(btf: &Btf, ty: TypeId) -> bool {
    let mut at = ty;
    for _ in 0..32 {
        let Ok(ty) = btf.ty(at) else { return true };
        at = match ty.kind {
            Kind::Typedef(to) if ["__be16", "__be32", "__be64"].iter().any(|name| ty.name == *name) => {
                let _ = to;
                return true;
            }
            Kind::Typedef(to) | Kind::Const(to) | Kind::Volatile(to) | Kind::Restrict(to) => to,
            Kind::TypeTag { ty: to, .. } | Kind::Var { ty: to, .. } => to,
            _ => return false,
        };
    }
    true
}

fn is_identifier(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

fn read(bytes: &[u8], at: usize, len: usize, signed: bool) -> Option<i128> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(match (len, signed) {
        (1, false) => u8::from_ne_bytes(bytes.try_into().ok()?).into(),
        (1, true) => i8::from_ne_bytes(bytes.try_into().ok()?).into(),
        (2, false) => u16::from_ne_bytes(bytes.try_into().ok()?).into(),
        (2, true) => i16::from_ne_bytes(bytes.try_into().ok()?).into(),
        (4, false) => u32::from_ne_bytes(bytes.try_into().ok()?).into(),
        (4, true) => i32::from_ne_bytes(bytes.try_into().ok()?).into(),
        (8, false) => u64::from_ne_bytes(bytes.try_into().ok()?).into(),
        _ => i64::from_ne_bytes(bytes.try_into().ok()?).into(),
    })
}

fn number(bytes: &[u8], at: usize, len: usize, signed: bool, out: &mut Vec<u8>) {
    match read(bytes, at, len, signed) {
        Some(n) => digits(n, out),
        None => out.push(b'?'),
    }
}

/// The number in decimal. At most 20 digits: it has 8 bytes.
fn digits(n: i128, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    let mut left = n.unsigned_abs() as u64;
    let mut buffer = [0; 20];
    let mut from = buffer.len();
    loop {
        from -= 1;
        if let Some(place) = buffer.get_mut(from) {
            *place = b'0' + (left % 10) as u8;
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(buffer.get(from..).unwrap_or_default());
}
