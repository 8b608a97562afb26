//! Function and line records: which source line an instruction comes from.
//!
//! `.BTF.ext` has records by ELF section, in bytes from the section's start. The kernel wants them by
//! slot from the start of the *program*, for its main function and for every function that was copied
//! behind it. So records are picked by each part's range and moved to where the part went:
//!
//! ```text
//!   .BTF.ext  .text:  byte 64 ─► line 12        program slot 9 ─► line 12
//!             part: .text slot 8.. is at program slot 9..
//! ```
//!
//! The kernel shows these lines in the verifier's log and in dumps of the program.

use super::subprog::Part;
use crate::btf::{Btf, ExtRecord, ExtSections, StrOff};
use crate::bytes::Endian;

/// Records for one program, as `BPF_PROG_LOAD` takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// The records, one after the other.
    pub bytes: Vec<u8>,
    /// Bytes of one record.
    pub rec_size: u32,
}

impl Records {
    /// How many there are.
    pub fn len(&self) -> usize {
        if self.rec_size == 0 { 0 } else { self.bytes.len() / self.rec_size as usize }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Collects the records of all parts. Empty if the main function has none: then the kernel could not make
/// sense of the others. The error is the function that lacks them while the main one has them.
pub(super) fn collect<R: ExtRecord>(
    btf: &Btf,
    table: ExtSections<'_, R>,
    parts: &[Part],
    endian: Endian,
) -> Result<Records, String> {
    let mut out = Records { bytes: Vec::new(), rec_size: table.rec_size() as u32 };
    for (i, part) in parts.iter().enumerate() {
        let start = u64::from(part.func.offset.0) * 8;
        let end = start + part.func.insns.len() as u64 * 8;
        let before = out.bytes.len();
        for section in table.clone().filter(|s| is_named(btf, s.name, &part.func.section)) {
            for record in section.bytes().chunks_exact(table.rec_size().max(1)) {
                let Some((head, tail)) = record.split_first_chunk::<4>() else { continue };
                let offset = u64::from(endian.u32(*head));
                if (start..end).contains(&offset) {
                    let slot = (offset - start) / 8 + u64::from(part.at.0);
                    out.bytes.extend(endian.put_u32(slot as u32));
                    out.bytes.extend(tail);
                }
            }
        }
        match (out.bytes.len() > before, i) {
            (true, _) => {}
            (false, 0) => return Ok(Records::default()),
            (false, _) => return Err(part.func.name.clone()),
        }
    }
    Ok(out)
}

fn is_named(btf: &Btf, name: StrOff, section: &str) -> bool {
    btf.name(name).is_ok_and(|n| n == section)
}
