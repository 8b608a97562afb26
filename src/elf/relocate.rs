//! What each instruction refers to: the file's relocations, as references to maps, functions and externs.

use std::collections::HashMap;

use object::elf;

use super::tables::{Section, Symbol, Tables};
use super::*;
use crate::insn::raw::pseudo;

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
pub(super) struct Relocator<'t, 'a> {
    pub(super) tables: &'t Tables<'a>,
    pub(super) maps: &'t MapSymbols,
    pub(super) externs: &'t HashMap<String, ExternIx>,
}

impl Relocator<'_, '_> {
    pub(super) fn run(&self, object: &mut Object) -> Result<(), ReadError> {
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
        if insn.is_call() { self.call(insn, symbol, text) } else { self.address(insn, symbol, text) }
    }

    /// What a 64-bit load gets the address of: a function, an arena's variable, a jump table, a map, a global variable.
    fn address(
        &self,
        insn: RawInsn,
        symbol: &Symbol<'_>,
        text: &HashMap<u32, FuncIx>,
    ) -> Result<RelocTarget, String> {
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
pub(super) fn with_line(object: &Object, e: ReadError) -> ReadError {
    let ReadError::Reloc { mut site, why } = e else { return e };
    let mut functions = object.programs.iter().map(|p| &p.func).chain(&object.functions);
    let func = functions
        .find(|f| Some(&f.name) == site.symbol.as_ref() && Some(&f.section) == site.section.as_ref());
    site.line = func.zip(site.insn).and_then(|(func, at)| object.source_line(func, at));
    ReadError::Reloc { site, why }
}
