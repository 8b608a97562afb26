//! struct_ops: a set of kernel callbacks, written in C as a struct that is initialised with programs.
//!
//! ```c
//! SEC("struct_ops") u32 BPF_PROG(my_ssthresh, struct sock *sk) { ... }
//!
//! SEC(".struct_ops.link")                         // `?.struct_ops.link`: create the map only when asked to
//! struct tcp_congestion_ops mine = {
//!         .ssthresh = (void *)my_ssthresh,        // in the file: 8 zero bytes, and a relocation to the program
//!         .name     = "bpf_mine",                 // in the file: as it is
//! };
//! ```
//!
//! Each variable becomes a map of one element. Which members the running kernel has, and where, is the loader's
//! business; here the variable is what the object says: bytes, and programs at members.

use object::elf;

use super::tables::{Section, Symbol, Tables};
use super::*;
use crate::btf::{BtfKind, Kind};
use crate::sys::map::flags;

const SECTIONS: [&str; 4] = [".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"];

/// Reads the variables of the struct_ops sections as maps.
pub(super) fn read(tables: &Tables, object: &mut Object) -> Result<(), ReadError> {
    for (index, section) in tables.sections.iter().enumerate() {
        let named = SECTIONS.contains(&section.name.as_str());
        if !named || section.kind != elf::SHT_PROGBITS || section.size == 0 {
            continue;
        }
        let first = object.maps.len();
        let placed = variables(tables, object, index, section)?;
        callbacks(tables, object, index, first, &placed)?;
    }
    Ok(())
}

/// Adds a map for each variable of a section; returns where each begins.
fn variables(
    tables: &Tables,
    object: &mut Object,
    index: usize,
    section: &Section,
) -> Result<Vec<u64>, ReadError> {
    let Some(btf) = object.btf.clone() else {
        let site = Site { section: Some(section.name.clone()), ..Site::default() };
        return Err(ReadError::NoBtf { site: Box::new(site) });
    };
    let broken = |source| ReadError::Btf { section: ".BTF", source };
    let datasec = btf.find(&section.name, BtfKind::Datasec).map_err(broken)?;
    let Kind::Datasec(vars) = btf.ty(datasec).map_err(broken)?.kind else { return Ok(Vec::new()) };
    let bare = section.name.trim_start_matches('?');
    let by_link = bare == ".struct_ops.link";
    let mut placed = Vec::new();
    for info in vars {
        let var = btf.ty(info.ty).map_err(broken)?;
        let name = var.name.to_string();
        let bad = |why: &str| ReadError::Map { map: name.clone(), why: why.into() };
        let Kind::Var { ty, .. } = var.kind else {
            return Err(bad("its entry in BTF is not a variable"));
        };
        let resolved = btf.skip_mods_and_typedefs(ty).map_err(broken)?;
        let ty = resolved.id;
        let Kind::Struct(members) = resolved.kind else {
            return Err(bad("a struct_ops variable must be a struct of the kernel's"));
        };
        if resolved.name.is_empty() {
            return Err(bad("its struct has no name; it must have that of the kernel's struct"));
        }
        let symbol = tables.symbols.iter().find(|s| s.section == Some(index) && s.name == name);
        let start = symbol.map(|s| s.value).ok_or_else(|| bad("it has no symbol in its section"))?;
        let end = start.checked_add(members.size.into()).and_then(|end| usize::try_from(end).ok());
        let bytes = end.and_then(|end| section.data.get(usize::try_from(start).ok()?..end));
        let bytes = bytes.ok_or_else(|| bad("it reaches past the end of its section"))?;
        let ops = StructOps {
            section: bare.into(),
            type_id: ty,
            programs: Vec::new(),
            replaced: Vec::new(),
            by_link,
        };
        object.maps.push(MapDef {
            map_type: MapType::StructOps,
            key_size: 4,
            value_size: members.size,
            max_entries: 1,
            flags: if by_link { flags::LINK } else { 0 },
            value_type: Some(ty),
            contents: Some(bytes.to_vec()),
            autocreate: !section.name.starts_with('?'),
            ..MapDef::new(&name, MapOrigin::StructOps(ops))
        });
        placed.push(start);
    }
    Ok(placed)
}

/// Reads the relocations of a section: which program stands at which member.
fn callbacks(
    tables: &Tables,
    object: &mut Object,
    index: usize,
    first: usize,
    placed: &[u64],
) -> Result<(), ReadError> {
    for (offset, symbol) in tables.relocations(index) {
        let at = (0..placed.len()).filter(|&i| placed.get(i).is_some_and(|start| *start <= offset));
        let owner = at.max_by_key(|&i| placed.get(i).copied());
        let (Some(i), Some(symbol)) = (owner, symbol) else {
            let why = format!("a relocation at offset {offset} belongs to no variable");
            return Err(ReadError::Map { map: ".struct_ops".into(), why });
        };
        let member = offset.wrapping_sub(placed.get(i).copied().unwrap_or(0));
        let Some(map) = object.maps.get(first.saturating_add(i)) else { continue };
        let found = callback(tables, object, map, member, symbol);
        let (member, program) = found.map_err(|why| ReadError::Map { map: map.name.clone(), why })?;
        let map = object.maps.get_mut(first.saturating_add(i));
        if let Some(MapOrigin::StructOps(ops)) = map.map(|m| &mut m.origin) {
            ops.programs.push((member, program));
        }
    }
    Ok(())
}

