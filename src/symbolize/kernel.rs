//! Addresses of the kernel and of BPF programs.

use super::Frame;
use crate::kernel::Symbols;

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
    symbols: Symbols,
    /// Those that are code, by address: address and number. None if there is no memory for them.
    code: Vec<(u64, u32)>,
}

impl KernelSymbols {
    /// Sorts the symbols that are code. Empty if their addresses are hidden.
    pub fn new(symbols: &Symbols) -> KernelSymbols {
        let is_code = |kind| matches!(kind, 't' | 'T' | 'w' | 'W');
        let numbered = (0..).zip(symbols.all());
        let found = numbered.filter(|(_, s)| is_code(s.kind) && s.address != 0).map(|(n, s)| (s.address, n));
        let mut code = Vec::new();
        if code.try_reserve_exact(found.clone().count()).is_ok() {
            code.extend(found);
        }
        // Of several names for one address the first in the kernel's own order comes first.
        code.sort_unstable();
        KernelSymbols { symbols: symbols.clone(), code }
    }

    /// True if no symbols are known, or their addresses are hidden from this process.
    pub fn is_empty(&self) -> bool {
        self.code.is_empty()
    }

    /// What is at an address.
    pub fn frame(&self, address: u64) -> Frame {
        let after = self.code.partition_point(|(begin, _)| *begin <= address);
        let last = after.checked_sub(1).and_then(|at| self.code.get(at));
        let first =
            last.and_then(|(last, _)| self.code.get(self.code.partition_point(|(begin, _)| begin < last)));
        let Some(symbol) = first.and_then(|(_, n)| self.symbols.nth(*n as usize)) else {
            return Frame::unknown(address);
        };
        Frame {
            address,
            symbol: Some((symbol.name.into(), address.saturating_sub(symbol.address))),
            file: symbol.module.map(|m| (format!("[{m}]"), 0)),
        }
    }
}
