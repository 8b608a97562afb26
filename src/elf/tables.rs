//! An ELF file's tables: its sections, their relocations and its symbols, each entry checked against the end of the
//! file.

use std::borrow::Cow;

use object::elf;
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, SectionTable, Sym as _};
use object::{Endianness, SectionIndex};

use super::{Binding, ReadError};
use crate::btf::{Btf, BtfExt};
use crate::bytes::{Endian, c_str};

/// A section of the file.
pub(super) struct Section<'a> {
    pub(super) name: String,
    pub(super) kind: elf::SectionType,
    pub(super) data: &'a [u8],
    /// Size in memory; for `.bss` there is no data.
    pub(super) size: u64,
    pub(super) executable: bool,
    /// For a relocation section: the section that it changes.
    info: usize,
    rels: Vec<(u64, usize)>,
}

/// A symbol of the file.
#[derive(Clone)]
pub(super) struct Symbol<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: u64,
    pub(super) size: u64,
    pub(super) binding: Binding,
    pub(super) kind: elf::SymbolType,
    pub(super) hidden: bool,
    /// Section index; `None` if undefined, absolute or common.
    pub(super) section: Option<usize>,
    pub(super) undefined: bool,
}

/// The file's tables, each entry checked against the end of the file.
pub(super) struct Tables<'a> {
    pub(super) endian: Endian,
    pub(super) sections: Vec<Section<'a>>,
    pub(super) symbols: Vec<Symbol<'a>>,
}

impl<'a> Tables<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Tables<'a>, ReadError> {
        check_ident(bytes)?;
        let header = elf::FileHeader64::<Endianness>::parse(bytes)?;
        let e = header.endian()?;
        check_header(header.e_type(e), header.e_machine(e))?;
        let table = header.sections(e, bytes)?;
        let names = table.section(header.shstrndx(e, bytes).map(|n| SectionIndex(n as usize))?);
        let names = names.and_then(|names| names.data(e, bytes))?;
        let sections = sections(&table, names, e, bytes)?;
        match sections.iter().filter(|s| s.kind == elf::SHT_SYMTAB).count() {
            0 => return Err(ReadError::NoSymbols),
            1 => {}
            n => return Err(ReadError::Elf { what: format!("it has {n} symbol tables, expected one") }),
        }
        let symbols = symbols(&table, e, bytes)?;
        let endian = if e == Endianness::Big { Endian::Big } else { Endian::Little };
        Ok(Tables { endian, sections, symbols })
    }

    pub(super) fn named(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// The relocations of section `target`: (byte offset, symbol).
    pub(super) fn relocations(&self, target: usize) -> impl Iterator<Item = (u64, Option<&Symbol<'a>>)> {
        self.sections
            .iter()
            .filter(move |s| s.kind == elf::SHT_REL && s.info == target)
            .flat_map(|s| &s.rels)
            .map(|&(offset, symbol)| (offset, self.symbols.get(symbol)))
    }

    pub(super) fn license(&self) -> Option<String> {
        let data = self.named("license")?.data;
        let text = data.split(|&b| b == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text.get(..63).unwrap_or(text)).into_owned())
    }

    pub(super) fn version(&self) -> Option<u32> {
        let data: [u8; 4] = self.named("version")?.data.try_into().ok()?;
        Some(self.endian.u32(data))
    }

    pub(super) fn type_info(&self) -> Result<(Option<Btf>, Option<BtfExt>), ReadError> {
        let Some(section) = self.named(".BTF") else { return Ok((None, None)) };
        let btf = match Btf::parse(section.data.to_vec()) {
            Ok(btf) => btf,
            Err(source) if self.needs_types() => return Err(ReadError::Btf { section: ".BTF", source }),
            Err(_) => return Ok((None, None)),
        };
        let Some(section) = self.named(".BTF.ext") else { return Ok((Some(btf), None)) };
        match BtfExt::parse(section.data.to_vec()) {
            Ok(ext) => Ok((Some(btf), Some(ext))),
            Err(source) if self.needs_types() => Err(ReadError::Btf { section: ".BTF.ext", source }),
            Err(_) => Ok((Some(btf), None)),
        }
    }

    /// Whether the object cannot be understood without its types: maps, callbacks and externs are spelled in
    /// them. Other programs can do without, so damaged types are dropped.
    fn needs_types(&self) -> bool {
        let spelled = |s: &Section| s.name == ".maps" || s.name.contains(".struct_ops");
        self.sections.iter().any(spelled)
            || self.symbols.iter().any(|s| {
                s.undefined && s.binding != Binding::Local && s.kind == elf::STT_NOTYPE && !s.name.is_empty()
            })
    }
}

type Headers<'a> = SectionTable<'a, elf::FileHeader64<Endianness>>;

