//! Objects made in Rust: assembled code, with maps, types and a license around it.
//!
//! The kernel takes a program with or without types. Without, a map's elements are bytes to every tool
//! and the verifier's complaint names an instruction; with them, elements are numbers and structs, and
//! the complaint names the line of the source. So the builder writes the same BTF that clang would: a
//! variable in `.maps` for each map, whose type spells the map's parameters ([`maps`](super::maps)), a
//! function type for each function, and a record for each line, which here is a line of Rust.
//!
//! ```
//! use rawbpf::elf::{MapDecl, Object, Ty};
//! use rawbpf::insn::prelude::*;
//! use rawbpf::uapi::MapType;
//!
//! let mut a = Asm::named("pass");
//! a.lddw(R1, map("hits")).mov64(R0, 2).exit();
//! let object = Object::builder("example")
//!     .license("GPL")
//!     .map(MapDecl::new("hits", MapType::Array, 1).key(Ty::U32).value(Ty::U64))
//!     .program("xdp", a.finish()?)
//!     .finish()?;
//! assert_eq!(object.program("pass").unwrap().func.insns.len(), 4);
//! std::fs::write(std::env::temp_dir().join("example.o"), object.to_elf()?)?;   // for any other loader
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::btf::{FuncLinkage, Secinfo, VarLinkage};
use crate::insn::raw::pseudo;
use crate::insn::{Code, CodeRef, LineRef, RefKind};
use crate::sys::map::flags;

mod decl;
mod error;
mod text;
mod types;

use decl::{Elem, layout};
pub use decl::{MapDecl, Ty};
pub use error::BuildError;
pub(super) use text::is_standard;
use types::Types;

/// A function that the kernel lets programs call: its name, what it returns, what it takes.
type Kfunc = (String, Ty, Vec<Ty>);

/// A function of the object: its name, what it returns, what it takes by name.
type Prototype = (String, Ty, Vec<(String, Ty)>);

/// A data section: its name, its first contents, its variables.
type DataSection = (String, Vec<u8>, Vec<(String, Ty)>);

/// An object that is being put together.
#[derive(Debug, Clone)]
pub struct ObjectBuilder {
    name: String,
    license: Option<String>,
    endian: Endian,
    maps: Vec<MapDecl>,
    data: Vec<DataSection>,
    functions: Vec<(String, Code)>,
    kfuncs: Vec<Kfunc>,
    prototypes: Vec<Prototype>,
}

impl Object {
    /// Starts an object of this name.
    pub fn builder(name: &str) -> ObjectBuilder {
        ObjectBuilder {
            name: name.into(),
            license: None,
            endian: Endian::NATIVE,
            maps: Vec::new(),
            data: Vec::new(),
            functions: Vec::new(),
            kfuncs: Vec::new(),
            prototypes: Vec::new(),
        }
    }
}

impl ObjectBuilder {
    /// The license; "GPL" and its kin unlock the helpers that are for GPL-compatible programs only.
    pub fn license(mut self, license: &str) -> Self {
        self.license = Some(license.into());
        self
    }

    /// The byte order of the file; this machine's, if not given.
    pub fn endian(mut self, endian: Endian) -> Self {
        self.endian = endian;
        self
    }

    /// Adds a map.
    pub fn map(mut self, map: MapDecl) -> Self {
        self.maps.push(map);
        self
    }

    /// Adds global variables, in the order of their declaration, as section `.data`, `.rodata` or `.bss`
    /// (or `.data.NAME` ...). Code refers to them by `map_value(".data", offset)`. `bytes` are the first
    /// contents; what is missing is zero.
    pub fn data(mut self, section: &str, bytes: &[u8], variables: &[(&str, Ty)]) -> Self {
        let variables: Vec<(String, Ty)> =
            variables.iter().map(|(n, t)| (n.to_string(), t.clone())).collect();
        let mut bytes = bytes.to_vec();
        bytes.resize(layout(&variables).1 as usize, 0);
        self.data.push((section.into(), bytes, variables));
        self
    }

