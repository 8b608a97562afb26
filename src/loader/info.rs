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
use crate::btf::BtfExt;
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

/// Which of the two tables.
#[derive(Clone, Copy)]
pub(super) enum Table {
    Functions,
    Lines,
}

/// Collects the records of all parts. Empty if the main function has none: then the kernel could not make
/// sense of the others. An error names the function that lacks them while the main one has them.
pub(super) fn collect(ext: &BtfExt, parts: &[Part], table: Table, endian: Endian) -> Result<Records, String> {
    let mut out = Records::default();
    for (i, part) in parts.iter().enumerate() {
        let (rec_size, records) = match table {
            Table::Functions => (ext.func_info_rec_size(), ext.func_info_raw(&part.func.section)),
            Table::Lines => (ext.line_info_rec_size(), ext.line_info_raw(&part.func.section)),
        };
        out.rec_size = rec_size;
        let start = u64::from(part.func.offset.0) * 8;
        let end = start + part.func.insns.len() as u64 * 8;
        let before = out.bytes.len();
        for record in records {
            let Some((head, tail)) = record.split_first_chunk::<4>() else { continue };
            let offset = u64::from(endian.u32(*head));
            if (start..end).contains(&offset) {
                let slot = (offset - start) / 8 + u64::from(part.at.0);
                out.bytes.extend(endian.put_u32(slot as u32));
                out.bytes.extend(tail);
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
