//! The fields of a type, one by one: so that what an old program wrote can be read as a new one's.
//!
//! ```text
//!   struct flow { __u32 packets; struct { __u64 first, last; } seen; };
//!     packets       bits 0..32     number
//!     seen.first    bits 64..128   number
//!     seen.last     bits 128..192  number
//! ```
//!
//! Two fields are the same if they have the same path. What the path does not say (what a number means) cannot be known
//! here; a field that is to mean something else has to get another name.

use crate::btf::{Btf, Kind, TypeId};

/// A field that has no fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Names from the outside in, with dots; elements of arrays as `[N]`. Empty for a type that is no struct.
    pub path: String,
    /// Where it begins, in bits.
    pub at: u64,
    /// How many bits it has.
    pub bits: u64,
    /// Whether it is a signed number.
    pub signed: bool,
    /// It is a number, and can be widened.
    pub number: bool,
}

/// The most fields of one type.
const MOST: usize = 4096;

/// The fields of a type; `None` if it has no types, or too many fields.
pub fn leaves(btf: &Btf, ty: TypeId) -> Option<Vec<Leaf>> {
    let mut out = Vec::new();
    walk(btf, ty, "", 0, 0, 0, &mut out)?;
    Some(out)
}

fn walk(
    btf: &Btf,
    ty: TypeId,
    path: &str,
    at: u64,
    bits: u64,
    depth: u32,
    out: &mut Vec<Leaf>,
) -> Option<()> {
    if depth > 32 || out.len() > MOST {
        return None;
    }
    let found = btf.resolve(ty).ok()?;
    let size = u64::from(btf.size_of(ty).ok()?) * 8;
    let bits = if bits == 0 { size } else { bits };
    let leaf = |number, signed| Leaf { path: path.into(), at, bits, signed, number };
    let within = |name: &str| match (path, name) {
        (path, "") => path.to_string(),
        ("", name) => name.to_string(),
        (path, name) => format!("{path}.{name}"),
    };
    match found.kind {
        Kind::Struct(members) => {
            for member in members {
                let (name, offset) = (member.name.to_string(), at + u64::from(member.bit_offset));
                walk(btf, member.ty, &within(&name), offset, u64::from(member.bit_size), depth + 1, out)?;
            }
        }
        Kind::Datasec(vars) => {
            for var in vars {
                let variable = btf.ty(var.ty).ok()?;
                let Kind::Var { ty, .. } = variable.kind else { return None };
                walk(
                    btf,
                    ty,
                    &within(&variable.name.to_string()),
                    at + u64::from(var.offset) * 8,
                    0,
                    depth + 1,
                    out,
                )?;
            }
        }
        Kind::Array(array) => {
            let each = u64::from(btf.size_of(array.elem).ok()?) * 8;
            for n in 0..array.len {
                walk(btf, array.elem, &format!("{path}[{n}]"), at + u64::from(n) * each, 0, depth + 1, out)?;
            }
        }
        Kind::Int(int) => out.push(leaf(true, int.encoding.is_signed())),
        Kind::Enum(_) | Kind::Enum64(_) => out.push(leaf(true, false)),
        // What is in a union only its user knows; it goes as a whole, or not at all.
        _ => out.push(leaf(false, false)),
    }
    Some(())
}

/// How bytes of an old type become those of a new one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copying {
    moves: Vec<(Leaf, Leaf)>,
    size: usize,
    /// Fields of the old type that have no place in the new one.
    pub dropped: Vec<String>,
    /// Fields that the old type does not have: they become zero.
    pub added: Vec<String>,
    /// Fields that are narrower now, or no numbers: a value that does not fit is not copied.
    pub narrowed: Vec<String>,
}

impl Copying {
    /// Decides for two types; `size` is that of the new one in bytes.
    pub fn new(old: &[Leaf], new: &[Leaf], size: usize) -> Copying {
        let mut out = Copying { size, ..Copying::default() };
        for leaf in new {
            match old.iter().find(|o| o.path == leaf.path) {
                None => out.added.push(leaf.path.clone()),
                Some(from) if from.number && leaf.number && from.bits <= 64 && leaf.bits <= 64 => {
                    if from.bits > leaf.bits || from.signed != leaf.signed && from.bits >= leaf.bits {
                        out.narrowed.push(leaf.path.clone());
                    }
                    out.moves.push((from.clone(), leaf.clone()));
                }
                Some(from) if from.bits == leaf.bits && from.number == leaf.number => {
                    out.moves.push((from.clone(), leaf.clone()));
                }
                Some(_) => {
                    out.added.push(leaf.path.clone());
                    out.dropped.push(leaf.path.clone());
                }
            }
        }
        let gone = old.iter().filter(|o| !new.iter().any(|n| n.path == o.path));
        out.dropped.extend(gone.map(|o| o.path.clone()));
        out
    }

