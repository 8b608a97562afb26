//! A program as text again: what [`assemble`](super::assemble) read, in the form that it reads best.

use super::{Program, TextFunction, TextMap};
use crate::insn::code::{Code, LineRef, RefKind};
use crate::insn::disasm::{Listing, Name, Symbols};
use crate::insn::reg::InsnIx;
use std::collections::HashSet;
use std::fmt;

/// The text that assembles to this program.
///
/// ```
/// use rawbpf::insn::text;
/// let source = "\
/// .license \"GPL\"
/// .map hits type=array key=4 value=8 max_entries=1
///
/// .section \"xdp\"
/// count:
///     r1 = hits ll
///     call shared
///     exit
///
/// .text
/// shared:
///     r0 = 2
///     exit
/// ";
/// assert_eq!(text::assemble("count.s", source)?.to_string(), source);
/// # Ok::<(), text::TextErrors>(())
/// ```
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: HashSet<&str> = self.functions.iter().map(|f| f.name.as_str()).collect();
        if let Some(license) = &self.license {
            writeln!(f, ".license \"{}\"", license.escape_default())?;
        }
        self.maps.iter().try_for_each(|map| write!(f, "{map}"))?;
        let mut blank = self.license.is_some() || !self.maps.is_empty();
        let mut section = ".text";
        for function in &self.functions {
            if std::mem::replace(&mut blank, true) {
                writeln!(f)?;
            }
            if std::mem::replace(&mut section, &function.section) != function.section {
                match section {
                    ".text" => writeln!(f, ".text")?,
                    name => writeln!(f, ".section \"{name}\"")?,
                }
            }
            write_function(f, function, &names)?;
        }
        Ok(())
    }
}

fn write_function(f: &mut fmt::Formatter<'_>, function: &TextFunction, names: &HashSet<&str>) -> fmt::Result {
    if function.global {
        writeln!(f, ".globl {}", Name(&function.name))?;
    }
    let part = Part { code: &function.code, names };
    Listing::new(function.code.insns()).symbols(part).write(f)
}

impl fmt::Display for TextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TextMap { name, kind, key, value, max_entries, flags, pinned, line: _ } = self;
        write!(f, ".map {} type=", Name(name))?;
        match kind.name() {
            Some(kind) => write!(f, "{kind}")?,
            None => write!(f, "{}", kind.0)?,
        }
        let numbers = [("key", key), ("value", value), ("max_entries", max_entries)];
        for (name, number) in numbers.iter().filter(|(_, number)| **number != 0) {
            write!(f, " {name}={number}")?;
        }
        if *flags != 0 {
            write!(f, " flags={flags:#x}")?;
        }
        writeln!(f, "{}", if *pinned { " pin=by_name" } else { "" })
    }
}

/// One function of a program, which knows the names of the others.
struct Part<'a> {
    code: &'a Code,
    names: &'a HashSet<&'a str>,
}

impl Symbols for Part<'_> {
    fn reference(&self, at: InsnIx) -> Option<RefKind> {
        self.code.reference(at)
    }
    fn function(&self, at: InsnIx) -> Option<&str> {
        self.code.function(at)
    }
    fn line(&self, at: InsnIx) -> Option<LineRef<'_>> {
        self.code.line(at)
    }
    fn defines(&self, function: &str) -> bool {
        self.names.contains(function)
    }
}
