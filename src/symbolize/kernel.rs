//! Addresses of the kernel and of BPF programs.

use super::Frame;
use crate::kernel::{Symbol, Symbols};

/// The kernel's symbols by their addresses. Made from `/proc/kallsyms`, which shows addresses to root alone.
///
/// ```
/// use rawbpf::kernel::Symbols;
/// use rawbpf::symbolize::KernelSymbols;
/// let text = "ffffffff81000000 T _text\nffffffff81000100 t do_one\nffffffffc0000000 t nf_hook\t[nf_conntrack]\n";
/// let kernel = KernelSymbols::new(&Symbols::parse(text));
/// assert_eq!(kernel.frame(0xffffffff81000123).to_string(), "do_one+0x23");
/// assert_eq!(kernel.frame(0xffffffffc0000001).to_string(), "nf_hook+0x1 ([nf_conntrack])");
/// assert_eq!(kernel.frame(0x10).to_string(), "0x10");
/// ```
#[derive(Debug, Clone, Default)]
pub struct KernelSymbols {
    /// By address.
    all: Vec<Symbol>,
}

impl KernelSymbols {
    /// Sorts the symbols that are code. Empty if their addresses are hidden.
    pub fn new(symbols: &Symbols) -> KernelSymbols {
        let code = |s: &&Symbol| matches!(s.kind, 't' | 'T' | 'w' | 'W') && s.address != 0;
        let mut all: Vec<Symbol> = symbols.all().iter().filter(code).cloned().collect();
        all.sort_by_key(|s| s.address);
        KernelSymbols { all }
    }

    /// True if no symbols are known, or their addresses are hidden from this process.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What is at an address.
    pub fn frame(&self, address: u64) -> Frame {
        let after = self.all.partition_point(|s| s.address <= address);
        let Some(last) = after.checked_sub(1).and_then(|at| self.all.get(at)) else {
            return Frame::unknown(address);
        };
        // Of several names for one address, the first of them in the kernel's own order.
        let first = self.all.partition_point(|s| s.address < last.address);
        let symbol = self.all.get(first).unwrap_or(last);
        Frame {
            address,
            symbol: Some((symbol.name.clone(), address.saturating_sub(symbol.address))),
            file: symbol.module.as_ref().map(|m| (format!("[{m}]"), 0)),
        }
    }
}
