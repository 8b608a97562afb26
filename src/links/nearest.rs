//! Names that are like one that is not there.

use crate::elf::section::distance;

/// How often each letter is in a name.
fn letters(name: &str) -> [u8; 32] {
    let mut out = [0u8; 32];
    for slot in name.bytes().map(|b| usize::from(b % 32)) {
        if let Some(count) = out.get_mut(slot) {
            *count = count.saturating_add(1);
        }
    }
    out
}

/// How many letters one name has and the other has not: every change of a letter makes at most two.
fn differ(wanted: &[u8; 32], name: &str) -> usize {
    wanted.iter().zip(letters(name)).map(|(a, b)| usize::from(a.abs_diff(b))).sum()
}

/// The names nearest to `wanted`, as ` (nearest: a, b)`; empty if none is near.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    /// Among the names of a kernel or of a large file only those are compared that may be near: a
    /// comparison takes time in the product of both lengths.
    const LETTERS: usize = 3;
    let limit = 1 + wanted.len() / 4;
    let letters = letters(wanted);
    let may_be_near = |name: &&str| {
        name.len().abs_diff(wanted.len()) <= limit.min(LETTERS) && differ(&letters, name) <= 2 * limit
    };
    let mut best: Vec<(usize, &str)> = Vec::new();
    for name in names.filter(may_be_near) {
        let far = distance(wanted, name);
        if far <= limit && !best.iter().any(|(_, known)| *known == name) {
            best.push((far, name));
            best.sort();
            best.truncate(3);
        }
    }
    match best.as_slice() {
        [] => String::new(),
        near => format!(" (nearest: {})", near.iter().map(|(_, n)| *n).collect::<Vec<_>>().join(", ")),
    }
}
