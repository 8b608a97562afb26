//! Machine code as people read it. Nothing here knows a processor: the bytes are shown as they are, a source line's
//! worth at a time, so that what a line of C became can be compared and measured.

use rawbpf::progs::{LoadedFunction, LoadedLine};
use rawbpf::symbolize::KernelSymbols;
use serde::Serialize;

/// An instruction, of either kind.
#[derive(Debug, Serialize)]
pub(super) struct InsnRow {
    /// The slot, or the offset in bytes.
    pub(super) at: u32,
    pub(super) bytes: String,
    pub(super) text: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) source: Option<String>,
}

/// Bytes in a row.
const WIDTH: usize = 16;

/// Splits the code of a function where source lines begin, and after every 16 bytes.
pub(super) fn disassemble(
    function: &LoadedFunction,
    lines: &[&LoadedLine],
    _symbols: &KernelSymbols,
) -> Vec<InsnRow> {
    let start =
        |line: &&LoadedLine| usize::try_from(line.address.saturating_sub(function.address)).unwrap_or(0);
    let mut cuts: Vec<usize> = lines.iter().map(start).collect();
    cuts.extend([0, function.machine.len()]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut out = Vec::new();
    for window in cuts.windows(2) {
        let [from, to] = window else { continue };
        let line = lines.iter().rev().find(|l| start(l) <= *from);
        let code = function.machine.get(*from..*to).unwrap_or_default();
        for (nth, row) in code.chunks(WIDTH).enumerate() {
            out.push(InsnRow {
                at: (from + nth * WIDTH) as u32,
                bytes: row.iter().map(|b| format!("{b:02x}")).collect(),
                text: row.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "),
                file: line.map(|l| l.file.clone()),
                line: line.map(|l| l.line),
                source: line.map(|l| l.text.trim().to_string()),
            });
        }
    }
    out
}