    /// True if nothing is lost, added or moved: the bytes mean the same.
    pub fn is_same(&self) -> bool {
        self.dropped.is_empty()
            && self.added.is_empty()
            && self.narrowed.is_empty()
            && self.moves.iter().all(|(a, b)| a == b)
    }

    /// The new bytes; `None` if a number does not fit its new field.
    pub fn copy(&self, old: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.size];
        for (from, to) in &self.moves {
            if !from.number {
                let byte = |at: u64| usize::try_from(at / 8).ok();
                let source = old.get(byte(from.at)?..byte(from.at + from.bits)?)?;
                out.get_mut(byte(to.at)?..byte(to.at + to.bits)?)?.copy_from_slice(source);
                continue;
            }
            let value = read(old, from)?;
            if !fits(value, to) {
                return None;
            }
            write(&mut out, to, value)?;
        }
        Some(out)
    }
}

/// Bit `n` of the type is bit `n % 8` of byte `n / 8`, or the other way round on big-endian machines.
fn bit(at: u64) -> (usize, u32) {
    let (byte, bit) = ((at / 8) as usize, (at % 8) as u32);
    if cfg!(target_endian = "big") { (byte, 7 - bit) } else { (byte, bit) }
}

fn place(leaf: &Leaf, n: u64) -> (usize, u32) {
    // The lowest bit comes first, or last on big-endian machines.
    if cfg!(target_endian = "big") { bit(leaf.at + leaf.bits - 1 - n) } else { bit(leaf.at + n) }
}

fn read(bytes: &[u8], leaf: &Leaf) -> Option<i128> {
    let mut value: i128 = 0;
    for n in 0..leaf.bits {
        let (byte, bit) = place(leaf, n);
        value |= i128::from(bytes.get(byte)? >> bit & 1) << n;
    }
    let negative = leaf.signed && leaf.bits > 0 && value >> (leaf.bits - 1) & 1 == 1;
    Some(if negative { value - (1 << leaf.bits) } else { value })
}

fn fits(value: i128, leaf: &Leaf) -> bool {
    if leaf.signed {
        let half = 1i128 << leaf.bits.saturating_sub(1);
        (-half..half).contains(&value)
    } else {
        (0..1i128 << leaf.bits).contains(&value)
    }
}

fn write(bytes: &mut [u8], leaf: &Leaf, value: i128) -> Option<()> {
    for n in 0..leaf.bits {
        let (byte, bit) = place(leaf, n);
        let one = 1u8 << bit;
        let slot = bytes.get_mut(byte)?;
        *slot = if value >> n & 1 == 1 { *slot | one } else { *slot & !one };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(path: &str, at: u64, bits: u64, signed: bool) -> Leaf {
        Leaf { path: path.into(), at, bits, signed, number: true }
    }

    #[test]
    fn fields_are_copied_by_name() {
        let old = [leaf("packets", 0, 32, false), leaf("gone", 32, 32, false), leaf("level", 64, 32, true)];
        let new = [leaf("level", 0, 64, true), leaf("packets", 64, 64, false), leaf("bytes", 128, 64, false)];
        let copying = Copying::new(&old, &new, 24);
        assert_eq!(
            (copying.dropped.as_slice(), copying.added.as_slice()),
            (&["gone".to_string()][..], &["bytes".to_string()][..])
        );
        assert!(!copying.is_same() && copying.narrowed.is_empty());
        let bytes = [7u32.to_ne_bytes(), 9u32.to_ne_bytes(), (-3i32).to_ne_bytes()].concat();
        let expected = [(-3i64).to_ne_bytes(), 7u64.to_ne_bytes(), 0u64.to_ne_bytes()].concat();
        assert_eq!(copying.copy(&bytes), Some(expected));
    }

    #[test]
    fn a_number_that_does_not_fit_is_not_cut() {
        let copying = Copying::new(&[leaf("n", 0, 32, false)], &[leaf("n", 0, 8, false)], 1);
        assert_eq!(copying.narrowed, ["n"]);
        assert_eq!(copying.copy(&200u32.to_ne_bytes()), Some(vec![200]));
        assert_eq!(copying.copy(&300u32.to_ne_bytes()), None);
        let signed = Copying::new(&[leaf("n", 0, 32, true)], &[leaf("n", 0, 64, false)], 8);
        assert_eq!(signed.copy(&(-1i32).to_ne_bytes()), None);
    }

    #[test]
    fn the_same_fields_are_the_same() {
        let fields = [leaf("a", 0, 32, false), leaf("b", 35, 5, true)];
        assert!(Copying::new(&fields, &fields, 8).is_same());
    }
}