fn sections<'a>(
    table: &Headers<'a>,
    names: &'a [u8],
    e: Endianness,
    bytes: &'a [u8],
) -> Result<Vec<Section<'a>>, ReadError> {
    let mut sections = Vec::new();
    // Sections may overlap: all relocations together are no longer than the file.
    let mut room = bytes.len();
    for (index, section) in table.enumerate() {
        let name = text(names, section.sh_name(e)).ok_or_else(|| ReadError::Elf {
            what: format!("the name of section {} is outside of the table of names, or too long", index.0),
        })?;
        let name = String::from_utf8_lossy(name).into_owned();
        let bad = |what: &str| ReadError::Elf { what: format!("section {} `{name}`: {what}", index.0) };
        let kind = section.sh_type(e);
        let data = section.data(e, bytes).map_err(|_| bad("its contents reach past the end of the file"))?;
        let rels =
            match section.rel(e, bytes).map_err(|_| bad("its relocations reach past the end of the file"))? {
                Some((rels, _)) => {
                    room = room
                        .checked_sub(size_of_val(rels))
                        .ok_or_else(|| bad("its relocations are also those of another section"))?;
                    rels.iter().map(|r| (r.r_offset(e), r.r_sym(e) as usize)).collect()
                }
                None => Vec::new(),
            };
        let executable = section.sh_flags(e).contains(elf::SHF_EXECINSTR);
        let info = section.sh_info(e) as usize;
        sections.push(Section { name, kind, data, size: section.sh_size(e), executable, info, rels });
    }
    Ok(sections)
}

fn symbols<'a>(table: &Headers<'a>, e: Endianness, bytes: &'a [u8]) -> Result<Vec<Symbol<'a>>, ReadError> {
    let symbols = table.symbols(e, bytes, elf::SHT_SYMTAB)?;
    let names = table.section(symbols.string_section()).and_then(|names| names.data(e, bytes))?;
    let mut out = Vec::with_capacity(symbols.len());
    for symbol in symbols.iter() {
        let name = text(names, symbol.st_name(e)).unwrap_or_default();
        let shndx = symbol.st_shndx(e);
        out.push(Symbol {
            name: String::from_utf8_lossy(name),
            value: symbol.st_value(e),
            size: symbol.st_size(e),
            binding: match symbol.st_bind() {
                elf::STB_LOCAL => Binding::Local,
                elf::STB_WEAK => Binding::Weak,
                _ => Binding::Global,
            },
            kind: symbol.st_type(),
            hidden: matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL),
            section: shndx.index().map(usize::from),
            undefined: shndx == elf::SHN_UNDEF,
        });
    }
    Ok(out)
}

/// The longest name that is read, in bytes: many entries can share one long text, and each gets a copy of it.
const LONGEST_NAME: usize = 8192;

/// A name in a table of names. (The `object` crate would look for its end with instructions that it first has to ask the
/// processor for, which in a virtual machine takes longer than all the rest of reading an object.)
fn text(names: &[u8], at: u32) -> Option<&[u8]> {
    let at = at as usize;
    c_str(names.get(..names.len().min(at.saturating_add(LONGEST_NAME)))?, at)
}

/// The first bytes, by hand, to say what a wrong file is instead of "unsupported".
fn check_ident(bytes: &[u8]) -> Result<(), ReadError> {
    let not = |what: String| Err(ReadError::NotBpf { what });
    match bytes {
        [] => not("the file is empty".into()),
        [0x7f, b'E', b'L', b'F', 1, ..] => not("it is a 32-bit ELF file, BPF is 64-bit".into()),
        [0x7f, b'E', b'L', b'F', 2, 1 | 2, ..] => Ok(()),
        [0x7f, b'E', b'L', b'F', ..] => not("the ELF header is damaged".into()),
        [b'B', b'C', 0xc0, 0xde, ..] => not("it is LLVM bitcode (compiled with -emit-llvm or -flto)".into()),
        [b'!', b'<', b'a', b'r', ..] => not("it is an archive".into()),
        other => {
            let start: Vec<String> = other.iter().take(4).map(|b| format!("{b:02x}")).collect();
            not(format!("it begins with {}, an ELF file with 7f 45 4c 46", start.join(" ")))
        }
    }
}

fn check_header(e_type: elf::FileType, machine: elf::Machine) -> Result<(), ReadError> {
    if machine != elf::EM_BPF && machine != elf::EM_NONE {
        let name = match machine {
            elf::EM_X86_64 => " (x86-64)",
            elf::EM_AARCH64 => " (arm64)",
            elf::EM_S390 => " (s390x)",
            elf::EM_RISCV => " (riscv)",
            _ => "",
        };
        let what = format!("it is an ELF file for machine {machine}{name}, BPF is machine 247");
        return Err(ReadError::NotBpf { what });
    }
    if e_type != elf::ET_REL {
        let what = format!("it is an ELF file of type {e_type}, a BPF object is relocatable (type 1)");
        return Err(ReadError::NotBpf { what });
    }
    Ok(())
}
