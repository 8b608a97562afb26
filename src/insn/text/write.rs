//! A program as text again: what [`assemble`](super::assemble) read, in the form that it reads best.

use super::{Elem, TextCore, TextData, TextExtern, TextFunction, TextMap, TextProgram};
use crate::bytes::Endian;
use crate::insn::code::{Code, LineRef, RefKind};
use crate::insn::disasm::{Item, Listing, Name, SymbolNames};
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
impl fmt::Display for TextProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: HashSet<&str> = self.functions.iter().map(|f| f.name.as_str()).collect();
        let mut blank = self.write_head(f)?;
        for data in &self.data {
            if std::mem::replace(&mut blank, true) {
                writeln!(f)?;
            }
            write!(f, "{data}")?;
        }
        let mut section = if self.data.is_empty() { ".text" } else { "" };
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

impl TextProgram {
    /// What stands above all sections; whether there was anything.
    fn write_head(&self, f: &mut fmt::Formatter<'_>) -> Result<bool, fmt::Error> {
        match self.endian {
            Some(Endian::Big) => writeln!(f, ".endian big")?,
            Some(Endian::Little) => writeln!(f, ".endian little")?,
            None => {}
        }
        if let Some(license) = &self.license {
            writeln!(f, ".license \"{}\"", license.escape_default())?;
        }
        if let Some(version) = self.version {
            writeln!(f, ".version {version:#x}")?;
        }
        self.types.iter().try_for_each(|ty| write!(f, "{ty}"))?;
        self.externs.iter().try_for_each(|e| write!(f, "{e}"))?;
        self.maps.iter().try_for_each(|map| write!(f, "{map}"))?;
        let some = self.endian.is_some() || self.license.is_some() || self.version.is_some();
        Ok(some || !self.types.is_empty() || !self.externs.is_empty() || !self.maps.is_empty())
    }
}

fn write_function(f: &mut fmt::Formatter<'_>, function: &TextFunction, names: &HashSet<&str>) -> fmt::Result {
    let name = Name(&function.name);
    let marks = [(function.global, ".globl"), (function.weak, ".weak"), (function.hidden, ".hidden")];
    for (_, mark) in marks.iter().filter(|(yes, _)| *yes) {
        writeln!(f, "{mark} {name}")?;
    }
    if let Some(proto) = &function.proto {
        writeln!(f, ".func {name}: {proto}")?;
    }
    let part = Part { code: &function.code, names };
    let listing = Listing::new(function.code.insns()).symbols(part);
    let mut core = function.core.iter().peekable();
    let mut line = String::new();
    for item in listing.items() {
        if let Item::Insn(insn) = &item {
            while let Some(TextCore { kind, ty, access, .. }) = core.next_if(|core| core.at == insn.at) {
                writeln!(f, "    .core {} {ty} \"{}\"", Name(kind), access.escape_default())?;
            }
        }
        line.clear();
        listing.write_item(&mut line, &item)?;
        f.write_str(&line)?;
    }
    Ok(())
}

impl fmt::Display for TextData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, ".section \"{}\"", self.section)?;
        self.variables.iter().try_for_each(|v| write!(f, "{v}"))?;
        if self.bytes > 0 { writeln!(f, ".space {}", self.bytes) } else { Ok(()) }
    }
}

impl fmt::Display for TextExtern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TextExtern { name, ty, kconfig, weak } = self;
        let directive = if *kconfig { ".kconfig" } else { ".ksym" };
        writeln!(f, "{directive} {}: {ty}{}", Name(name), if *weak { " weak" } else { "" })
    }
}

impl fmt::Display for TextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".map {} ", Name(&self.name))?;
        self.write_fields(f)?;
        writeln!(f)?;
        for (index, target) in &self.slots {
            writeln!(f, ".slot {}, {index}, {}", Name(&self.name), Name(target))?;
        }
        Ok(())
    }
}

impl TextMap {
    fn write_fields(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.name() {
            Some(kind) => write!(f, "type={kind}")?,
            None => write!(f, "type={}", self.kind.0)?,
        }
        for (name, elem) in [("key", &self.key), ("value", &self.value)] {
            match elem {
                Elem::Bytes(0) => {}
                Elem::Bytes(bytes) => write!(f, " {name}={bytes}")?,
                Elem::Type(ty) => write!(f, " {name}={ty}")?,
            }
        }
        write!(f, " max_entries={}", self.max_entries)?;
        if self.flags != 0 {
            write!(f, " flags={:#x}", self.flags)?;
        }
        if self.numa_node != 0 {
            write!(f, " numa_node={}", self.numa_node)?;
        }
        if self.extra != 0 {
            write!(f, " extra={:#x}", self.extra)?;
        }
        if self.pinned {
            f.write_str(" pin=by_name")?;
        }
        if let Some(inner) = &self.inner {
            f.write_str(" inner={")?;
            inner.write_fields(f)?;
            f.write_str("}")?;
        }
        Ok(())
    }
}

/// One function of a program, which knows the names of the others.
struct Part<'a> {
    code: &'a Code,
    names: &'a HashSet<&'a str>,
}

impl SymbolNames for Part<'_> {
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
