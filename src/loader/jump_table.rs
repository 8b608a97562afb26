//! Jump tables: what a `switch` becomes, where the compiler jumps through a register.
//!
//! clang puts the targets into section `.jumptables`, 8 bytes each, as byte offsets in the section of the code
//! that jumps. The kernel wants a map of type `INSN_ARRAY` instead, with slots counted from the start of the
//! *program*, frozen before the program is loaded. Functions are copied behind each program that calls them,
//! so every program gets tables of its own:
//!
//! ```text
//!   .jumptables  [ .. 128, 152, 176 .. ]      function f: .text slots 10..40, in this program from slot 90 on
//!   map          [ 16-10+90, 19-10+90, 22-10+90 ]
//! ```
//!
//! Linux 6.19; clang from version 22 on with `-mcpu=v4`.

use super::subprog::Part;
use crate::bytes::{Cursor, Endian};
use crate::insn::InsnIx;

/// A jump table of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpTable {
    /// Where it is in section `.jumptables`, in bytes.
    pub offset: u32,
    /// For each entry the slot of its target, from the start of the program.
    pub targets: Vec<u32>,
}

/// Reads the table that the instruction in `slot` refers to.
pub(super) fn read(
    section: &[u8],
    endian: Endian,
    (offset, size): (u32, u32),
    slot: InsnIx,
    parts: &[Part],
) -> Result<JumpTable, String> {
    if offset % 8 != 0 || size % 8 != 0 {
        return Err(format!("jump table at {offset} with {size} bytes: entries are 8 bytes each"));
    }
    let Some(part) = parts.iter().rev().find(|p| p.at <= slot) else {
        return Err("a jump table is used outside of all functions".into());
    };
    let mut cursor = Cursor::new(section, endian).at(offset as usize);
    let mut targets = Vec::new();
    for _ in 0..size / 8 {
        let bytes = cursor.u64().map_err(|_| {
            format!(
                "jump table at {offset} with {size} bytes reaches past the end of .jumptables ({} bytes)",
                section.len()
            )
        })?;
        let target =
            (bytes / 8).checked_sub(part.func.offset.0.into()).and_then(|t| t.checked_add(part.at.0.into()));
        let target = target.and_then(|t| u32::try_from(t).ok());
        targets.push(target.ok_or_else(|| {
            format!(
                "jump table at {offset}: entry {bytes} lies before `{}`, which jumps there",
                part.func.name
            )
        })?);
    }
    Ok(JumpTable { offset, targets })
}
