//! A place in an element: `key.saddr`, `value.bytes`, `value.slots[3]`, `value.dropped` (a variable of `.bss`).
//!
//! The path is followed once, through the BTF of the map, and what is left of it is an offset and a type. So a
//! mistake in it is found before anything is served, and reading an element costs no search.

use std::sync::Arc;

use rawbpf::Map;
use rawbpf::btf::{Btf, BtfError, BtfField, Kind, TypeId, Value, decode_field};
use rawbpf::elf::MapDef;
use rawbpf::uapi::MapType;

/// More slots than that are not read.
pub(super) const MOST: u32 = 1024;

/// What is known of a map before it is read: of one on the machine, or of one in an object file.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) object: Option<String>,
    pub(super) name: String,
    pub(super) map_type: MapType,
    pub(super) max_entries: u32,
    key: (TypeId, usize),
    value: (TypeId, usize),
    btf: Option<Arc<Btf>>,
}

impl Shape {
    /// Of a map of this machine.
    pub(super) fn of_map(object: Option<&str>, name: &str, map: &Map) -> Shape {
        let info = map.info();
        Shape {
            object: object.map(String::from),
            name: name.into(),
            map_type: info.map_type,
            max_entries: info.max_entries,
            key: (info.key_type, info.key_size as usize),
            value: (info.value_type, info.value_size as usize),
            btf: map.btf().cloned(),
        }
    }

    /// Of a map that an object declares.
    pub(super) fn of_def(object: &str, def: &MapDef, btf: Option<&Arc<Btf>>) -> Shape {
        Shape {
            object: Some(object.into()),
            name: def.name.clone(),
            map_type: def.map_type,
            max_entries: def.max_entries,
            key: (def.key_type.unwrap_or_default(), def.key_size as usize),
            value: (def.value_type.unwrap_or_default(), def.value_size as usize),
            btf: btf.cloned(),
        }
    }

    pub(super) fn is_per_cpu(&self) -> bool {
        rawbpf::sys::map::is_per_cpu(self.map_type)
    }

    /// True if another map has the same elements: the cells of this one read that one, too.
    pub(super) fn is_like(&self, other: &Shape) -> bool {
        self.map_type == other.map_type && self.key == other.key && self.value == other.value
    }

    pub(super) fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }
}

/// Which half of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Key,
    Value,
}

/// A place in an element.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) side: Side,
    /// The types and what was found by them; without types the whole half is one number.
    typed: Option<(Arc<Btf>, BtfField)>,
    size: usize,
}

