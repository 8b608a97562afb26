//! The symbols of one executable file.

use std::path::Path;

use goblin::elf::Elf;
use goblin::elf::program_header::PT_LOAD;
use goblin::elf::sym::STT_FUNC;

/// What is needed of a file to name its functions.
#[derive(Debug, Default)]
pub(super) struct ElfSymbols {
    /// Loaded parts: file offset, length, virtual address.
    segments: Vec<(u64, u64, u64)>,
    /// Functions by virtual address: address, length, name.
    functions: Vec<(u64, u64, String)>,
    pub(super) build_id: Vec<u8>,
}

impl ElfSymbols {
    /// Reads a file; empty if it is no ELF file.
    pub(super) fn read(path: &Path) -> ElfSymbols {
        let Ok(bytes) = std::fs::read(path) else { return ElfSymbols::default() };
        let Ok(elf) = Elf::parse(&bytes) else { return ElfSymbols::default() };
        let loaded = elf.program_headers.iter().filter(|h| h.p_type == PT_LOAD);
        let segments = loaded.map(|h| (h.p_offset, h.p_filesz, h.p_vaddr)).collect();
        let mut functions = Vec::new();
        for (symbols, names) in [(&elf.syms, &elf.strtab), (&elf.dynsyms, &elf.dynstrtab)] {
            for symbol in symbols.iter().filter(|s| s.st_type() == STT_FUNC && s.st_value != 0) {
                if let Some(name) = names.get_at(symbol.st_name).filter(|name| !name.is_empty()) {
                    functions.push((symbol.st_value, symbol.st_size, name.to_string()));
                }
            }
        }
        functions.sort();
        functions.dedup_by(|a, b| a.0 == b.0);
        ElfSymbols { segments, functions, build_id: build_id(&elf, &bytes) }
    }

    /// The function at a file offset, and how far into it that is.
    pub(super) fn at(&self, offset: u64) -> Option<(String, u64)> {
        let inside = |(from, len, _): &&(u64, u64, u64)| offset.checked_sub(*from).is_some_and(|o| o < *len);
        let (from, _, to) = self.segments.iter().find(inside)?;
        let address = offset.checked_sub(*from)?.checked_add(*to)?;
        let after = self.functions.partition_point(|(at, ..)| *at <= address);
        let (start, len, name) = self.functions.get(after.checked_sub(1)?)?;
        let into = address.checked_sub(*start)?;
        // A function without a length reaches to the next one.
        (*len == 0 || into < *len).then(|| (name.clone(), into))
    }
}

fn build_id(elf: &Elf<'_>, bytes: &[u8]) -> Vec<u8> {
    let notes = elf.iter_note_headers(bytes).into_iter().flatten();
    let sections = elf.iter_note_sections(bytes, Some(".note.gnu.build-id")).into_iter().flatten();
    let mut all = notes.chain(sections).filter_map(Result::ok);
    all.find(|n| n.n_type == goblin::elf::note::NT_GNU_BUILD_ID && n.name == "GNU")
        .map(|n| n.desc.to_vec())
        .unwrap_or_default()
}
