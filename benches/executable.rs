//! A large executable to look for a symbol in.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// How many functions make 100 MB.
pub(crate) const COUNT: u32 = 1_400_000;

/// The name of a function.
pub(crate) fn name(n: u32) -> String {
    format!("a_function_with_a_usual_name_{n:07}")
}

/// An executable with `count` functions: a header, code, symbols, their names, and the section headers.
pub(crate) fn write(path: &Path, count: u32) -> std::io::Result<u64> {
    const CODE: u64 = 0x1000;
    let name = |n: u32| format!("{}\0", name(n));
    let names: u64 = (0..count).map(|n| name(n).len() as u64).sum::<u64>() + 1;
    let code_len = u64::from(count) * 8;
    let symbols_at = CODE + code_len;
    let names_at = symbols_at + u64::from(count + 1) * 24;
    let sections_at = (names_at + names).next_multiple_of(8);
    let mut f = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut words = |list: &[(u64, usize)]| -> std::io::Result<()> {
        list.iter().try_for_each(|(value, len)| f.write_all(&value.to_le_bytes()[..*len]))
    };
    // The ELF header: class 64, little-endian, executable, x86-64; a program header; four section headers.
    words(&[
        (0x0001_0102_464c_457f, 8),
        (0, 8),
        (2, 2),
        (62, 2),
        (1, 4),
        (CODE, 8),
        (64, 8),
        (sections_at, 8),
    ])?;
    words(&[(0, 4), (64, 2), (56, 2), (1, 2), (64, 2), (4, 2), (3, 2)])?;
    // PT_LOAD, readable and executable, all of the file.
    words(&[(1, 4), (5, 4), (0, 8), (0, 8), (0, 8), (symbols_at, 8), (symbols_at, 8), (0x1000, 8)])?;
    f.write_all(&vec![0x90; (symbols_at - 120) as usize])?;
    f.write_all(&[0; 24])?;
    let mut at = 1u32;
    for n in 0..count {
        f.write_all(&at.to_le_bytes())?;
        f.write_all(&[0x12, 0, 1, 0])?; // a global function of section 1
        f.write_all(&(CODE + u64::from(n) * 8).to_le_bytes())?;
        f.write_all(&8u64.to_le_bytes())?;
        at += name(n).len() as u32;
    }
    f.write_all(&[0])?;
    for n in 0..count {
        f.write_all(name(n).as_bytes())?;
    }
    f.write_all(&vec![0; (sections_at - names_at - names) as usize])?;
    let mut section = |kind: u64, flags: u64, at: u64, len: u64, link: u64, each: u64| {
        let list =
            [(0, 4), (kind, 4), (flags, 8), (at, 8), (at, 8), (len, 8), (link, 4), (1, 4), (8, 8), (each, 8)];
        list.iter().try_for_each(|(value, len): &(u64, usize)| f.write_all(&value.to_le_bytes()[..*len]))
    };
    section(0, 0, 0, 0, 0, 0)?;
    section(1, 6, CODE, code_len, 0, 0)?;
    section(2, 0, symbols_at, u64::from(count + 1) * 24, 3, 24)?;
    section(3, 0, names_at, names, 0, 0)?;
    f.flush()?;
    Ok(sections_at + 4 * 64)
}
