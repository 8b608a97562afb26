//! From an [`Object`] back to a file: a `.o` that this crate, libbpf and bpftool load.
//!
//! The sections are those that clang would make, and so are the relocations: at each reference the
//! instruction carries the addend (an offset into a data section, -1 for a call), and the relocation
//! carries the symbol. The kind of a relocation (`R_BPF_64_64` for a 64-bit load, `R_BPF_64_32` for a call)
//! is for linkers; loaders look at the instruction.

use std::collections::HashMap;

use object::write::{Relocation, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};
use object::{elf, write};

use super::*;
use crate::btf::{BtfKind, Kind, Secinfo, VarLinkage};
use crate::insn::raw::pseudo;

/// `R_BPF_64_ABS64`: a pointer in data.
const ABS64: elf::RelocationType = elf::RelocationType(2);

/// Why an object cannot be written as a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It holds something that this crate reads but does not write.
    #[error("{what} `{name}` cannot be written to a file yet")]
    Unsupported {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A reference to something that is not in the object.
    #[error("{site} refers to something that is not in the object")]
    Dangling {
        /// Where.
        site: Box<Site>,
    },
    /// The file could not be put together.
    #[error("cannot put the ELF file together")]
    Elf(#[from] object::write::Error),
}

impl Object {
    /// The object as the bytes of an ELF file.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn to_elf(&self) -> Result<Vec<u8>, WriteError> {
        let endian = match self.endian {
            Endian::Little => Endianness::Little,
            Endian::Big => Endianness::Big,
        };
        let file = write::Object::new(BinaryFormat::Elf, Architecture::Bpf, endian);
        let mut writer = Writer {
            object: self,
            file,
            sections: HashMap::new(),
            functions: Vec::new(),
            programs: Vec::new(),
            maps: HashMap::new(),
            externs: Vec::new(),
        };
        writer.all()?;
        Ok(writer.file.write()?)
    }
}

struct Writer<'o> {
    object: &'o Object,
    file: write::Object<'o>,
    sections: HashMap<String, SectionId>,
    functions: Vec<SymbolId>,
    programs: Vec<SymbolId>,
    maps: HashMap<usize, SymbolId>,
    externs: Vec<SymbolId>,
}

