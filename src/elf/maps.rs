//! Maps: how C spells them as types, and how data sections become maps.
//!
//! A map is declared as a variable whose *type* carries the parameters. Nothing of it is in the section's
//! bytes; it is all in BTF:
//!
//! ```c
//! struct {                                           // what the macros of bpf_helpers.h stand for:
//!     __uint(type, BPF_MAP_TYPE_HASH);               //   int (*type)[1];
//!     __uint(max_entries, 128);                      //   int (*max_entries)[128];
//!     __type(key, struct key);                       //   struct key *key;
//!     __type(value, long);                           //   long *value;
//!     __array(values, struct inner);                 //   struct inner *values[];
//! } packet_count_map SEC(".maps");
//! ```
//!
//! So a number is the length of an array that a pointer points to, and a type is what a pointer points to.
//!
//! Global variables live in maps too: each `.data*`, `.rodata*` and `.bss*` section becomes an array of
//! one element, and the address of a variable becomes the address of that element plus an offset.

use std::collections::HashMap;

use object::elf;

use super::relocate::MapSymbols;
use super::tables::{Section, Symbol, Tables};
use super::*;
use crate::btf::{BtfError, BtfKind, Kind, Type, VarLinkage};
use crate::sys::map::flags;

/// Reads all maps but `.kconfig` and struct_ops into `object`.
pub(super) fn read(tables: &Tables, object: &mut Object) -> Result<MapSymbols, ReadError> {
    let mut symbols = MapSymbols::default();
    declared(tables, object, &mut symbols)?;
    for (index, section) in tables.sections.iter().enumerate() {
        if let Some(kind) = data_kind(section) {
            if section.size > 0 {
                symbols.data.insert(index, MapIx(object.maps.len()));
                object.maps.push(data_map(object.btf.as_deref(), section, kind)?);
            }
        }
    }
    arena_globals(tables, object, &mut symbols)?;
    Ok(symbols)
}

/// The variables of `.maps`.
fn declared(tables: &Tables, object: &mut Object, symbols: &mut MapSymbols) -> Result<(), ReadError> {
    let Some(index) = tables.sections.iter().position(|s| s.name == ".maps" && s.size > 0) else {
        return Ok(());
    };
    let Some(btf) = object.btf.clone() else {
        return Err(ReadError::NoBtf {
            site: Box::new(Site { section: Some(".maps".into()), ..Site::default() }),
        });
    };
    let section = |source| ReadError::Btf { section: ".BTF", source };
    let datasec = btf.find(".maps", BtfKind::Datasec).map_err(section)?;
    let Kind::Datasec(vars) = btf.ty(datasec).map_err(section)?.kind else { return Ok(()) };
    let mut at = HashMap::new();
    for info in vars {
        let var = btf.ty(info.ty).map_err(section)?;
        let name = var.name.to_string();
        let bad = |why: String| ReadError::Map { map: name.clone(), why };
        let Kind::Var { ty, linkage } = var.kind else {
            return Err(bad("its entry in the .maps section of BTF is not a variable".into()));
        };
        if linkage != VarLinkage::Global {
            return Err(bad("a map must be a global variable; remove `static`".into()));
        }
        let symbol = tables.symbols.iter().find(|s| s.section == Some(index) && s.name == name);
        let Some(symbol) = symbol else { return Err(bad("it has no symbol in section .maps".into())) };
        at.insert(symbol.value, MapIx(object.maps.len()));
        let def = Declaration { btf: &btf, name: &name }.map(ty, false).map_err(|e| e.in_map(&name))?;
        object.maps.push(def);
    }
    symbols.declared = Some((index, at));
    Ok(())
}

/// Why a declaration is no map definition.
pub(super) enum Wrong {
    Btf(BtfError),
    Why(String),
}

impl Wrong {
    fn in_map(self, map: &str) -> ReadError {
        match self {
            Wrong::Btf(source) => ReadError::Btf { section: ".BTF", source },
            Wrong::Why(why) => ReadError::Map { map: map.into(), why },
        }
    }
}

impl From<BtfError> for Wrong {
    fn from(e: BtfError) -> Wrong {
        Wrong::Btf(e)
    }
}

impl From<String> for Wrong {
    fn from(why: String) -> Wrong {
        Wrong::Why(why)
    }
}

/// A map declaration being read.
struct Declaration<'a> {
    btf: &'a Btf,
    name: &'a str,
}

