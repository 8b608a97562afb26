//! From the bytes of an ELF file to an [`Object`].
//!
//! The order of work: the file's tables ([`Tables`]), the functions of each executable section, the maps
//! (module `maps`, from BTF), the externs (module `externs`), and last the relocations, which need all of those
//! to say what an instruction refers to.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use object::Endianness;
use object::SectionIndex;
use object::elf;
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, Sym as _};

use super::*;
use crate::btf::BtfError;
use crate::bytes::c_str;
use crate::insn::raw::pseudo;

/// Why a file is not a BPF object that can be loaded, in terms of that file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file could not be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is some other kind of file.
    #[error(
        "not a BPF object: {what}; a BPF object is made by `clang -g -O2 -target bpf -c prog.bpf.c -o prog.o`"
    )]
    NotBpf {
        /// What it is instead.
        what: String,
    },
    /// An ELF table is damaged.
    #[error("damaged ELF file: {what}")]
    Elf {
        /// Which, and how.
        what: String,
    },
    /// There is no symbol table, so nothing in it has a name.
    #[error(
        "the object has no symbol table: it was stripped; use `llvm-strip -g`, which removes only debug info, or none"
    )]
    NoSymbols,
    /// Maps defined the way libbpf stopped to support in 1.0.
    #[error(
        "section `maps` holds legacy map definitions (struct bpf_map_def); define maps in `SEC(\".maps\")` with __uint(type, ...), __type(key, ...)"
    )]
    LegacyMaps,
    /// Something needs type information that is not there.
    #[error("{site} needs BTF, and the object has none; compile with `clang -g`")]
    NoBtf {
        /// What needs it.
        site: Box<Site>,
    },
    /// The type information is damaged.
    #[error("section `{section}` is damaged")]
    Btf {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// How.
        source: BtfError,
    },
    /// A function symbol is wrong.
    #[error("function {site}: {why}")]
    Function {
        /// Which.
        site: Box<Site>,
        /// How.
        why: String,
    },
    /// A map definition is wrong.
    #[error("map `{map}`: {why}")]
    Map {
        /// Which.
        map: String,
        /// How.
        why: String,
    },
    /// An extern declaration is wrong.
    #[error("extern `{name}`: {why}")]
    Extern {
        /// Which.
        name: String,
        /// How.
        why: String,
    },
    /// A relocation cannot be understood.
    #[error("relocation in {site}: {why}")]
    Reloc {
        /// Where.
        site: Box<Site>,
        /// Why.
        why: String,
    },
}

impl From<object::read::Error> for ReadError {
    fn from(e: object::read::Error) -> ReadError {
        ReadError::Elf { what: e.to_string() }
    }
}

