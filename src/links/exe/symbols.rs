//! Finding functions in symbol tables, by name, by name and version, or by pattern.

use goblin::elf::SectionHeader;
use goblin::elf::section_header::{SHT_DYNSYM, SHT_NOBITS};
use goblin::elf::sym::{STB_GLOBAL, STB_WEAK, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, Sym, Symtab};

use super::super::functions::glob;
use super::{Exe, ExeError};
use crate::bytes::{Cursor, c_str};

/// A place in a file where a probe can be set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::links) struct Place {
    /// Bytes from the start of the file.
    pub(in crate::links) offset: u64,
    /// The function there.
    pub(in crate::links) name: String,
    /// The function only chooses, once, which of several others is called by this name (`IFUNC`).
    pub(in crate::links) chooses: bool,
}

/// A name with an optional version: `memcpy`, `memcpy@GLIBC_2.2.5`, `memcpy@@GLIBC_2.14`.
struct TypeQuery<'n> {
    name: &'n str,
    version: Option<&'n str>,
}

impl<'n> TypeQuery<'n> {
    fn parse(text: &'n str) -> TypeQuery<'n> {
        match text.split_once('@') {
            Some((name, version)) => TypeQuery { name, version: Some(version.trim_start_matches('@')) },
            None => TypeQuery { name: text, version: None },
        }
    }

    /// Whether a name in a symbol table is this one. Those of `.symtab` may have their version in them; the
    /// version of others is `version`.
    fn is(&self, name: &[u8], version: impl FnOnce() -> Option<String>) -> bool {
        let Some(rest) = name.strip_prefix(self.name.as_bytes()) else { return false };
        match (rest, self.version) {
            ([], None) => true,
            ([], Some(wanted)) => version().as_deref() == Some(wanted),
            ([b'@', rest @ ..], wanted) => {
                let own = rest.strip_prefix(b"@").unwrap_or(rest);
                wanted.is_none_or(|wanted| own == wanted.as_bytes())
            }
            _ => false,
        }
    }
}

/// How good a symbol is for a name that several have: lower is better. Worst are versions that are only there for old
/// programs: what is built today never calls them.
fn rank(sym: &Sym, hidden: bool) -> u8 {
    let kind = match sym.st_type() {
        STT_FUNC => 0,
        STT_GNU_IFUNC => 8,
        _ => 16,
    };
    let binding = match sym.st_bind() {
        STB_GLOBAL => 0,
        STB_WEAK => 1,
        _ => 2,
    };
    kind + binding + if hidden { 32 } else { 0 }
}

/// Whether a name of `.symtab` is of a version that is only there for old programs: `NAME@VERSION`, where that of
/// today is `NAME@@VERSION`.
fn is_old(name: &[u8]) -> bool {
    let mut rest = name.iter().skip_while(|&&b| b != b'@').skip(1);
    rest.next().is_some_and(|&b| b != b'@')
}

/// Whether a symbol may be a function, and is in this file.
fn is_function(sym: &Sym) -> bool {
    matches!(sym.st_type(), STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE) && sym.st_shndx != 0 && sym.st_value != 0
}

impl Exe {
    /// The places that a name means, best first: more than one if several functions have it.
    pub(in crate::links) fn find(&self, symbol: &str) -> Result<Vec<Place>, ExeError> {
        let wanted = TypeQuery::parse(symbol);
        let mut found = Vec::new();
        for table in self.tables() {
            self.search(self, table, &wanted, &mut found)?;
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() {
            if let Some(extra) = self.stripped() {
                for table in extra.tables() {
                    self.search(&extra, table, &wanted, &mut found)?;
                }
            }
        }
        found.sort();
        let best = found.first().map(|(rank, _)| *rank);
        let mut places: Vec<Place> =
            found.into_iter().filter(|(r, _)| Some(*r) == best).map(|(_, p)| p).collect();
        places.dedup_by_key(|p| p.offset);
        Ok(places)
    }

    /// Looks for a name in one table. The strings are looked through first, as that is a plain search for bytes; then only
    /// the number of the name has to be compared in each symbol. Both are read piece by piece: in a large executable the
    /// tables have a hundred megabytes.
    fn search(
        &self,
        of: &Exe,
        table: &SectionHeader,
        wanted: &TypeQuery<'_>,
        found: &mut Vec<(u8, Place)>,
    ) -> Result<(), ExeError> {
        let Some(strings) = of.sections.get(table.sh_link as usize) else { return Ok(()) };
        let names = of.occurrences(strings, wanted.name.as_bytes())?;
        if names.is_empty() {
            return Ok(());
        }
        /// No version is longer.
        const VERSION: usize = 1024;
        let mut versions = None;
        let (size, endian) = (Sym::size(of.ctx.container), of.endian());
        let mut nth = 0;
        of.pieces(table, 0, size, |_, piece| {
            for symbol in piece.chunks_exact(size) {
                // The first field of a symbol of either class.
                let name = symbol.first_chunk().map_or(0, |bytes| endian.u32(*bytes));
                if names.binary_search(&u64::from(name)).is_ok() {
                    let sym = Symtab::parse(symbol, 0, 1, of.ctx).ok().and_then(|all| all.get(0));
                    let text = of.text(strings, name.into(), wanted.name.len() + VERSION);
                    let versions =
                        versions.get_or_insert_with(|| Versions::read(of, table).unwrap_or_default());
                    if let Some(sym) =
                        sym.filter(|s| is_function(s) && wanted.is(&text, || versions.name(nth)))
                    {
                        let hidden = versions.is_hidden(nth) || is_old(&text);
                        found.extend(self.place(&sym, &text).map(|p| (rank(&sym, hidden), p)));
                    }
                }
                nth += 1;
            }
        })
    }

    /// Where in a section of strings this one begins: with its end, or with a version behind it. A string may be the end
    /// of a longer one.
    ///
    /// Horspool's search: the last letter under the window says how far the window may be moved.
    fn occurrences(&self, strings: &SectionHeader, name: &[u8]) -> Result<Vec<u64>, ExeError> {
        let mut out = Vec::new();
        let Some((_, others)) = name.split_last() else { return Ok(out) };
        let mut steps = [name.len(); 256];
        for (n, letter) in others.iter().enumerate() {
            if let Some(step) = steps.get_mut(usize::from(*letter)) {
                *step = others.len() - n;
            }
        }
        self.pieces(strings, name.len(), 1, |at, piece| {
            let mut begin = 0;
            while let Some(window) = piece.get(begin..begin + name.len()) {
                // What ends with the piece is seen again in the next one.
                if window == name && matches!(piece.get(begin + name.len()), Some(0 | b'@')) {
                    out.push(at + begin as u64);
                }
                let last = window.last().copied().unwrap_or(0);
                begin += steps.get(usize::from(last)).copied().unwrap_or(1);
            }
        })?;
        Ok(out)
    }

    /// Calls `each` with one piece of a section after the other: where in the section it begins, and the bytes. Each piece
    /// repeats the last `again` bytes of the one before, and pieces end at multiples of `unit`.
    fn pieces(
        &self,
        section: &SectionHeader,
        again: usize,
        unit: usize,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(), ExeError> {
        const PIECE: u64 = 1 << 18;
        if section.sh_type == SHT_NOBITS {
            return Ok(());
        }
        let piece = PIECE.next_multiple_of(unit.max(1) as u64);
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < section.sh_size {
            let from = u64::saturating_sub(at, again as u64);
            let end = at.saturating_add(piece).min(section.sh_size);
            self.source.read_into(section.sh_offset.saturating_add(from), end - from, &mut buffer)?;
            each(from, &buffer);
            at = end;
        }
        Ok(())
    }

    /// A string of a section, up to this length.
    fn text(&self, strings: &SectionHeader, at: u64, longest: usize) -> Vec<u8> {
        let len = strings.sh_size.saturating_sub(at).min(longest as u64);
        let mut bytes = self.source.read(strings.sh_offset.saturating_add(at), len).unwrap_or_default();
        bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
        bytes
    }

    /// All functions whose names match a pattern, each place once.
    pub(in crate::links) fn matching(&self, pattern: &str) -> Result<Vec<Place>, ExeError> {
        let mut out = Vec::new();
        let mut search = |of: &Exe| {
            for table in of.tables() {
                of.each_function(table, |_, sym, name| {
                    let plain = name.split(|&b| b == b'@').next().unwrap_or(name);
                    if sym.st_type() != STT_NOTYPE && glob(pattern.as_bytes(), plain) {
                        out.extend(self.place(sym, plain));
                    }
                })?;
            }
            Ok(())
        };
        search(self)?;
        if let Some(extra) = self.stripped() {
            search(&extra)?;
        }
        out.sort();
        out.dedup_by_key(|p| p.offset);
        Ok(out)
    }

    /// The names of all functions.
    pub(in crate::links) fn function_names(&self) -> Vec<String> {
        let mut out = Vec::new();
        let mut collect = |of: &Exe| {
            for table in of.tables() {
                let _ = of
                    .each_function(table, |_, _, name| out.push(String::from_utf8_lossy(name).into_owned()));
            }
        };
        collect(self);
        if let Some(extra) = self.stripped() {
            collect(&extra);
        }
        out.sort();
        out.dedup();
        out
    }

    fn place(&self, sym: &Sym, name: &[u8]) -> Option<Place> {
        let (offset, code) = self.offset_of(sym.st_value)?;
        let name = String::from_utf8_lossy(name).into_owned();
        code.then_some(Place { offset, name, chooses: sym.st_type() == STT_GNU_IFUNC })
    }

    /// Calls `each` with every symbol of a table that may be a function and is in this file: its number, and
    /// its name.
    fn each_function(
        &self,
        table: &SectionHeader,
        mut each: impl FnMut(usize, &Sym, &[u8]),
    ) -> Result<(), ExeError> {
        let bytes = self.contents(table)?;
        let strings = match self.sections.get(table.sh_link as usize) {
            Some(strings) => self.contents(strings)?,
            None => return Ok(()),
        };
        let count = bytes.len() / Sym::size(self.ctx.container).max(1);
        let symbols = Symtab::parse(&bytes, 0, count, self.ctx)
            .map_err(|e| ExeError(format!("is damaged: its symbols: {e}")))?;
        for (nth, sym) in symbols.iter().enumerate() {
            if !is_function(&sym) {
                continue;
            }
            if let Some(name) = c_str(&strings, sym.st_name).filter(|name| !name.is_empty()) {
                each(nth, &sym, name);
            }
        }
        Ok(())
    }
}

/// The versions of the exported symbols: `.gnu.version` has a number for each, `.gnu.version_d` the names.
#[derive(Default)]
struct Versions {
    numbers: Vec<u16>,
    names: Vec<(u16, String)>,
}

/// Set in a number for versions that are only there for old programs.
const HIDDEN: u16 = 0x8000;

impl Versions {
    fn read(exe: &Exe, table: &SectionHeader) -> Option<Versions> {
        if table.sh_type != SHT_DYNSYM {
            return None;
        }
        let (_, numbers) = exe.section(".gnu.version").ok()??;
        let endian = exe.endian();
        let numbers = numbers.chunks_exact(2).filter_map(|c| c.try_into().ok()).map(|c| endian.u16(c));
        let mut out = Versions { numbers: numbers.collect(), names: Vec::new() };
        if let Ok(Some((section, bytes))) = exe.section(".gnu.version_d") {
            let strings = exe.contents(exe.sections.get(section.sh_link as usize)?).ok()?;
            let mut at = 0usize;
            // Each definition tells where the next one is; it may not lead back.
            while let Some((number, name, next)) = definition(&bytes, at, endian) {
                if let Some(name) = c_str(&strings, name as usize) {
                    out.names.push((number, String::from_utf8_lossy(name).into_owned()));
                }
                at = match next {
                    0 => break,
                    next => at.saturating_add(next as usize),
                };
            }
        }
        Some(out)
    }

    fn is_hidden(&self, nth: usize) -> bool {
        self.numbers.get(nth).is_some_and(|n| n & HIDDEN != 0)
    }

    fn name(&self, nth: usize) -> Option<String> {
        let number = self.numbers.get(nth)? & !HIDDEN;
        self.names.iter().find(|(n, _)| *n == number).map(|(_, name)| name.clone())
    }
}

/// `Elf64_Verdef` and its first `Elf64_Verdaux`: the version's number, its name, and how far the next one is.
fn definition(bytes: &[u8], at: usize, endian: crate::bytes::Endian) -> Option<(u16, u32, u32)> {
    let mut c = Cursor::new(bytes, endian).at(at);
    let (_version, _flags) = (c.u16().ok()?, c.u16().ok()?);
    let (number, _count, _hash) = (c.u16().ok()?, c.u16().ok()?, c.u32().ok()?);
    let (aux, next) = (c.u32().ok()?, c.u32().ok()?);
    let name = Cursor::new(bytes, endian).at(at.checked_add(aux as usize)?).u32().ok()?;
    Some((number, name, next))
}