impl Writer<'_> {
    fn all(&mut self) -> Result<(), WriteError> {
        let object = self.object;
        let mut code: Vec<&Function> =
            object.functions.iter().chain(object.programs.iter().map(|p| &p.func)).collect();
        code.sort_by_key(|f| (f.section != ".text", f.offset));
        for func in &code {
            self.code(func);
        }
        self.functions = object.functions.iter().map(|f| self.function_symbol(f)).collect();
        self.programs = object.programs.iter().map(|p| self.function_symbol(&p.func)).collect();
        self.externs = object.externs.iter().map(|e| self.extern_symbol(e)).collect();
        self.declared_maps();
        for (i, map) in object.maps.iter().enumerate() {
            self.data_map(i, map)?;
        }
        if let Some(license) = &object.license {
            let section = self.section("license", SectionKind::Data);
            self.file.append_section_data(section, &[license.as_bytes(), &[0]].concat(), 1);
        }
        if let Some(version) = object.kern_version {
            let section = self.section("version", SectionKind::Data);
            self.file.append_section_data(section, &object.endian.put_u32(version), 4);
        }
        if let Some(btf) = &object.btf {
            let section = self.section(".BTF", SectionKind::Metadata);
            self.file.append_section_data(section, btf.bytes(), 4);
        }
        if let Some(ext) = &object.ext {
            let section = self.section(".BTF.ext", SectionKind::Metadata);
            self.file.append_section_data(section, ext.bytes(), 4);
        }
        for func in code {
            self.relocations(func)?;
        }
        self.slots()
    }

    fn section(&mut self, name: &str, kind: SectionKind) -> SectionId {
        let file = &mut self.file;
        *self.sections.entry(name.into()).or_insert_with(|| file.add_section(Vec::new(), name.into(), kind))
    }

    /// The instructions, each with the addend that its reference wants.
    fn code(&mut self, func: &Function) {
        let section = self.section(&func.section, SectionKind::Text);
        let mut insns = func.insns.clone();
        for reloc in &func.relocs {
            let is_call = insns.get(reloc.at.index()).is_some_and(|i| i.is_call());
            if let Some(insn) = insns.get_mut(reloc.at.index()) {
                match reloc.target {
                    RelocTarget::Call(_) => (insn.src, insn.imm) = (pseudo::CALL, -1),
                    RelocTarget::Extern(_) if is_call => (insn.src, insn.imm) = (pseudo::CALL, -1),
                    RelocTarget::MapValue { offset, .. } => insn.imm = offset as i32,
                    _ => insn.imm = 0,
                }
            }
        }
        let bytes: Vec<u8> = insns.iter().flat_map(|i| i.to_bytes(self.object.endian)).collect();
        self.file.append_section_data(section, &bytes, 8);
    }

    fn function_symbol(&mut self, func: &Function) -> SymbolId {
        let section = self.section(&func.section, SectionKind::Text);
        let (scope, weak) = match func.binding {
            Binding::Local => (SymbolScope::Compilation, false),
            Binding::Global => (SymbolScope::Dynamic, false),
            Binding::Weak => (SymbolScope::Dynamic, true),
        };
        self.file.add_symbol(Symbol {
            name: func.name.clone().into(),
            value: u64::from(func.offset.0) * 8,
            size: func.insns.len() as u64 * 8,
            kind: SymbolKind::Text,
            // "Linkage" scope is what ELF calls hidden.
            scope: if func.hidden { SymbolScope::Linkage } else { scope },
            weak,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        })
    }

    fn extern_symbol(&mut self, ext: &Extern) -> SymbolId {
        self.file.add_symbol(Symbol {
            name: ext.name.clone().into(),
            value: 0,
            size: 0,
            kind: SymbolKind::Unknown,
            scope: SymbolScope::Dynamic,
            weak: ext.weak,
            section: SymbolSection::Undefined,
            flags: SymbolFlags::None,
        })
    }

    fn variable(&mut self, section: SectionId, name: &str, info: &Secinfo, local: bool) -> SymbolId {
        self.file.add_symbol(Symbol {
            name: name.into(),
            value: info.offset.into(),
            size: info.size.into(),
            kind: SymbolKind::Data,
            scope: if local { SymbolScope::Compilation } else { SymbolScope::Dynamic },
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        })
    }

    /// The variables of a data section, by its BTF; the last says whether it is static.
    fn variables(&self, section: &str) -> Vec<(String, Secinfo, bool)> {
        let Some(btf) = self.object.btf.as_deref() else { return Vec::new() };
        let datasec = btf.find(section, BtfKind::Datasec).and_then(|id| btf.ty(id));
        let Ok(Kind::Datasec(vars)) = datasec.map(|d| d.kind) else { return Vec::new() };
        let variable = |info: Secinfo| {
            let var = btf.ty(info.ty).ok()?;
            let local = matches!(var.kind, Kind::Var { linkage: VarLinkage::Static, .. });
            Some((var.name.to_string(), info, local))
        };
        vars.iter().filter_map(variable).collect()
    }

    fn declared_maps(&mut self) {
        let variables = self.variables(".maps");
        if variables.is_empty() {
            return;
        }
        let section = self.section(".maps", SectionKind::Data);
        let size = variables.iter().map(|(_, info, _)| info.offset + info.size).max().unwrap_or(0);
        self.file.append_section_data(section, &vec![0; size as usize], 8);
        for (name, info, local) in variables {
            let symbol = self.variable(section, &name, &info, local);
            if let Some(ix) = self.object.maps.iter().position(|m| m.name == name) {
                self.maps.insert(ix, symbol);
            }
        }
    }

    fn data_map(&mut self, ix: usize, map: &MapDef) -> Result<(), WriteError> {
        let MapOrigin::Data { section: name, kind } = &map.origin else {
            return match map.origin {
                MapOrigin::StructOps(_) => {
                    Err(WriteError::Unsupported { what: "struct_ops map", name: map.name.clone() })
                }
                _ => Ok(()),
            };
        };
        let section_kind = match kind {
            DataKind::Data => SectionKind::Data,
            DataKind::Rodata => SectionKind::ReadOnlyData,
            DataKind::Bss => SectionKind::UninitializedData,
            DataKind::Kconfig => return Ok(()),
        };
        let section = self.section(name, section_kind);
        match &map.contents {
            Some(bytes) if *kind != DataKind::Bss => self.file.append_section_data(section, bytes, 8),
            _ => self.file.append_section_bss(section, map.value_size.into(), 8),
        };
        for (name, info, local) in self.variables(name) {
            self.variable(section, &name, &info, local);
        }
        let symbol = self.file.section_symbol(section);
        self.maps.insert(ix, symbol);
        Ok(())
    }

    fn relocations(&mut self, func: &Function) -> Result<(), WriteError> {
        let section = self.section(&func.section, SectionKind::Text);
        for reloc in &func.relocs {
            let symbol = match reloc.target {
                RelocTarget::Map(ix) | RelocTarget::MapValue { map: ix, .. } => self.maps.get(&ix.0).copied(),
                RelocTarget::Extern(ix) => self.externs.get(ix.0).copied(),
                RelocTarget::Call(ix) | RelocTarget::FuncAddr(ix) => self.functions.get(ix.0).copied(),
                RelocTarget::JumpTable { .. } => None,
            };
            let Some(symbol) = symbol else {
                let site = Site {
                    section: Some(func.section.clone()),
                    symbol: Some(func.name.clone()),
                    insn: Some(reloc.at),
                    line: None,
                };
                return Err(WriteError::Dangling { site: Box::new(site) });
            };
            let is_call = func.insns.get(reloc.at.index()).is_some_and(|i| i.is_call());
            let kind = if is_call { elf::R_BPF_64_32 } else { elf::R_BPF_64_64 };
            let offset = (u64::from(func.offset.0) + u64::from(reloc.at.0)) * 8;
            self.relocate(section, offset, symbol, kind)?;
        }
        Ok(())
    }

    fn relocate(
        &mut self,
        section: SectionId,
        offset: u64,
        symbol: SymbolId,
        r_type: elf::RelocationType,
    ) -> Result<(), WriteError> {
        let flags = RelocationFlags::Elf { r_type };
        Ok(self.file.add_relocation(section, Relocation { offset, symbol, addend: 0, flags })?)
    }

    /// Elements of maps that are set from the start.
    fn slots(&mut self) -> Result<(), WriteError> {
        let variables = self.variables(".maps");
        for map in self.object.maps.iter().filter(|m| !m.slots.is_empty()) {
            let at = variables.iter().find(|(name, ..)| *name == map.name).map(|(_, info, _)| info.offset);
            let values =
                self.object.btf.as_deref().and_then(|btf| super::maps::values_offset(btf, &map.name));
            let (Some(at), Some(values)) = (at, values) else {
                return Err(WriteError::Unsupported { what: "elements of map", name: map.name.clone() });
            };
            let section = self.section(".maps", SectionKind::Data);
            for (index, target) in &map.slots {
                let symbol = match target {
                    SlotTarget::Map(ix) => self.maps.get(&ix.0).copied(),
                    SlotTarget::Program(ix) => self.programs.get(ix.0).copied(),
                };
                let Some(symbol) = symbol else {
                    let site = Site { symbol: Some(map.name.clone()), ..Site::default() };
                    return Err(WriteError::Dangling { site: Box::new(site) });
                };
                let offset = u64::from(at) + u64::from(values) + u64::from(*index) * 8;
                self.relocate(section, offset, symbol, ABS64)?;
            }
        }
        Ok(())
    }
}
