//! Labels: what an element is about, in words.
//!
//! Most follows from the type: an enumerator has a name, a `char` array is a string, `struct in6_addr` and `__be32`
//! are addresses. Where C's type is only a number, `as` says what it is the number of.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rawbpf::btf::{Btf, BtfKind, Kind, TypeId, Value};

use super::cell::{Cell, Shape, Side};
use super::config::LabelPart;
use super::names::Names;
use crate::values::json::hex;

/// Longer values are cut.
const LONGEST: usize = 256;

/// How bytes become words.
#[derive(Debug, Clone)]
enum Format {
    /// As the type says.
    Type,
    Ip,
    Mac,
    Text,
    Hex,
    Port,
    Interface,
    Cgroup,
    Enum(Arc<Btf>, TypeId),
}

/// One row for each word that `as` takes, but `enum NAME`.
const FORMATS: &[(&str, Format)] = &[
    ("ip", Format::Ip),
    ("mac", Format::Mac),
    ("string", Format::Text),
    ("hex", Format::Hex),
    ("port", Format::Port),
    ("ifname", Format::Interface),
    ("cgroup", Format::Cgroup),
];

/// Where a label comes from.
#[derive(Debug)]
enum From {
    Cell(Cell),
    Cpu,
}

/// A label of a metric.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) name: Arc<str>,
    from: From,
    format: Format,
    names: BTreeMap<String, String>,
}

impl Label {
    pub(super) fn new(shape: &Shape, name: &str, part: LabelPart) -> Result<Label, String> {
        let from = match part.from.as_str() {
            "cpu" if shape.is_per_cpu() => From::Cpu,
            "cpu" => return Err(format!("map `{}` has no value for each CPU", shape.name)),
            path => From::Cell(Cell::new(shape, path)?),
        };
        let format = part.format.map_or(Ok(Format::Type), |word| format(shape, &word))?;
        Ok(Label { name: name.into(), from, format, names: part.names })
    }

    pub(super) fn is_cpu(&self) -> bool {
        matches!(self.from, From::Cpu)
    }

    /// True if it is read from the value, of which a per-CPU map has many.
    pub(super) fn is_of_value(&self) -> bool {
        matches!(&self.from, From::Cell(cell) if cell.side == Side::Value)
    }

    /// What it is for an element; `None` if it cannot be read.
    pub(super) fn read(&self, key: &[u8], value: &[u8], cpu: u32, names: &mut Names) -> Option<String> {
        let mut word = match &self.from {
            From::Cpu => cpu.to_string(),
            From::Cell(cell) => self.format.word(cell, key, value, names)?,
        };
        if let Some((end, _)) = word.char_indices().nth(LONGEST) {
            word.truncate(end);
        }
        Some(self.names.get(&word).cloned().unwrap_or(word))
    }
}

fn format(shape: &Shape, word: &str) -> Result<Format, String> {
    if let Some((_, format)) = FORMATS.iter().find(|(name, _)| *name == word) {
        return Ok(format.clone());
    }
    let known = || FORMATS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let Some(name) = word.strip_prefix("enum ") else {
        return Err(format!("`{word}` is no way to read a label; there are {}, enum NAME", known()));
    };
    let btf = shape.btf().ok_or_else(|| format!("map `{}` has no types", shape.name))?;
    let found = [BtfKind::Enum, BtfKind::Enum64].into_iter().find_map(|kind| btf.find(name, kind).ok());
    let ty = found.ok_or_else(|| format!("map `{}` knows no type `enum {name}`", shape.name))?;
    Ok(Format::Enum(Arc::clone(btf), ty))
}

impl Format {
    fn word(&self, cell: &Cell, key: &[u8], value: &[u8], names: &mut Names) -> Option<String> {
        let bytes = cell.bytes(key, value)?;
        let number = || number(&cell.read(key, value)?);
        Some(match self {
            Format::Type => of_type(&cell.read(key, value)?, bytes),
            Format::Ip => ip(bytes)?,
            Format::Mac => bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
            Format::Text => text(bytes),
            Format::Hex => packed(bytes),
            Format::Port => match cell.read(key, value)? {
                // `__be16` is decoded already; `__u16` holds the bytes as they were on the wire.
                Value::Uint(n) => match bytes {
                    [high, low] if n == u16::from_ne_bytes([*high, *low]).into() => {
                        u16::from_be_bytes([*high, *low]).to_string()
                    }
                    _ => n.to_string(),
                },
                _ => return None,
            },
            Format::Interface => names.interface(u32::try_from(number()?).ok()?),
            Format::Cgroup => names.cgroup(u64::try_from(number()?).ok()?),
            Format::Enum(btf, ty) => enumerator(btf, *ty, number()?),
        })
    }
}

fn number(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(n) | Value::Enum { value: n, .. } => Some(*n),
        Value::Uint(n) => i128::try_from(*n).ok(),
        Value::Char(c) => Some((*c).into()),
        Value::Bool(b) => Some((*b).into()),
        _ => None,
    }
}

fn of_type(value: &Value<'_>, bytes: &[u8]) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Int(n) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Char(c) => char::from(*c).to_string(),
        Value::Enum { name: Some(name), .. } => name.to_string(),
        Value::Enum { value, .. } => value.to_string(),
        Value::Bytes(bytes) => packed(bytes),
        // A `char` array that is no text after all.
        Value::Array(items) if matches!(items.first(), Some(Value::Char(_))) => text(bytes),
        other => other.to_string(),
    }
}

fn packed(bytes: &[u8]) -> String {
    hex(bytes).replace(' ', "")
}

/// Up to the NUL; what is no text is marked as such.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or(bytes)).into_owned()
}

/// An address as it lies in a packet: 4 bytes, or 16. An IPv4 address in the form of an IPv6 one is shown as IPv4.
fn ip(bytes: &[u8]) -> Option<String> {
    let ip = match bytes.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
        _ => return None,
    };
    Some(ip.to_string())
}

fn enumerator(btf: &Btf, ty: TypeId, number: i128) -> String {
    let name = match btf.resolve(ty).map(|ty| ty.kind) {
        Ok(Kind::Enum(values) | Kind::Enum64(values)) => {
            values.iter().find(|v| v.value == number).map(|v| v.name.to_string())
        }
        _ => None,
    };
    name.unwrap_or_else(|| number.to_string())
}