impl Declaration<'_> {
    fn map(&self, ty: TypeId, inner: bool) -> Result<MapDef, Wrong> {
        let Kind::Struct(members) = self.btf.resolve(ty)?.kind else {
            return Err(format!(
                "its type is {}, a map is declared as a struct",
                self.btf.resolve(ty)?.tag()
            )
            .into());
        };
        let mut def = MapDef::new(self.name, MapOrigin::Declared);
        let count = members.len();
        for (i, member) in members.iter().enumerate() {
            let field = member.name.to_string();
            match field.as_str() {
                "type" => def.map_type = MapType(self.uint(&field, member.ty)?),
                "max_entries" => def.max_entries = self.uint(&field, member.ty)?,
                "map_flags" => def.flags = self.uint(&field, member.ty)?,
                "numa_node" => def.numa_node = self.uint(&field, member.ty)?,
                "key_size" => set_size(&field, &mut def.key_size, self.uint(&field, member.ty)?)?,
                "value_size" => set_size(&field, &mut def.value_size, self.uint(&field, member.ty)?)?,
                "key" => {
                    let (ty, size) = self.pointee(&field, member.ty)?;
                    set_size(&field, &mut def.key_size, size)?;
                    def.key_type = Some(ty);
                }
                "value" => {
                    let (ty, size) = self.pointee(&field, member.ty)?;
                    set_size(&field, &mut def.value_size, size)?;
                    def.value_type = Some(ty);
                }
                "values" => {
                    if i + 1 != count {
                        return Err("`values` must be the last member".to_string().into());
                    }
                    self.values(&mut def, member.ty, inner)?;
                }
                "pinning" if inner => return Err("an inner map cannot be pinned".to_string().into()),
                "pinning" => match self.uint(&field, member.ty)? {
                    0 => {}
                    1 => def.pin_by_name = true,
                    n => {
                        return Err(
                            format!("pinning is {n}; 0 is LIBBPF_PIN_NONE, 1 LIBBPF_PIN_BY_NAME").into()
                        );
                    }
                },
                "map_extra" => def.extra = self.ulong(&field, member.ty)?,
                other => return Err(unknown_field(other).into()),
            }
        }
        if def.map_type == MapType(0) {
            return Err("it has no type; add __uint(type, BPF_MAP_TYPE_...)".to_string().into());
        }
        Ok(def)
    }

    /// `__uint(field, n)`: `int (*field)[n]`.
    fn uint(&self, field: &str, ty: TypeId) -> Result<u32, Wrong> {
        let wrong = || Wrong::Why(format!("field `{field}` must be written __uint({field}, ...)"));
        let Kind::Ptr(array) = self.btf.resolve(ty)?.kind else { return Err(wrong()) };
        let Kind::Array(array) = self.btf.resolve(array)?.kind else { return Err(wrong()) };
        Ok(array.len)
    }

    /// `__ulong(field, n)`: an anonymous enumeration of one value; `__uint` will do for small numbers.
    fn ulong(&self, field: &str, ty: TypeId) -> Result<u64, Wrong> {
        let resolved = self.btf.resolve(ty)?;
        match resolved.enumerators() {
            None => self.uint(field, ty).map(u64::from),
            Some(values) => match (values.len(), values.get(0)) {
                (1, Some(value)) => Ok(value.value as u64),
                _ => Err(format!("field `{field}` must be written __ulong({field}, ...)").into()),
            },
        }
    }

    /// `__type(field, T)`: `T *field`.
    fn pointee(&self, field: &str, ty: TypeId) -> Result<(TypeId, u32), Wrong> {
        let Kind::Ptr(to) = self.btf.resolve(ty)?.kind else {
            return Err(format!("field `{field}` must be written __type({field}, ...)").into());
        };
        Ok((to, self.btf.size_of(to)?))
    }

    /// `__array(values, T)`: `T *values[]`.
    fn values(&self, def: &mut MapDef, ty: TypeId, inner: bool) -> Result<(), Wrong> {
        let wrong = || Wrong::Why("field `values` must be written __array(values, ...)".into());
        let map_in_map = matches!(def.map_type, MapType::ArrayOfMaps | MapType::HashOfMaps);
        if inner {
            return Err("the maps in it cannot hold maps themselves".to_string().into());
        }
        if !map_in_map && def.map_type != MapType::ProgArray {
            let ty = def.map_type;
            return Err(format!(
                "only maps of maps and program arrays have `values`, this is a {ty}; put `type` above it"
            )
            .into());
        }
        set_size("values", &mut def.value_size, 4)?;
        let Kind::Array(array) = self.btf.resolve(ty)?.kind else { return Err(wrong()) };
        let Kind::Ptr(to) = self.btf.resolve(array.elem)?.kind else { return Err(wrong()) };
        if !map_in_map {
            return match self.btf.resolve(to)?.kind {
                Kind::FuncProto(_) => Ok(()),
                _ => Err("the `values` of a program array must be functions".to_string().into()),
            };
        }
        let name = format!("{}.inner", self.name);
        let inner = Declaration { btf: self.btf, name: &name }.map(to, true).map_err(|e| match e {
            Wrong::Why(why) => Wrong::Why(format!("in its inner map: {why}")),
            other => other,
        })?;
        def.inner = Some(Box::new(inner));
        Ok(())
    }
}

