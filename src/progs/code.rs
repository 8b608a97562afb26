//! The code of a loaded program, as the kernel holds it: what the verifier made of the instructions that were loaded,
//! and the machine code that was made of those.
//!
//! ```text
//!   loaded      call 1                      the object's instructions
//!     │ verifier
//!   xlated      call +187392                addresses in place of numbers, bounds checks, inlined lookups
//!     │ JIT
//!   jited       e8 3c 1f 2a c1              one piece of machine code for each function
//! ```
//!
//! All functions of a program stand in one list, the main one first. Where each begins and which source line an
//! instruction comes from is in the records that were loaded with it; the kernel keeps both up to date while it
//! rewrites.

use super::loaded_btf;
use crate::btf::{Btf, Kind, StrOff, TypeId};
use crate::bytes::Endian;
use crate::insn::{InsnIx, RawInsn};
use crate::sys::{self, ProgFd, ProgLists, SysError};

/// The code of a loaded program.
#[derive(Debug, Clone, Default)]
pub struct LoadedCode {
    /// The instructions after the verifier, of all functions. Empty where the kernel hides them
    /// (`kernel.bpf_jit_harden`, or without `CAP_SYS_ADMIN` and `CAP_PERFMON`).
    pub insns: Vec<RawInsn>,
    /// The functions, the main one first; one without a name if nothing is known of them.
    pub functions: Vec<LoadedFunction>,
    /// Where source lines begin, by instruction.
    pub lines: Vec<LoadedLine>,
}

/// A function of a loaded program.
#[derive(Debug, Clone, Default)]
pub struct LoadedFunction {
    /// Its first instruction.
    pub at: InsnIx,
    /// Its name, if the program has types.
    pub name: String,
    /// Its declaration in C, if the program has types.
    pub proto: String,
    /// Address of its machine code; 0 if it is interpreted, or if the kernel hides addresses.
    pub address: u64,
    /// Its machine code; empty if it is interpreted, or hidden.
    pub machine: Vec<u8>,
}

/// Where a source line begins.
#[derive(Debug, Clone, Default)]
pub struct LoadedLine {
    /// The instruction.
    pub at: InsnIx,
    /// Address of the machine code of that instruction; 0 if it is not known.
    pub address: u64,
    /// The file, as the compiler was given it.
    pub file: String,
    /// The line, from 1 on.
    pub line: u32,
    /// The column, from 1 on.
    pub column: u32,
    /// The text of the line.
    pub text: String,
}

impl LoadedCode {
    /// Asks for the code of an open program.
    pub fn of(fd: &ProgFd) -> Result<LoadedCode, SysError> {
        let (raw, lists) = sys::prog_lists(fd)?;
        let btf = (raw.btf_id != 0).then(|| loaded_btf(raw.btf_id)).flatten();
        let bytes = lists.xlated.concat();
        Ok(LoadedCode {
            insns: RawInsn::read_all(&bytes, Endian::NATIVE),
            functions: functions(&lists, raw.func_info_rec_size, btf.as_deref()),
            lines: lines(&lists, raw.line_info_rec_size, btf.as_deref()),
        })
    }

    /// The line that an instruction comes from.
    pub fn line_at(&self, at: InsnIx) -> Option<&LoadedLine> {
        let after = self.lines.partition_point(|l| l.at <= at);
        self.lines.get(after.checked_sub(1)?)
    }

    /// The function that an instruction belongs to.
    pub fn function_at(&self, at: InsnIx) -> Option<&LoadedFunction> {
        self.functions.iter().rev().find(|f| f.at <= at)
    }

    /// The instructions of a function.
    pub fn insns_of(&self, function: usize) -> &[RawInsn] {
        let start = self.functions.get(function).map_or(0, |f| f.at.index());
        let next = self.functions.get(function.saturating_add(1));
        let end = next.map_or(self.insns.len(), |f| f.at.index());
        self.insns.get(start..end).unwrap_or_default()
    }
}

/// The words of a record that the kernel wrote.
fn words<const N: usize>(record: &[u8]) -> [u32; N] {
    let mut all = record.chunks_exact(4).filter_map(|w| w.first_chunk::<4>()).map(|w| u32::from_ne_bytes(*w));
    std::array::from_fn(|_| all.next().unwrap_or(0))
}

fn functions(lists: &ProgLists, record: u32, btf: Option<&Btf>) -> Vec<LoadedFunction> {
    let records = lists.func_info.chunks_exact(record.max(8) as usize);
    let mut out: Vec<LoadedFunction> = records
        .map(|record| {
            let [at, id] = words(record);
            let (name, proto) = btf.and_then(|btf| declaration(btf, TypeId(id))).unwrap_or_default();
            LoadedFunction { at: InsnIx(at), name, proto, ..Default::default() }
        })
        .collect();
    if out.is_empty() {
        out.push(LoadedFunction::default());
    }
    let mut rest = lists.jited.as_slice();
    for (nth, len) in lists.jited_func_lens.iter().enumerate() {
        let (machine, after) = rest.split_at(rest.len().min(*len as usize));
        rest = after;
        let address = lists.jited_ksyms.get(nth).copied().unwrap_or(0);
        match out.get_mut(nth) {
            Some(f) => (f.address, f.machine) = (address, machine.to_vec()),
            // Functions that the verifier added (for exceptions), or whose places nobody told. No instruction of the
            // list can be said to be theirs.
            None => out.push(LoadedFunction {
                at: InsnIx(u32::MAX),
                address,
                machine: machine.to_vec(),
                ..Default::default()
            }),
        }
    }
    out
}

fn declaration(btf: &Btf, id: TypeId) -> Option<(String, String)> {
    let ty = btf.ty(id).ok()?;
    let proto = match ty.kind {
        Kind::Func { .. } => btf.render_decl(id, "").unwrap_or_default(),
        _ => return None,
    };
    Some((ty.name.to_string(), proto))
}

fn lines(lists: &ProgLists, record: u32, btf: Option<&Btf>) -> Vec<LoadedLine> {
    let Some(btf) = btf else { return Vec::new() };
    let name = |off: u32| btf.name(StrOff(off)).map(|n| n.to_string()).unwrap_or_default();
    let mut addresses = lists.jited_line_info.iter().copied();
    let records = lists.line_info.chunks_exact(record.max(16) as usize);
    records
        .map(|record| {
            let [at, file, text, place] = words(record);
            LoadedLine {
                at: InsnIx(at),
                address: addresses.next().unwrap_or(0),
                file: name(file),
                line: place >> 10,
                column: place & 0x3ff,
                text: name(text),
            }
        })
        .collect()
}
