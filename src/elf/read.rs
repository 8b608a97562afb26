//! From the bytes of an ELF file to an [`Object`].
//!
//! The order of work: the file's tables (module `tables`), the functions of each executable section, the maps
//! (module `maps`, from BTF), the externs (module `externs`), and last the relocations (module `relocate`), which need
//! all of those to say what an instruction refers to.

use std::path::Path;
use std::sync::Arc;

use object::elf;

use super::relocate::{Relocator, with_line};
use super::tables::{Section, Symbol, Tables};
use super::*;

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