impl Cell {
    /// Follows a path.
    pub(super) fn new(shape: &Shape, path: &str) -> Result<Cell, String> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (half, rest) = path.split_at_checked(end).unwrap_or((path, ""));
        let (side, (ty, size)) = match half {
            "key" => (Side::Key, shape.key),
            "value" => (Side::Value, shape.value),
            _ => return Err(format!("`{path}` is not a path: it begins with `key` or `value`")),
        };
        let Some(btf) = shape.btf.as_ref().filter(|_| ty != TypeId(0)) else {
            return match (rest, size) {
                ("", 1 | 2 | 4 | 8) => Ok(Cell { side, typed: None, size }),
                _ => Err(format!(
                    "the {half} of map `{}` has no type, so it has no members: {size} bytes",
                    shape.name
                )),
            };
        };
        let field = locate(btf, ty, rest).map_err(|e| e.to_string())?;
        let size = btf.size_of(field.ty).map_err(|e| e.to_string())? as usize;
        Ok(Cell { side, typed: Some((Arc::clone(btf), field)), size })
    }

    /// The elements of an array, each a cell; `None` if this is no array.
    pub(super) fn items(&self) -> Option<Vec<Cell>> {
        let (btf, field) = self.typed.as_ref()?;
        let Kind::Array(array) = btf.resolve(field.ty).ok()?.kind else { return None };
        let each = btf.size_of(array.elem).ok()?;
        let item = |n: u32| {
            let bit_offset = field.bit_offset + u64::from(n) * u64::from(each) * 8;
            let field = BtfField { ty: array.elem, bit_offset, bit_size: 0 };
            Cell { side: self.side, typed: Some((Arc::clone(btf), field)), size: each as usize }
        };
        Some((0..array.len.min(MOST)).map(item).collect())
    }

    /// What its type is called, if it is not one number; for an error.
    pub(super) fn not_a_number(&self) -> Option<String> {
        let (btf, field) = self.typed.as_ref()?;
        let ty = btf.resolve(field.ty).ok()?;
        let is_number = match ty.kind {
            Kind::Int(int) => int.size <= 8,
            Kind::Enum(_) | Kind::Enum64(_) | Kind::Float { .. } => true,
            _ => false,
        };
        let name = || btf.render_decl(field.ty, "").unwrap_or_else(|_| "of another type".into());
        (!is_number).then(|| match ty.members() {
            Some(members) => {
                let names: Vec<_> = members.iter().map(|m| m.name.to_string()).collect();
                format!("{} with the members {}", name(), names.join(", "))
            }
            None => name(),
        })
    }

    /// Whether it is an unsigned number of 64 bits, which counts round and round.
    pub(super) fn wraps(&self) -> bool {
        let Some((btf, field)) = &self.typed else { return self.size == 8 };
        let kind = btf.resolve(field.ty).map(|ty| ty.kind);
        matches!(kind, Ok(Kind::Int(int)) if int.size == 8 && !int.encoding.is_signed())
    }

    /// Its value in an element.
    pub(super) fn read<'a>(&'a self, key: &[u8], value: &[u8]) -> Option<Value<'a>> {
        let half = if self.side == Side::Key { key } else { value };
        match &self.typed {
            Some((btf, field)) => decode_field(btf, *field, half).ok(),
            None => number(half.get(..self.size)?).map(Value::Uint),
        }
    }

    /// Its bytes in an element.
    pub(super) fn bytes<'d>(&self, key: &'d [u8], value: &'d [u8]) -> Option<&'d [u8]> {
        let half = if self.side == Side::Key { key } else { value };
        let start = self.typed.as_ref().map_or(0, |(_, field)| field.bit_offset / 8) as usize;
        let end = start.checked_add(self.size)?;
        // The type that a bit field is declared with may reach past the end.
        let is_bits = self.typed.as_ref().is_some_and(|(_, field)| field.bit_size != 0);
        half.get(start..if is_bits { end.min(half.len()) } else { end })
    }
}

/// Bytes in the machine's order.
fn number(bytes: &[u8]) -> Option<u128> {
    let mut wide = [0u8; 16];
    let to = if cfg!(target_endian = "big") {
        wide.get_mut(16usize.checked_sub(bytes.len())?..)
    } else {
        wide.get_mut(..bytes.len())
    };
    to?.copy_from_slice(bytes);
    Some(u128::from_ne_bytes(wide))
}

/// A member of a type; of the value of `.bss` and its kin, a variable and what is in it.
fn locate(btf: &Btf, ty: TypeId, path: &str) -> Result<BtfField, BtfError> {
    let Kind::Datasec(vars) = btf.resolve(ty)?.kind else { return btf.field(ty, path) };
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at_checked(end).unwrap_or((path, ""));
    for var in vars {
        if btf.ty(var.ty)?.name == name {
            let field = btf.field(var.ty, rest)?;
            return Ok(BtfField { bit_offset: field.bit_offset + u64::from(var.offset) * 8, ..field });
        }
    }
    let members = vars.iter().filter_map(|v| btf.ty(v.ty).ok()).map(|ty| ty.name.to_string()).collect();
    let section = btf.ty(ty)?.name.to_string();
    Err(BtfError::NoMember { ty: section, member: name.into(), path: path.into(), members })
}