const FIELDS: &[&str] = &[
    "type",
    "max_entries",
    "map_flags",
    "numa_node",
    "key_size",
    "value_size",
    "key",
    "value",
    "values",
    "pinning",
    "map_extra",
];

fn unknown_field(name: &str) -> String {
    let nearest = FIELDS.iter().min_by_key(|f| section::distance(f, name)).unwrap_or(&"type");
    format!("unknown field `{name}`; did you mean `{nearest}`? Fields are: {}", FIELDS.join(", "))
}

/// `key_size` and `key` may both be given, if they agree.
fn set_size(field: &str, size: &mut u32, new: u32) -> Result<(), Wrong> {
    if *size != 0 && *size != new {
        return Err(format!("field `{field}` says {new} bytes, another field says {size}").into());
    }
    *size = new;
    Ok(())
}

/// Whether a section holds global variables, by its name and type.
fn data_kind(section: &Section) -> Option<DataKind> {
    let named =
        |base: &str| section.name.strip_prefix(base).is_some_and(|r| r.is_empty() || r.starts_with('.'));
    match section.kind {
        elf::SHT_PROGBITS if section.executable => None,
        elf::SHT_PROGBITS if named(".data") => Some(DataKind::Data),
        elf::SHT_PROGBITS if named(".rodata") => Some(DataKind::Rodata),
        elf::SHT_NOBITS if named(".bss") => Some(DataKind::Bss),
        _ => None,
    }
}

/// The array map of one element that holds a data section.
fn data_map(btf: Option<&Btf>, section: &Section, kind: DataKind) -> Result<MapDef, ReadError> {
    let Ok(value_size) = u32::try_from(section.size) else {
        let why =
            format!("section `{}` is {} bytes long, a map value at most 4 GiB", section.name, section.size);
        return Err(ReadError::Map { map: section.name.clone(), why });
    };
    let mut def = MapDef::data(&section.name, kind, value_size);
    def.contents = (kind != DataKind::Bss).then(|| section.data.to_vec());
    let Some(btf) = btf else { return Ok(def) };
    let Ok(id) = btf.find(&section.name, BtfKind::Datasec) else { return Ok(def) };
    def.value_type = Some(id);
    let broken = |source| ReadError::Btf { section: ".BTF", source };
    if let Kind::Datasec(vars) = btf.ty(id).map_err(broken)?.kind {
        for info in vars {
            // A map of static variables only need not be visible to user space.
            let var: Type = btf.ty(info.ty).map_err(broken)?;
            if matches!(var.kind, Kind::Var { linkage, .. } if linkage != VarLinkage::Static) {
                def.flags |= flags::MMAPABLE;
            }
        }
    }
    Ok(def)
}

/// `.addr_space.1`: the first contents of the object's arena.
fn arena_globals(tables: &Tables, object: &mut Object, symbols: &mut MapSymbols) -> Result<(), ReadError> {
    let is_arena = |m: &MapDef| m.map_type == MapType::Arena;
    if let Some(second) = object.maps.iter().filter(|m| is_arena(m)).nth(1) {
        let why = "an object can have one arena, this is the second".into();
        return Err(ReadError::Map { map: second.name.clone(), why });
    }
    let Some(index) = tables.sections.iter().position(|s| s.name == ".addr_space.1" && s.size > 0) else {
        return Ok(());
    };
    let Some(arena) = object.maps.iter().position(is_arena) else {
        let why = "the object has __arena variables but no map of type BPF_MAP_TYPE_ARENA".into();
        return Err(ReadError::Map { map: ".addr_space.1".into(), why });
    };
    if let (Some(map), Some(section)) = (object.maps.get_mut(arena), tables.sections.get(index)) {
        map.contents = Some(section.data.to_vec());
    }
    symbols.arena = Some((index, MapIx(arena)));
    Ok(())
}