impl Object {
    /// Reads a BPF object file. Its name becomes the file's, up to the first dot.
    ///
    /// # Errors
    /// [`ReadError`]: never a panic, whatever the bytes.
    pub fn open(path: impl AsRef<Path>) -> Result<Object, ReadError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| ReadError::Io { path: path.into(), source })?;
        let stem = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = stem.split('.').next().filter(|s| !s.is_empty()).unwrap_or("object");
        Object::parse(name, &bytes)
    }

    /// Reads a BPF object from memory.
    ///
    /// # Errors
    /// [`ReadError`]: never a panic, whatever the bytes.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Object, ReadError> {
        let tables = Tables::read(bytes)?;
        let (btf, ext) = tables.type_info()?;
        let mut object = Object {
            name: name.into(),
            endian: tables.endian,
            license: tables.license(),
            kern_version: tables.version(),
            maps: Vec::new(),
            programs: Vec::new(),
            functions: Vec::new(),
            externs: Vec::new(),
            jump_tables: tables.named(".jumptables").map(|s| s.data.to_vec()).unwrap_or_default(),
            btf: btf.map(Arc::new),
            ext: ext.map(Arc::new),
        };
        if tables.sections.iter().any(|s| s.name == "maps") {
            return Err(ReadError::LegacyMaps);
        }
        functions(&tables, &mut object)?;
        super::fixup::btf(&tables, &mut object)?;
        let map_symbols = super::maps::read(&tables, &mut object)?;
        let extern_symbols = super::externs::read(&tables, &mut object, &map_symbols)?;
        let relocator = Relocator { tables: &tables, maps: &map_symbols, externs: &extern_symbols };
        relocator.run(&mut object).map_err(|e| with_line(&object, e))?;
        super::struct_ops::read(&tables, &mut object)?;
        super::maps::slots(&tables, &mut object, &map_symbols)?;
        Ok(object)
    }
}

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
    fn read(bytes: &'a [u8]) -> Result<Tables<'a>, ReadError> {
        check_ident(bytes)?;
        let header = elf::FileHeader64::<Endianness>::parse(bytes)?;
        let e = header.endian()?;
        check_header(header.e_type(e), header.e_machine(e))?;
        let table = header.sections(e, bytes)?;
        let names = table.section(header.shstrndx(e, bytes).map(|n| SectionIndex(n as usize))?);
        let names = names.and_then(|names| names.data(e, bytes))?;
        let mut sections = Vec::new();
        // Sections may overlap: all relocations together are no longer than the file.
        let mut room = bytes.len();
        for (index, section) in table.enumerate() {
            let name = text(names, section.sh_name(e)).ok_or_else(|| ReadError::Elf {
                what: format!(
                    "the name of section {} is outside of the table of names, or too long",
                    index.0
                ),
            })?;
            let name = String::from_utf8_lossy(name).into_owned();
            let bad = |what: &str| ReadError::Elf { what: format!("section {} `{name}`: {what}", index.0) };
            let kind = section.sh_type(e);
            let data =
                section.data(e, bytes).map_err(|_| bad("its contents reach past the end of the file"))?;
            let rels = match section
                .rel(e, bytes)
                .map_err(|_| bad("its relocations reach past the end of the file"))?
            {
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
        match sections.iter().filter(|s| s.kind == elf::SHT_SYMTAB).count() {
            0 => return Err(ReadError::NoSymbols),
            1 => {}
            n => return Err(ReadError::Elf { what: format!("it has {n} symbol tables, expected one") }),
        }
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
        let endian = if e == Endianness::Big { Endian::Big } else { Endian::Little };
        Ok(Tables { endian, sections, symbols: out })
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

    fn license(&self) -> Option<String> {
        let data = self.named("license")?.data;
        let text = data.split(|&b| b == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text.get(..63).unwrap_or(text)).into_owned())
    }

    fn version(&self) -> Option<u32> {
        let data: [u8; 4] = self.named("version")?.data.try_into().ok()?;
        Some(self.endian.u32(data))
    }

    fn type_info(&self) -> Result<(Option<Btf>, Option<BtfExt>), ReadError> {
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

/// Makes a [`Function`] of each function symbol: entry programs, and what `.text` holds.
fn functions(tables: &Tables, object: &mut Object) -> Result<(), ReadError> {
    let mut found: Vec<(usize, u64, &Symbol<'_>)> = Vec::new();
    for symbol in tables.symbols.iter().filter(|s| s.kind == elf::STT_FUNC) {
        let Some(index) = symbol.section else { continue };
        match tables.sections.get(index) {
            Some(section) if section.executable && section.kind == elf::SHT_PROGBITS => {
                found.push((index, symbol.value, symbol));
            }
            _ => {}
        }
    }
    found.sort_by_key(|&(section, offset, _)| (section, offset));
    for (index, _, symbol) in found {
        let Some(section) = tables.sections.get(index) else { continue };
        let func = function(tables, section, symbol)?;
        if section.name == ".text" {
            object.functions.push(func);
            continue;
        }
        if func.binding == Binding::Local {
            let site =
                Site { section: Some(section.name.clone()), symbol: Some(func.name), ..Site::default() };
            let why = "an entry program must not be static; remove `static`, or put it into .text by removing SEC()";
            return Err(ReadError::Function { site: Box::new(site), why: why.into() });
        }
        let name = section.name.strip_prefix('?').unwrap_or(&section.name);
        let def = section::find(name);
        object.programs.push(ProgDef {
            section: name.into(),
            def,
            prog_type: def.map(|d| d.prog_type),
            attach_type: def.map(|d| d.attach_type).unwrap_or_default(),
            flags: 0,
            target: None,
            autoload: !section.name.starts_with('?'),
            func,
        });
    }
    Ok(())
}

fn function(tables: &Tables, section: &Section, symbol: &Symbol<'_>) -> Result<Function, ReadError> {
    let bad = |why: String| ReadError::Function {
        site: Box::new(Site {
            section: Some(section.name.clone()),
            symbol: Some(symbol.name.to_string()),
            ..Site::default()
        }),
        why,
    };
    if symbol.size == 0 || symbol.size % 8 != 0 || symbol.value % 8 != 0 {
        return Err(bad(format!(
            "its symbol says {} bytes at offset {}; instructions are 8 bytes each",
            symbol.size, symbol.value
        )));
    }
    let end = symbol.value.checked_add(symbol.size).filter(|&end| end <= section.data.len() as u64);
    let code = end.and_then(|end| section.data.get(symbol.value as usize..end as usize));
    let Some(code) = code else {
        return Err(bad(format!("it reaches past the end of its section ({} bytes)", section.data.len())));
    };
    let insns = code
        .chunks_exact(8)
        .map(|slot| RawInsn::from_bytes(slot.try_into().unwrap_or_default(), tables.endian))
        .collect();
    Ok(Function {
        name: symbol.name.to_string(),
        section: section.name.clone(),
        offset: InsnIx((symbol.value / 8) as u32),
        insns,
        relocs: Vec::new(),
        binding: symbol.binding,
        hidden: symbol.hidden && symbol.binding != Binding::Local,
    })
}

/// What the symbols of data sections and of `.maps` stand for.
#[derive(Default)]
pub(super) struct MapSymbols {
    /// Data sections: section index to map.
    pub(super) data: HashMap<usize, MapIx>,
    /// Index of `.maps`, and the variables in it: offset to map.
    pub(super) declared: Option<(usize, HashMap<u64, MapIx>)>,
    /// Arena globals: section index and the arena.
    pub(super) arena: Option<(usize, MapIx)>,
}

/// What it takes to say what an instruction refers to.
struct Relocator<'t, 'a> {
    tables: &'t Tables<'a>,
    maps: &'t MapSymbols,
    externs: &'t HashMap<String, ExternIx>,
}

impl Relocator<'_, '_> {
    fn run(&self, object: &mut Object) -> Result<(), ReadError> {
        let text: HashMap<u32, FuncIx> =
            object.functions.iter().enumerate().map(|(i, f)| (f.offset.0, FuncIx(i))).collect();
        let Object { programs, functions, .. } = object;
        let mut all: Vec<&mut Function> =
            programs.iter_mut().map(|p| &mut p.func).chain(functions.iter_mut()).collect();
        for (index, section) in self.tables.sections.iter().enumerate().filter(|(_, s)| s.executable) {
            let mut here: Vec<&mut &mut Function> =
                all.iter_mut().filter(|f| f.section == section.name).collect();
            here.sort_by_key(|f| f.offset);
            for (offset, symbol) in self.tables.relocations(index) {
                let slot = InsnIx((offset / 8) as u32);
                let before = here.partition_point(|f| f.offset <= slot);
                let Some(func) = before.checked_sub(1).and_then(|i| here.get_mut(i)) else { continue };
                let at = InsnIx(slot.0 - func.offset.0);
                let Some(insn) = func.insns.get(at.0 as usize).copied() else { continue };
                let target = self.target(offset, insn, symbol, &text).map_err(|why| ReadError::Reloc {
                    site: Box::new(Site {
                        section: Some(func.section.clone()),
                        symbol: Some(func.name.clone()),
                        insn: Some(at),
                        line: None,
                    }),
                    why,
                })?;
                func.relocs.push(Reloc { at, target });
            }
        }
        for func in all {
            local_calls(func, &text)?;
            func.relocs.sort_by_key(|r| r.at);
        }
        Ok(())
    }

    /// libbpf's rules in libbpf's order; what the relocation's own type says does not matter.
    fn target(
        &self,
        offset: u64,
        insn: RawInsn,
        symbol: Option<&Symbol<'_>>,
        text: &HashMap<u32, FuncIx>,
    ) -> Result<RelocTarget, String> {
        let symbol = symbol.ok_or("it refers to a symbol that is not in the symbol table")?;
        if offset % 8 != 0 {
            return Err(format!("its offset {offset} is not that of an instruction"));
        }
        if !insn.is_call() && !insn.is_lddw() {
            return Err(format!(
                "it is for opcode {:#04x}; only calls and 64-bit loads refer to symbols",
                insn.opcode
            ));
        }
        if symbol.undefined && symbol.binding != Binding::Local && symbol.kind == elf::STT_NOTYPE {
            let ix = self.externs.get(&*symbol.name);
            return ix
                .map(|&ix| RelocTarget::Extern(ix))
                .ok_or_else(|| format!("extern `{}` has no BTF", symbol.name));
        }
        if insn.is_call() {
            return self.call(insn, symbol, text);
        }
        let Some(index) = symbol.section else {
            return Err(format!(
                "`{}` is not defined in this object; a global variable needs a value",
                symbol.name
            ));
        };
        let section = self.tables.sections.get(index).ok_or("its symbol is in no section")?;
        let name = if symbol.name.is_empty() { section.name.as_str() } else { &*symbol.name };
        if section.name == ".text" {
            return callee(symbol.value, i64::from(insn.imm), text)
                .map(RelocTarget::FuncAddr)
                .ok_or_else(|| format!("there is no function at `{name}` + {}", insn.imm));
        }
        if let Some((arena_section, map)) = self.maps.arena {
            if arena_section == index {
                return self.value(map, symbol, insn, section);
            }
        }
        if section.name == ".jumptables" {
            let fit = |v: u64| u32::try_from(v).map_err(|_| "its jump table is out of range".to_string());
            return Ok(RelocTarget::JumpTable { offset: fit(symbol.value)?, size: fit(symbol.size)? });
        }
        if let Some((maps_section, maps)) = &self.maps.declared {
            if *maps_section == index {
                let map = maps.get(&symbol.value);
                return map
                    .map(|&m| RelocTarget::Map(m))
                    .ok_or_else(|| format!("no map is at symbol `{name}`"));
            }
        }
        match self.maps.data.get(&index) {
            Some(&map) => self.value(map, symbol, insn, section),
            None => Err(format!(
                "`{name}` is in section `{}`, which holds neither maps nor global variables nor functions",
                section.name
            )),
        }
    }

    fn value(
        &self,
        map: MapIx,
        symbol: &Symbol<'_>,
        insn: RawInsn,
        section: &Section,
    ) -> Result<RelocTarget, String> {
        // The addend is in the instruction: `symbol + 8` has 8 there.
        let offset = (symbol.value as i64).wrapping_add(i64::from(insn.imm));
        match u32::try_from(offset) {
            Ok(offset) => Ok(RelocTarget::MapValue { map, offset }),
            Err(_) => Err(format!("offset {offset} is outside section `{}`", section.name)),
        }
    }

    fn call(
        &self,
        insn: RawInsn,
        symbol: &Symbol<'_>,
        text: &HashMap<u32, FuncIx>,
    ) -> Result<RelocTarget, String> {
        if insn.src != pseudo::CALL {
            return Err(format!(
                "a call to `{}` is not marked as a call to a function of this object",
                symbol.name
            ));
        }
        let section = symbol.section.and_then(|i| self.tables.sections.get(i));
        match section {
            Some(s) if s.name == ".text" => {
                callee(symbol.value, i64::from(insn.imm) * 8 + 8, text).map(RelocTarget::Call).ok_or_else(
                    || format!("no function starts where it calls (`{}` + {})", symbol.name, insn.imm),
                )
            }
            Some(s) => Err(format!(
                "it calls `{}` in section `{}`; only functions in .text (those without SEC) can be called",
                symbol.name, s.name
            )),
            None => Err(format!("it calls `{}`, which this object does not define", symbol.name)),
        }
    }
}

/// The function `bytes` after `base` in `.text`.
fn callee(base: u64, bytes: i64, text: &HashMap<u32, FuncIx>) -> Option<FuncIx> {
    let at = base.checked_add_signed(bytes)?;
    (at % 8 == 0).then_some(())?;
    text.get(&u32::try_from(at / 8).ok()?).copied()
}

/// Calls within `.text` need no relocation in the file: the distance is in the instruction. Here they get
/// one, so that every edge between functions is in `relocs`.
fn local_calls(func: &mut Function, text: &HashMap<u32, FuncIx>) -> Result<(), ReadError> {
    let known: std::collections::HashSet<InsnIx> = func.relocs.iter().map(|r| r.at).collect();
    let mut skip = false;
    let mut more = Vec::new();
    for (i, insn) in func.insns.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        skip = insn.is_lddw();
        let at = InsnIx(i as u32);
        if !insn.is_local_call() || known.contains(&at) {
            continue;
        }
        let target = i64::from(func.offset.0) + i64::from(at.0) + i64::from(insn.imm) + 1;
        let found = u32::try_from(target).ok().and_then(|t| text.get(&t));
        match found {
            Some(&callee) => more.push(Reloc { at, target: RelocTarget::Call(callee) }),
            None => {
                let site = Site {
                    section: Some(func.section.clone()),
                    symbol: Some(func.name.clone()),
                    insn: Some(at),
                    line: None,
                };
                return Err(ReadError::Reloc {
                    site: Box::new(site),
                    why: "no function of .text starts where it calls".into(),
                });
            }
        }
    }
    func.relocs.append(&mut more);
    Ok(())
}

/// Adds the source line to the place of a failed relocation.
fn with_line(object: &Object, e: ReadError) -> ReadError {
    let ReadError::Reloc { mut site, why } = e else { return e };
    let mut functions = object.programs.iter().map(|p| &p.func).chain(&object.functions);
    let func = functions
        .find(|f| Some(&f.name) == site.symbol.as_ref() && Some(&f.section) == site.section.as_ref());
    site.line = func.zip(site.insn).and_then(|(func, at)| object.source_line(func, at));
    ReadError::Reloc { site, why }
}
