//! Libraries that are run out of an archive, without being unpacked: `base.apk!/lib/arm64-v8a/libapp.so`.
//!
//! Android's loader maps a library from within its package, where it lies uncompressed. So the file that a uprobe is
//! set on is the archive, and the library's own offsets count from where it begins in there.
//!
//! A ZIP file is read from its end:
//!
//! ```text
//!   ┌──────────────┬───────────────────┬──────────────┬─────┬───────────────────┬─────┐
//!   │ local header │ bytes of an entry │ local header │ ... │ central directory │ end │
//!   └──────────────┴───────────────────┴──────────────┴─────┴───────────────────┴─────┘
//!        ▲                                                     │ a record an entry  │
//!        └─────────────────────────────────────────────────────┘◄──────────────────┘
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::ExeError;
use crate::bytes::{Cursor, Endian, Truncated};

/// The record at the end, without the comment behind it.
const END: usize = 22;
/// A comment is at most as long as its length field can say.
const MAX_COMMENT: u64 = 0xffff;
/// A record of the central directory, without the texts behind it.
const RECORD: usize = 46;
/// A local header, without the texts behind it.
const LOCAL: u64 = 30;
/// The longest central directory that is read.
const MAX_DIRECTORY: u64 = 64 << 20;

/// What the central directory says of an entry.
struct Entry {
    flags: u16,
    method: u16,
    packed: u32,
    size: u32,
    /// Where its local header is.
    header: u32,
}

/// Where the bytes of an entry are in the archive: from where, and how many.
pub(super) fn locate(file: &File, len: u64, name: &str) -> Result<(u64, u64), ExeError> {
    let entry = find(file, len, name)?;
    let bad = |why: &str| Err(ExeError(format!("cannot be used: `{name}` in it {why}")));
    match entry {
        Entry { method: 1.., .. } => {
            return bad("is compressed; code is run from an archive only where it is stored as it is");
        }
        Entry { flags, .. } if flags & 1 != 0 => return bad("is encrypted"),
        Entry { size: u32::MAX, .. } | Entry { header: u32::MAX, .. } => return bad("has 64-bit sizes"),
        Entry { packed, size, .. } if packed != size => return bad("has two sizes"),
        _ => {}
    }
    let at = u64::from(entry.header);
    let head = read(file, len, at, LOCAL)?;
    if !head.starts_with(b"PK\x03\x04") {
        return bad("does not begin where the directory says");
    }
    let mut texts = Cursor::new(&head, Endian::Little).at(26);
    let (name_len, extra) = (texts.u16().map_err(cut)?, texts.u16().map_err(cut)?);
    let start = at + LOCAL + u64::from(name_len) + u64::from(extra);
    match start.checked_add(entry.size.into()) {
        Some(end) if end <= len => Ok((start, entry.size.into())),
        _ => bad("ends behind the archive's end"),
    }
}

fn cut(_: Truncated) -> ExeError {
    ExeError("is damaged: a record of the archive is cut off".into())
}

/// Bytes that are there in full; nothing is allocated for those that are not.
fn read(file: &File, len: u64, at: u64, count: u64) -> Result<Vec<u8>, ExeError> {
    at.checked_add(count).filter(|end| *end <= len).ok_or_else(|| cut_off(at))?;
    let mut out = vec![0; count as usize];
    file.read_exact_at(&mut out, at).map_err(|e| ExeError(format!("cannot be read: {e}")))?;
    Ok(out)
}

fn cut_off(at: u64) -> ExeError {
    ExeError(format!("is damaged: it refers to byte {at}, and ends before"))
}

/// The entry of this name.
fn find(file: &File, len: u64, name: &str) -> Result<Entry, ExeError> {
    let directory = directory(file, len)?;
    let mut at = 0usize;
    while let Some(record) = directory.get(at..at.saturating_add(RECORD)) {
        if !record.starts_with(b"PK\x01\x02") {
            return Err(ExeError("is damaged: its directory holds something else".into()));
        }
        let mut c = Cursor::new(record, Endian::Little).at(8);
        let (flags, method) = (c.u16().map_err(cut)?, c.u16().map_err(cut)?);
        let mut c = c.at(20);
        let (packed, size) = (c.u32().map_err(cut)?, c.u32().map_err(cut)?);
        let texts = [c.u16().map_err(cut)?, c.u16().map_err(cut)?, c.u16().map_err(cut)?].map(usize::from);
        let header = c.at(42).u32().map_err(cut)?;
        let begin = at.saturating_add(RECORD);
        if directory.get(begin..begin.saturating_add(texts[0])) == Some(name.as_bytes()) {
            return Ok(Entry { flags, method, packed, size, header });
        }
        at = begin.saturating_add(texts.iter().sum());
    }
    Err(ExeError(format!("has no entry `{name}`")))
}

/// The central directory. The record that tells where it is ends the file, with a comment of unknown length behind it.
fn directory(file: &File, len: u64) -> Result<Vec<u8>, ExeError> {
    let tail_len = len.min(END as u64 + MAX_COMMENT);
    let tail = read(file, len, len.saturating_sub(tail_len), tail_len)?;
    let is_end = |bytes: &&[u8]| {
        let comment = bytes.get(END - 2..).and_then(|b| b.first_chunk()).map(|b| u16::from_le_bytes(*b));
        bytes.starts_with(b"PK\x05\x06") && comment.map(usize::from) == bytes.len().checked_sub(END)
    };
    let end = (0..tail.len()).rev().filter_map(|at| tail.get(at..)).find(is_end);
    let end = end.ok_or_else(|| ExeError("is no archive: it does not end as ZIP files do".into()))?;
    let mut c = Cursor::new(end, Endian::Little).at(12);
    let (size, at) = (c.u32().map_err(cut)?, c.u32().map_err(cut)?);
    if u64::from(size) > MAX_DIRECTORY {
        return Err(ExeError(format!("has a directory of {size} bytes")));
    }
    read(file, len, at.into(), size.into())
}