/// Reads `.rel.maps`: the elements of map-in-maps and program arrays that the file sets.
pub(super) fn slots(tables: &Tables, object: &mut Object, symbols: &MapSymbols) -> Result<(), ReadError> {
    let Some((index, declared)) = &symbols.declared else { return Ok(()) };
    let Some(btf) = object.btf.clone() else { return Ok(()) };
    for (offset, symbol) in tables.relocations(*index) {
        let owner = declared.iter().filter(|&(&at, _)| at <= offset).max_by_key(|&(&at, _)| at);
        let (Some((&start, &owner)), Some(symbol)) = (owner, symbol) else {
            let why = format!("a relocation at offset {offset} of .maps belongs to no map");
            return Err(ReadError::Map { map: ".maps".into(), why });
        };
        let Some(map) = object.maps.get(owner.0) else { continue };
        let bad = |why: String| ReadError::Map { map: map.name.clone(), why };
        let values =
            values_offset(&btf, &map.name).ok_or_else(|| bad("only `values` can be set in a map".into()))?;
        let slot =
            offset.checked_sub(start).and_then(|o| o.checked_sub(values.into())).filter(|o| o % 8 == 0);
        let slot = slot
            .and_then(|o| u32::try_from(o / 8).ok())
            .ok_or_else(|| bad("only `values` can be set".into()))?;
        let target = slot_target(object, map, symbol).map_err(bad)?;
        if let Some(map) = object.maps.get_mut(owner.0) {
            map.slots.push((slot, target));
        }
    }
    Ok(())
}

fn slot_target(object: &Object, map: &MapDef, symbol: &Symbol) -> Result<SlotTarget, String> {
    let name = &symbol.name;
    if map.map_type == MapType::ProgArray {
        let found = object.programs.iter().position(|p| &p.func.name == name);
        return found
            .map(|i| SlotTarget::Program(ProgIx(i)))
            .ok_or_else(|| format!("element `{name}` is not a program"));
    }
    if map.map_type == MapType::HashOfMaps && map.key_size != 4 {
        return Err(format!(
            "its elements can be set in C only with 4-byte keys, its keys have {}",
            map.key_size
        ));
    }
    let found = object.maps.iter().position(|m| &m.name == name && m.origin == MapOrigin::Declared);
    found.map(|i| SlotTarget::Map(MapIx(i))).ok_or_else(|| format!("element `{name}` is not a map in .maps"))
}

/// Byte offset of the member `values` in the declaration of map `name`.
pub(super) fn values_offset(btf: &Btf, name: &str) -> Option<u32> {
    let var = btf.ty(btf.find(name, BtfKind::Var).ok()?).ok()?;
    let Kind::Var { ty, .. } = var.kind else { return None };
    let last = btf.resolve(ty).ok()?.members()?.iter().last()?;
    if last.name == "values" { last.byte_offset() } else { None }
}

impl MapDef {
    /// A map without any parameters yet.
    pub fn new(name: &str, origin: MapOrigin) -> MapDef {
        MapDef {
            name: name.into(),
            origin,
            map_type: MapType(0),
            key_size: 0,
            value_size: 0,
            max_entries: 0,
            flags: 0,
            extra: 0,
            numa_node: 0,
            key_type: None,
            value_type: None,
            inner: None,
            slots: Vec::new(),
            pin_by_name: false,
            pin_path: None,
            contents: None,
            autocreate: true,
        }
    }

    /// The map of a data section.
    pub(super) fn data(section: &str, kind: DataKind, value_size: u32) -> MapDef {
        let read_only = matches!(kind, DataKind::Rodata | DataKind::Kconfig);
        MapDef {
            map_type: MapType::Array,
            key_size: 4,
            value_size,
            max_entries: 1,
            flags: if read_only { flags::RDONLY_PROG } else { 0 },
            ..MapDef::new(section, MapOrigin::Data { section: section.into(), kind })
        }
    }

    /// The name that the kernel gets, at most 15 bytes.
    ///
    /// Declared maps keep the start of their name. A data section is called after the object and the
    /// section: `my_objec.rodata`, for an object `my_object_name`.
    ///
    /// ```
    /// use rawbpf::elf::{DataKind, MapDef, MapOrigin};
    /// let named = |s: &str| MapDef::new(s, MapOrigin::Data { section: s.into(), kind: DataKind::Rodata });
    /// assert_eq!(named(".rodata").kernel_name("my_object_name"), "my_objec.rodata");
    /// assert_eq!(named(".rodata.abracadabra").kernel_name("my_object_name"), ".rodata.abracad");
    /// ```
    pub fn kernel_name(&self, object: &str) -> String {
        const MAX: usize = 15;
        let MapOrigin::Data { section, .. } = &self.origin else {
            return self.name.chars().take(MAX).collect();
        };
        let suffix: String = section.chars().take(MAX).collect();
        let custom = section.get(1..).is_some_and(|rest| rest.contains('.'));
        let room = if custom { 0 } else { MAX.saturating_sub(suffix.len().max(7)) };
        let prefix: String = object.chars().take(room).collect();
        let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '.' { c } else { '_' };
        format!("{prefix}{suffix}").chars().map(legal).collect()
    }
}
