//! The notes that tell where a file's USDT probes are.
//!
//! ```text
//!   u32 length of the name, u32 length of the body, u32 type 3, "stapsdt\0"
//!   body: address of the nop, address of .stapsdt.base when it was linked, address of the semaphore,
//!         provider\0 name\0 arguments\0
//! ```
//!
//! Tools that move a program after it was linked do not know these notes. So the address of the section
//! `.stapsdt.base` is in each, and how far that section has moved is how far all has.

use super::super::exe::{Exe, ExeError};
use crate::bytes::Cursor;

/// One place of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::links) struct Probe {
    /// Address of the nop, as linked.
    pub(in crate::links) address: u64,
    /// Where the nop is in the file.
    pub(in crate::links) offset: u64,
    /// Where the semaphore is in the file; 0 if there is none.
    pub(in crate::links) semaphore: u64,
    pub(in crate::links) provider: String,
    pub(in crate::links) name: String,
    /// As the assembler wrote them.
    pub(in crate::links) arguments: String,
}

/// All places of all probes of a file.
pub(in crate::links) fn read(exe: &Exe) -> Result<Vec<Probe>, ExeError> {
    let Some((_, notes)) = exe.section(".note.stapsdt")? else { return Ok(Vec::new()) };
    let base = exe.section(".stapsdt.base")?.map(|(section, _)| section.sh_addr);
    let mut out = Vec::new();
    let mut rest = Cursor::new(&notes, exe.endian());
    while let Some((kind, name, body)) = next(&mut rest) {
        // Other notes may be among them.
        if (kind, name) == (3, b"stapsdt\0".as_slice()) {
            out.extend(probe(exe, base, body));
        }
    }
    Ok(out)
}

/// The next note: its type, name and body.
fn next<'a>(notes: &mut Cursor<'a>) -> Option<(u32, &'a [u8], &'a [u8])> {
    let (name_len, body_len, kind) = (notes.u32().ok()?, notes.u32().ok()?, notes.u32().ok()?);
    let name = padded(notes, name_len)?;
    let body = padded(notes, body_len)?;
    Some((kind, name, body))
}

/// Bytes, and the padding behind them up to a multiple of 4, which the last may lack.
fn padded<'a>(notes: &mut Cursor<'a>, len: u32) -> Option<&'a [u8]> {
    let bytes = notes.bytes(len as usize).ok()?;
    let padding = len.next_multiple_of(4).checked_sub(len)? as usize;
    let _ = notes.bytes(padding.min(notes.left()));
    Some(bytes)
}

/// A probe, unless its addresses are outside of the file.
fn probe(exe: &Exe, base: Option<u64>, body: &[u8]) -> Option<Probe> {
    let mut c = Cursor::new(body, exe.endian());
    let (address, linked_base, semaphore) = (c.u64().ok()?, c.u64().ok()?, c.u64().ok()?);
    let mut texts = body.get(c.pos()..)?.split(|&b| b == 0);
    let mut text = || texts.next().map(|t| String::from_utf8_lossy(t).into_owned());
    let (provider, name, arguments) = (text()?, text()?, text()?);
    let moved = base.filter(|_| linked_base != 0).map_or(0, |now| now.wrapping_sub(linked_base));
    let address = address.wrapping_add(moved);
    let (offset, is_code) = exe.offset_of(address)?;
    let semaphore = match semaphore {
        0 => 0,
        at => exe.offset_of(at.wrapping_add(moved)).filter(|(_, is_code)| !is_code)?.0,
    };
    is_code.then_some(Probe { address, offset, semaphore, provider, name, arguments })
}
