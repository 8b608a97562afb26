//! The kernel's symbols, from `/proc/kallsyms`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// A symbol of the kernel or of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its address; 0 if the caller may not see addresses (`kernel.kptr_restrict`).
    pub address: u64,
    /// The letter of `nm`: `T` code, `D` data ...
    pub kind: char,
    /// Its name.
    pub name: String,
    /// The module that it belongs to.
    pub module: Option<String>,
}

/// All symbols of a kernel, or none if they cannot be read.
#[derive(Debug, Default, Clone)]
pub struct Symbols {
    all: Vec<Symbol>,
    by_name: HashMap<String, Vec<usize>>,
}

impl Symbols {
    /// Those of this machine.
    pub(super) fn host() -> Symbols {
        match File::open("/proc/kallsyms") {
            Ok(file) => Symbols::from_lines(BufReader::new(file).lines().map_while(Result::ok)),
            Err(_) => Symbols::default(),
        }
    }

    /// Reads text in the format of `/proc/kallsyms`.
    pub fn parse(text: &str) -> Symbols {
        Symbols::from_lines(text.lines().map(String::from))
    }

    fn from_lines(lines: impl Iterator<Item = String>) -> Symbols {
        let mut out = Symbols::default();
        for line in lines {
            let mut words = line.split_whitespace();
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else { continue };
            let module = words.next().map(|m| m.trim_matches(['[', ']']).to_string());
            let kind = kind.chars().next().unwrap_or('?');
            out.by_name.entry(name.to_string()).or_default().push(out.all.len());
            out.all.push(Symbol { address, kind, name: name.to_string(), module });
        }
        out
    }

    /// All symbols, in the file's order.
    pub fn all(&self) -> &[Symbol] {
        &self.all
    }

    /// The symbols of this exact name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Symbol> {
        self.by_name.get(name).into_iter().flatten().filter_map(|&i| self.all.get(i))
    }

    /// True if there are symbols but the kernel hides their addresses from this process.
    pub fn hidden(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(|s| s.address == 0)
    }

    /// True if no symbols could be read.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
