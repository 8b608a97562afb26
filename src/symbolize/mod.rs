//! From addresses to names: what a stack trace says to people.
//!
//! ```text
//!   0xffffffff8123abcd ──/proc/kallsyms──────────────────────────────► do_sys_open+0x1d
//!   0x7f30c1a2b3c4 ──/proc/PID/maps──► libc.so.6, file offset 0x9a3c4
//!                                        ──program headers──► virtual address 0x9a3c4
//!                                            ──.symtab, .dynsym──► read+0x14 (libc.so.6)
//! ```
//!
//! Nothing is guessed: an address that no symbol covers keeps its file and offset, and one that no file covers
//! keeps its number. Names are as the file has them; those of C++ and Rust are mangled.

mod elf;
mod kernel;
mod process;

pub use kernel::KernelSymbols;
pub use process::{ProcessSymbols, SymbolizeError};

use std::fmt;

/// One place in a program, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The address in memory, or the offset in the file where only that is known.
    pub address: u64,
    /// The function, and how far into it the address is.
    pub symbol: Option<(String, u64)>,
    /// The kernel module (`[nf_conntrack]`) or the file that it is in; with its offset there, if the function is
    /// not known.
    pub file: Option<(String, u64)>,
}

impl Frame {
    /// An address of which nothing is known.
    pub fn unknown(address: u64) -> Frame {
        Frame { address, symbol: None, file: None }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.symbol, &self.file) {
            (Some((name, offset)), None) => write!(f, "{name}+{offset:#x}"),
            (Some((name, offset)), Some((file, _))) => write!(f, "{name}+{offset:#x} ({file})"),
            (None, Some((file, offset))) => write!(f, "{file}+{offset:#x}"),
            (None, None) => write!(f, "{:#x}", self.address),
        }
    }
}