    /// Adds a program: its section name, which says its type and hook, and its code. Functions in the code
    /// go to `.text`.
    pub fn program(mut self, section: &str, code: Code) -> Self {
        self.functions.push((section.into(), code));
        self
    }

    /// Adds functions that programs call.
    pub fn function(self, code: Code) -> Self {
        self.program(".text", code)
    }

    /// Declares a function of the kernel that code calls by `kfunc(name)`. Its types must be the kernel's.
    pub fn kfunc(mut self, name: &str, returns: Ty, takes: &[Ty]) -> Self {
        self.kfuncs.push((name.into(), returns, takes.to_vec()));
        self
    }

    /// Says what a function takes and returns. A program needs none: it takes the context of its type. A function
    /// that programs call and that has one becomes global: the verifier looks at it once, by its types, and not
    /// again at each call. Linux 5.6.
    ///
    /// ```
    /// use rawbpf::elf::{Object, Ty};
    /// use rawbpf::insn::prelude::*;
    /// let mut a = Asm::named("length");
    /// a.get(R0, R1 + xdp_md::DATA_END).get(R1, R1 + xdp_md::DATA).sub64(R0, R1).exit();
    /// let length = a.finish()?;
    /// let mut a = Asm::named("main");
    /// a.call(external("length")).mov64(R0, XDP_PASS).exit();
    /// let object = Object::builder("example")
    ///     .program("xdp", a.finish()?)
    ///     .function(length)
    ///     .prototype("length", Ty::I32, &[("ctx", Ty::pointer_to("xdp_md"))])
    ///     .finish()?;
    /// let said = object.to_text()?.to_string();
    /// assert!(said.contains(".func length: fn(ctx: *struct xdp_md) -> int\n"));
    /// # Ok::<(), rawbpf::Error>(())
    /// ```
    pub fn prototype(mut self, function: &str, returns: Ty, takes: &[(&str, Ty)]) -> Self {
        let takes = takes.iter().map(|(n, ty)| (n.to_string(), ty.clone())).collect();
        self.prototypes.push((function.into(), returns, takes));
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    /// [`BuildError`]: a reference to nothing, a name given twice, an unknown section.
    pub fn finish(self) -> Result<Object, BuildError> {
        let mut object = self.empty();
        let mut types = Types::new(self.endian);
        types.contexts = true;
        for (name, returns, takes) in &self.prototypes {
            let ret = types.id(returns);
            let params: Vec<(&str, TypeId)> =
                takes.iter().map(|(n, ty)| (n.as_str(), types.id(ty))).collect();
            let proto = types.btf.func_proto(ret, &params);
            types.protos.insert(name.clone(), proto);
        }
        self.add_maps(&mut object, &mut types)?;
        self.add_externs(&mut object, &mut types);
        let lines = self.add_functions(&mut object)?;
        self.add_slots(&mut object)?;
        let ext = types.functions(&object, &lines);
        object.btf = Some(Arc::new(Btf::parse(types.btf.to_bytes()?)?));
        object.ext = Some(Arc::new(BtfExt::parse(ext.to_bytes(self.endian))?));
        Ok(object)
    }

    /// The object before anything is in it.
    fn empty(&self) -> Object {
        Object {
            name: self.name.clone(),
            endian: self.endian,
            license: self.license.clone(),
            kern_version: None,
            maps: Vec::new(),
            programs: Vec::new(),
            functions: Vec::new(),
            externs: Vec::new(),
            jump_tables: Vec::new(),
            btf: None,
            ext: None,
        }
    }

    fn add_maps(&self, object: &mut Object, types: &mut Types) -> Result<(), BuildError> {
        let mut vars = Vec::new();
        for decl in &self.maps {
            if object.maps.iter().any(|m| m.name == decl.name) {
                return Err(BuildError::Twice { what: "map", name: decl.name.clone() });
            }
            let offset = vars.last().map_or(0, |v: &Secinfo| v.offset + v.size);
            let slots = decl.slots.iter().map(|(index, _)| *index).max().unwrap_or(0);
            if slots >= MAX_SLOTS || offset >= MAX_SLOTS * 8 {
                let why = format!("its element {slots} is too far out to be set in a file");
                return Err(BuildError::Text { what: format!("map `{}`", decl.name), why });
            }
            let (ty, size) = types.declaration(decl);
            let var = types.btf.var(&decl.name, ty, VarLinkage::Global);
            vars.push(Secinfo { ty: var, offset, size });
            object.maps.push(types.definition(decl));
        }
        if let Some(last) = vars.last() {
            types.btf.datasec(".maps", last.offset + last.size, &vars);
        }
        for (section, bytes, variables) in &self.data {
            let kind = data_kind(section);
            let mut map = MapDef::data(section, kind, bytes.len() as u32);
            map.contents = (kind != DataKind::Bss).then(|| bytes.clone());
            let at = layout(variables).0;
            let mut infos = Vec::new();
            for ((name, ty), offset) in variables.iter().zip(at) {
                let id = types.id(ty);
                let var = types.btf.var(name, id, VarLinkage::Global);
                infos.push(Secinfo { ty: var, offset, size: ty.size() });
            }
            if !infos.is_empty() {
                map.value_type = Some(types.btf.datasec(section, bytes.len() as u32, &infos));
                map.flags |= flags::MMAPABLE;
            }
            object.maps.push(map);
        }
        Ok(())
    }

    fn add_externs(&self, object: &mut Object, types: &mut Types) {
        let mut infos = Vec::new();
        for (name, returns, takes) in &self.kfuncs {
            let ret = types.id(returns);
            let params: Vec<(&str, TypeId)> = takes.iter().map(|ty| ("", types.id(ty))).collect();
            let proto = types.btf.func_proto(ret, &params);
            let func = types.btf.func(name, proto, FuncLinkage::Extern);
            infos.push(Secinfo { ty: func, offset: 0, size: 0 });
            object.externs.push(Extern { name: name.clone(), weak: false, kind: ExternKind::Function(func) });
        }
        if !infos.is_empty() {
            types.btf.datasec(".ksyms", 0, &infos);
        }
    }

    /// Cuts each code into its functions: the first is the program, the others go to `.text`.
    fn add_functions(&self, object: &mut Object) -> Result<Vec<Lines>, BuildError> {
        let mut pieces = Vec::new();
        for (n, (section, code)) in self.functions.iter().enumerate() {
            for (i, func) in code.funcs().iter().enumerate() {
                let range = code.func_range(i).unwrap_or(0..0);
                let entry = i == 0 && section != ".text";
                pieces.push(Piece {
                    code: n,
                    start: range.start,
                    end: range.end,
                    name: func.name.clone(),
                    entry,
                });
            }
        }
        for (i, piece) in pieces.iter().enumerate() {
            if pieces.iter().take(i).any(|p| p.name == piece.name) {
                return Err(BuildError::Twice { what: "function", name: piece.name.clone() });
            }
        }
        let mut lines = Vec::new();
        let mut ends: HashMap<String, u32> = HashMap::new();
        // Entry programs first: sources of the same section name share the section, one behind the other.
        for piece in &pieces {
            let Some((section, code)) = self.functions.get(piece.code) else { continue };
            let section = if piece.entry { section.as_str() } else { ".text" };
            let end = ends.entry(section.into()).or_default();
            let func = self.cut(object, code, piece, &pieces, section, InsnIx(*end))?;
            *end += func.insns.len() as u32;
            lines.push(Lines::of(code, piece, section, func.offset));
            if piece.entry {
                object.programs.push(entry(func)?);
            } else {
                object.functions.push(func);
            }
        }
        Ok(lines)
    }

    /// One function of a code, with its references.
    fn cut(
        &self,
        object: &Object,
        code: &Code,
        piece: &Piece,
        pieces: &[Piece],
        section: &str,
        offset: InsnIx,
    ) -> Result<Function, BuildError> {
        let mut insns = code.insns().get(piece.start..piece.end).unwrap_or_default().to_vec();
        let mut relocs = Vec::new();
        let callees: Vec<&Piece> = pieces.iter().filter(|p| !p.entry).collect();
        let find = |test: &dyn Fn(&Piece) -> bool| callees.iter().position(|p| test(p)).map(FuncIx);
        // Functions of the same code reach each other by distance; here each such edge becomes a reference.
        let mut wide = false;
        for (i, insn) in insns.iter().enumerate() {
            let skip = std::mem::replace(&mut wide, insn.is_lddw());
            if skip || !(insn.is_local_call() || insn.is_func_ref()) {
                continue;
            }
            let to = piece.start as i64 + i as i64 + i64::from(insn.imm) + 1;
            let at = InsnIx(i as u32);
            if let Some(ix) = find(&|p| p.code == piece.code && p.start as i64 == to) {
                let target =
                    if insn.is_func_ref() { RelocTarget::FuncAddr(ix) } else { RelocTarget::Call(ix) };
                relocs.push(Reloc { at, target });
            }
        }
        for r in code.refs().iter().filter(|r| (piece.start..piece.end).contains(&r.at.index())) {
            let at = InsnIx((r.at.index() - piece.start) as u32);
            let target = self.resolve(object, &callees, code, piece, r)?;
            relocs.retain(|known| known.at != at);
            relocs.push(Reloc { at, target });
        }
        relocs.sort_by_key(|r| r.at);
        for reloc in &relocs {
            normalise(&mut insns, reloc);
        }
        Ok(Function {
            name: piece.name.clone(),
            section: section.into(),
            offset,
            insns,
            relocs,
            binding: Binding::Global,
            hidden: false,
        })
    }

    fn resolve(
        &self,
        object: &Object,
        callees: &[&Piece],
        code: &Code,
        piece: &Piece,
        r: &CodeRef,
    ) -> Result<RelocTarget, BuildError> {
        let name = r.kind.name();
        let map = || object.maps.iter().position(|m| m.name == name).map(MapIx);
        let function = || callees.iter().position(|p| p.name == name).map(FuncIx);
        let symbol =
            || object.externs.iter().position(|e| e.name == name).map(|i| RelocTarget::Extern(ExternIx(i)));
        let (what, found) = match &r.kind {
            RefKind::Map { .. } => ("map", map().map(RelocTarget::Map)),
            RefKind::MapValue { off, .. } => {
                ("map", map().map(|map| RelocTarget::MapValue { map, offset: *off }))
            }
            RefKind::Kfunc { .. } => ("kernel function (declare it with `kfunc`)", symbol()),
            RefKind::Ksym { .. } => ("kernel variable", symbol()),
            RefKind::Func { .. } => ("function", function().map(RelocTarget::Call)),
            RefKind::FuncAddr { .. } => ("function", function().map(RelocTarget::FuncAddr)),
        };
        let names = |list: Vec<&str>| if list.is_empty() { "none".to_string() } else { list.join(", ") };
        found.ok_or_else(|| BuildError::Unknown {
            function: piece.name.clone(),
            at: InsnIx((r.at.index() - piece.start) as u32),
            place: code.line_at(r.at).map(|l| format!(" ({}:{})", l.file, l.line)).unwrap_or_default(),
            what,
            name: name.into(),
            known: match what {
                "map" => names(object.maps.iter().map(|m| m.name.as_str()).collect()),
                "function" => names(callees.iter().map(|p| p.name.as_str()).collect()),
                _ => names(object.externs.iter().map(|e| e.name.as_str()).collect()),
            },
        })
    }

    fn add_slots(&self, object: &mut Object) -> Result<(), BuildError> {
        for decl in &self.maps {
            for (index, target) in &decl.slots {
                let programs = decl.map_type == MapType::ProgArray;
                let found = if programs {
                    object
                        .programs
                        .iter()
                        .position(|p| p.name() == target)
                        .map(|i| SlotTarget::Program(ProgIx(i)))
                } else {
                    object.maps.iter().position(|m| &m.name == target).map(|i| SlotTarget::Map(MapIx(i)))
                };
                let what = if programs { "program" } else { "map" };
                let (map, index, target) = (decl.name.clone(), *index, target.clone());
                let found = found.ok_or(BuildError::Slot { map, index, target, what })?;
                if let Some(map) = object.maps.iter_mut().find(|m| m.name == decl.name) {
                    map.slots.push((index, found));
                }
            }
        }
        Ok(())
    }
}

/// So many elements of maps can be set from the start: each has its place in the file.
const MAX_SLOTS: u32 = 1 << 20;

/// What a section of variables is, by its name.
fn data_kind(section: &str) -> DataKind {
    match section {
        s if s.starts_with(".rodata") => DataKind::Rodata,
        s if s.starts_with(".bss") => DataKind::Bss,
        _ => DataKind::Data,
    }
}

/// A function's place in the code that it came in.
struct Piece {
    code: usize,
    start: usize,
    end: usize,
    name: String,
    entry: bool,
}

/// Brings an instruction to the form that it has in an object file, where the reference says the rest.
fn normalise(insns: &mut [RawInsn], reloc: &Reloc) {
    let at = reloc.at.index();
    if let Some(insn) = insns.get_mut(at) {
        match reloc.target {
            RelocTarget::Call(_) => (insn.src, insn.imm) = (pseudo::CALL, -1),
            RelocTarget::FuncAddr(_) | RelocTarget::Map(_) | RelocTarget::MapValue { .. } => {
                (insn.src, insn.imm) = (0, 0);
            }
            RelocTarget::Extern(_) if insn.is_call() => (insn.src, insn.imm) = (pseudo::CALL, -1),
            RelocTarget::Extern(_) | RelocTarget::JumpTable { .. } => (insn.src, insn.imm) = (0, 0),
        }
    }
    let wide = !matches!(reloc.target, RelocTarget::Call(_));
    if let (true, Some(high)) = (wide, insns.get_mut(at + 1)) {
        if high.opcode == 0 {
            high.imm = 0;
        }
    }
}

fn entry(func: Function) -> Result<ProgDef, BuildError> {
    let name = func.section.strip_prefix('?').unwrap_or(&func.section).to_string();
    let Some(def) = section::find(&name) else {
        let near = section::nearest(&name, 3);
        let near = if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) };
        return Err(BuildError::Section { program: func.name, section: name, near });
    };
    Ok(ProgDef {
        autoload: !func.section.starts_with('?'),
        section: name,
        def: Some(def),
        prog_type: Some(def.prog_type),
        attach_type: def.attach_type,
        flags: 0,
        target: None,
        func,
    })
}

/// The source lines of one function, by byte offset in its section.
struct Lines {
    section: String,
    start: u32,
    lines: Vec<(u32, String, String, u32)>,
}

impl Lines {
    fn of(code: &Code, piece: &Piece, section: &str, offset: InsnIx) -> Lines {
        let here = code.lines().filter(|l| (piece.start..piece.end).contains(&l.at.index()));
        let row = |l: LineRef| {
            let byte = (offset.0 + (l.at.index() - piece.start) as u32) * 8;
            (byte, l.file.to_string(), source_text(&l), l.line << 10 | l.col.min(1023))
        };
        Lines { section: section.into(), start: offset.0 * 8, lines: here.map(row).collect() }
    }
}

/// The text of a source line: what the code says, or what the file says if it is there to be read.
fn source_text(line: &LineRef) -> String {
    if let Some(text) = line.text {
        return text.to_string();
    }
    let text = std::fs::read_to_string(line.file).ok();
    let found = text.as_deref().and_then(|t| t.lines().nth((line.line as usize).saturating_sub(1)));
    found.map_or_else(|| format!("{}:{}", line.file, line.line), |l| l.trim().to_string())
}