/// The member at this offset, which must take a function, and the program that is put there.
fn callback(
    tables: &Tables,
    object: &Object,
    map: &MapDef,
    offset: u64,
    symbol: &Symbol,
) -> Result<(u32, ProgIx), String> {
    let (Some(btf), Some(ty)) = (object.btf.as_deref(), map.value_type) else {
        return Err("it has no type".into());
    };
    let resolved = btf.ty(ty).map_err(|e| e.to_string())?;
    let members = resolved.members().ok_or("its type has no members")?;
    let member = members.iter().find(|m| m.byte_offset().map(u64::from) == Some(offset));
    let member = member.ok_or_else(|| format!("there is no member at its byte {offset}"))?;
    let pointee = match btf.resolve(member.ty).map(|t| t.kind) {
        Ok(Kind::Ptr(to)) => btf.resolve(to).map(|t| t.kind).ok(),
        _ => None,
    };
    if !matches!(pointee, Some(Kind::FuncProto(_))) {
        return Err(format!("member `{}` takes no function, only functions can be set", member.name));
    }
    let section = symbol.section.and_then(|i| tables.sections.get(i)).map(|s| s.name.as_str());
    let slot = (symbol.value % 8 == 0).then_some(symbol.value / 8);
    let program = object.programs.iter().position(|p| {
        let start = u64::from(p.func.offset.0);
        let inside = |slot: u64| (start..start.saturating_add(p.func.insns.len() as u64)).contains(&slot);
        Some(p.func.section.as_str()) == section && slot.is_some_and(inside)
    });
    let program = program
        .ok_or_else(|| format!("member `{}` is set to something that is not a program", member.name))?;
    let def = object.programs.get(program).ok_or("no such program")?;
    if def.prog_type != Some(ProgType::StructOps) {
        return Err(format!(
            "member `{}` is set to program `{}` in section `{}`, it takes one in SEC(\"struct_ops\")",
            member.name,
            def.name(),
            def.section
        ));
    }
    Ok((u32::try_from(offset).unwrap_or(u32::MAX), ProgIx(program)))
}

impl Object {
    /// Puts another program at member `member` of struct_ops map `map`, or none: what the object's C says is
    /// forgotten. A program that stands nowhere any more is not loaded.
    ///
    /// # Errors
    /// [`GlobalError`] if there is no such map, member or program.
    #[doc(alias = "bpf_map__initial_value")]
    pub fn set_callback(
        &mut self,
        map: &str,
        member: &str,
        program: Option<&str>,
    ) -> Result<(), GlobalError> {
        let no = |what, name: &str, known: Vec<String>| GlobalError::unknown(what, name, known);
        let is_ops = |m: &&MapDef| matches!(m.origin, MapOrigin::StructOps(_));
        let names = || self.maps.iter().filter(is_ops).map(|m| m.name.clone()).collect();
        let found = self.maps.iter().position(|m| is_ops(&m) && m.name == map);
        let at = found.ok_or_else(|| no("struct_ops map", map, names()))?;
        let ty = self.maps.get(at).and_then(|m| m.value_type).unwrap_or_default();
        let resolved = self.btf.as_deref().and_then(|btf| btf.ty(ty).ok());
        let members = resolved.as_ref().and_then(|t| t.members());
        let all: Vec<(String, Option<u32>)> = members
            .map(|m| m.iter().map(|m| (m.name.to_string(), m.byte_offset())).collect())
            .unwrap_or_default();
        let offset = all.iter().find(|(name, _)| name == member).and_then(|(_, offset)| *offset);
        let known = || all.iter().map(|(name, _)| name.clone()).collect();
        let offset = offset.ok_or_else(|| no("member", member, known()))?;
        let ix = match program {
            None => None,
            Some(name) => {
                let fits = |p: &&ProgDef| p.prog_type == Some(ProgType::StructOps);
                let known = || self.programs.iter().filter(fits).map(|p| p.name().to_string()).collect();
                let found = self.programs.iter().position(|p| p.name() == name && fits(&p));
                Some(ProgIx(found.ok_or_else(|| no("struct_ops program", name, known()))?))
            }
        };
        if let Some(MapOrigin::StructOps(ops)) = self.maps.get_mut(at).map(|m| &mut m.origin) {
            let old = ops.programs.iter().filter(|(o, _)| *o == offset).map(|(_, p)| *p);
            ops.replaced.extend(old);
            ops.programs.retain(|(o, _)| *o != offset);
            ops.programs.extend(ix.map(|ix| (offset, ix)));
        }
        Ok(())
    }
}
