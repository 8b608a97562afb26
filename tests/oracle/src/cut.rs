//! Cuts BPF objects out of the programs that carry them.

const MAGIC: &[u8] = b"\x7fELF\x02";

fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let mut out = 0u64;
    for (i, b) in bytes.get(at..at + len)?.iter().enumerate() {
        out |= u64::from(*b) << (8 * i);
    }
    Some(out)
}

/// The length of the object that begins here, if one does: up to the end of its last section or header.
fn length(bytes: &[u8]) -> Option<usize> {
    let is_bpf = number(bytes, 16, 2)? == 1 && number(bytes, 18, 2)? == 247;
    if !bytes.starts_with(MAGIC) || !is_bpf {
        return None;
    }
    let (headers, size, count) = (number(bytes, 40, 8)?, number(bytes, 58, 2)?, number(bytes, 60, 2)?);
    let mut end = headers + size * count;
    for i in 0..count {
        let at = (headers + i * size) as usize;
        if number(bytes, at + 4, 4)? != 8 {
            end = end.max(number(bytes, at + 24, 8)? + number(bytes, at + 32, 8)?);
        }
    }
    (end <= bytes.len() as u64).then_some(end as usize)
}

/// The objects in a file: the file itself, or all that are in it.
pub fn objects(bytes: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(MAGIC.len()).position(|w| w == MAGIC) {
        at += next;
        match length(&bytes[at..]) {
            Some(len) => {
                out.push(&bytes[at..at + len]);
                at += len;
            }
            None => at += 1,
        }
    }
    out
}
