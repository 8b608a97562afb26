//! The kernel's symbols, from `/proc/kallsyms`.
//!
//! They are a hundred thousand and more. So their names stand one behind the other in one text, and a symbol is where
//! its name stands there: a few megabytes instead of some fifty. A machine that does not have them to give is a machine
//! whose symbols cannot be read.

use std::collections::TryReserveError;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

/// A symbol of the kernel or of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'s> {
    /// Its address; 0 if the caller may not see addresses (`kernel.kptr_restrict`).
    pub address: u64,
    /// The letter of `nm`: `T` code, `D` data ...
    pub kind: char,
    /// Its name.
    pub name: &'s str,
    /// The module that it belongs to.
    pub module: Option<&'s str>,
}

/// All symbols of a kernel, or none if they cannot be read. A clone shares them.
#[derive(Debug, Default, Clone)]
pub struct Symbols(Arc<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Names, and those of modules.
    text: String,
    rows: Vec<Row>,
    /// The rows' numbers by name, and of one name in the file's order.
    by_name: Vec<u32>,
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    at: u32,
    len: u32,
}

#[derive(Debug)]
struct Row {
    address: u64,
    kind: char,
    name: Piece,
    /// Empty for the kernel itself.
    module: Piece,
}

impl Symbols {
    /// Those of this machine. None if there is no memory for them: a part would be taken for all.
    pub(super) fn host() -> Symbols {
        let Ok(file) = File::open("/proc/kallsyms") else { return Symbols::default() };
        let (mut file, mut table, mut line) = (BufReader::new(file), Table::default(), String::new());
        loop {
            match file.read_line(&mut line) {
                Ok(0) => return table.finish(),
                Ok(_) if table.line(&line).is_ok() => line.clear(),
                _ => return Symbols::default(),
            }
        }
    }

    /// Reads text in the format of `/proc/kallsyms`.
    pub fn parse(text: &str) -> Symbols {
        let mut table = Table::default();
        if text.lines().all(|line| table.line(line).is_ok()) { table.finish() } else { Symbols::default() }
    }

    /// All symbols, in the file's order.
    pub fn all(&self) -> impl ExactSizeIterator<Item = Symbol<'_>> + Clone {
        self.0.rows.iter().map(|row| self.0.symbol(row))
    }

    /// The symbol with this number in the file's order.
    pub fn nth(&self, nth: usize) -> Option<Symbol<'_>> {
        self.0.rows.get(nth).map(|row| self.0.symbol(row))
    }

    /// The symbols of this exact name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = Symbol<'_>> + use<'_> {
        let by_name = &self.0.by_name;
        let from = by_name.partition_point(|&n| self.0.name(n) < name);
        let to = by_name.partition_point(|&n| self.0.name(n) <= name);
        by_name.get(from..to).into_iter().flatten().filter_map(|&n| self.nth(n as usize))
    }

    /// True if there are symbols but the kernel hides their addresses from this process.
    pub fn hidden(&self) -> bool {
        !self.is_empty() && self.all().all(|s| s.address == 0)
    }

    /// True if no symbols could be read.
    pub fn is_empty(&self) -> bool {
        self.0.rows.is_empty()
    }
}

impl Table {
    /// Takes a line in, if it is one with a symbol.
    fn line(&mut self, line: &str) -> Result<(), TryReserveError> {
        let mut words = line.split_whitespace();
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
            return Ok(());
        };
        let Ok(address) = u64::from_str_radix(address, 16) else { return Ok(()) };
        let kind = kind.chars().next().unwrap_or('?');
        let module = words.next().map_or("", |m| m.trim_matches(['[', ']']));
        // The symbols of a module stand together.
        let last = self.rows.last().map(|row| row.module).filter(|last| self.piece(*last) == module);
        let module = match last {
            Some(last) => Some(last),
            None => self.add(module)?,
        };
        let (Some(name), Some(module)) = (self.add(name)?, module) else { return Ok(()) };
        self.rows.try_reserve(1)?;
        self.rows.push(Row { address, kind, name, module });
        Ok(())
    }

    /// Puts a name behind the others; `None` if no number says where.
    fn add(&mut self, name: &str) -> Result<Option<Piece>, TryReserveError> {
        let (Ok(at), Ok(len)) = (u32::try_from(self.text.len()), u32::try_from(name.len())) else {
            return Ok(None);
        };
        self.text.try_reserve(name.len())?;
        self.text.push_str(name);
        Ok(Some(Piece { at, len }))
    }

    fn finish(mut self) -> Symbols {
        let count = u32::try_from(self.rows.len()).unwrap_or(0);
        let mut by_name = Vec::new();
        if by_name.try_reserve_exact(count as usize).is_err() {
            return Symbols::default();
        }
        by_name.extend(0..count);
        by_name.sort_unstable_by(|&a, &b| self.name(a).cmp(self.name(b)).then(a.cmp(&b)));
        self.by_name = by_name;
        Symbols(Arc::new(self))
    }

    fn piece(&self, piece: Piece) -> &str {
        let at = piece.at as usize;
        self.text.get(at..at.saturating_add(piece.len as usize)).unwrap_or_default()
    }

    fn name(&self, row: u32) -> &str {
        self.rows.get(row as usize).map_or("", |row| self.piece(row.name))
    }

    fn symbol(&self, row: &Row) -> Symbol<'_> {
        let module = self.piece(row.module);
        Symbol {
            address: row.address,
            kind: row.kind,
            name: self.piece(row.name),
            module: (!module.is_empty()).then_some(module),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_symbols() {
        let text = "10 t a\nzz t no\n20 T b\tmodule\n30 d a [m]\n40 D c\t[m]\n";
        let symbols = Symbols::parse(text);
        let of = |name| symbols.named(name).map(|s| (s.address, s.kind, s.module)).collect::<Vec<_>>();
        assert_eq!(of("a"), [(0x10, 't', None), (0x30, 'd', Some("m"))]);
        assert_eq!(of("b"), [(0x20, 'T', Some("module"))]);
        assert_eq!(of("c"), [(0x40, 'D', Some("m"))]);
        assert_eq!(of("no"), []);
        assert_eq!(symbols.all().len(), 4);
        assert!(!symbols.hidden() && Symbols::parse("0 t a\n").hidden());
        assert!(Symbols::parse("").is_empty());
    }
}
