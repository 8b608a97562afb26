//! Objects of assembly text: what [`text::TextProgram`] says, put together.

use std::collections::HashMap;

use super::types::{Types, push};
use super::*;
use crate::btf::{CoreRelo, CoreReloKind, Def, FwdKind, IntEncoding, StrOff};
use crate::insn::text::{
    self, Definition, Encoding, Init, Tag, TextComposite, TextData, TextMap, TextType, TextVar,
};

/// Integers that need no declaration: the name in a text, the name in C, bytes and encoding. C's own names
/// come first, then short ones.
const INTEGERS: &[(&str, &str, u32, Encoding)] = &[
    ("char", "char", 1, Encoding::SIGNED),
    ("signed char", "signed char", 1, Encoding::SIGNED),
    ("unsigned char", "unsigned char", 1, Encoding::UNSIGNED),
    ("short", "short", 2, Encoding::SIGNED),
    ("unsigned short", "unsigned short", 2, Encoding::UNSIGNED),
    ("int", "int", 4, Encoding::SIGNED),
    ("unsigned int", "unsigned int", 4, Encoding::UNSIGNED),
    ("long", "long", 8, Encoding::SIGNED),
    ("unsigned long", "unsigned long", 8, Encoding::UNSIGNED),
    ("long long", "long long", 8, Encoding::SIGNED),
    ("unsigned long long", "unsigned long long", 8, Encoding::UNSIGNED),
    ("__int128", "__int128", 16, Encoding::SIGNED),
    ("unsigned __int128", "unsigned __int128", 16, Encoding::UNSIGNED),
    ("_Bool", "_Bool", 1, Encoding::BOOL),
    ("__ARRAY_SIZE_TYPE__", "__ARRAY_SIZE_TYPE__", 4, Encoding::UNSIGNED),
    ("u8", "unsigned char", 1, Encoding::UNSIGNED),
    ("u16", "unsigned short", 2, Encoding::UNSIGNED),
    ("u32", "unsigned int", 4, Encoding::UNSIGNED),
    ("u64", "unsigned long long", 8, Encoding::UNSIGNED),
    ("s8", "signed char", 1, Encoding::SIGNED),
    ("s16", "short", 2, Encoding::SIGNED),
    ("s32", "int", 4, Encoding::SIGNED),
    ("s64", "long long", 8, Encoding::SIGNED),
    ("bool", "_Bool", 1, Encoding::BOOL),
];

/// Whether C's integer of this name goes without a declaration.
pub(in crate::elf) fn is_standard(name: &str, bytes: u32, encoding: Encoding) -> bool {
    INTEGERS.iter().any(|&(_, c, size, enc)| (c, size, enc) == (name, bytes, encoding))
}

impl Object {
    /// Makes an object of assembled text.
    ///
    /// # Errors
    /// [`BuildError`], naming the function, instruction and line, or what of the text does not fit.
    pub fn from_text(name: &str, program: &text::TextProgram) -> Result<Object, BuildError> {
        let mut builder = Object::builder(name);
        builder.license = program.license.clone();
        builder.endian = program.endian.unwrap_or(builder.endian);
        for function in &program.functions {
            builder.functions.push((function.section.clone(), function.code.clone()));
        }
        let mut types = TextTypes::of(program, builder.endian)?;
        let sizes = types.lay_out(program)?;
        builder.maps = program.maps.iter().map(|map| types.map(map, &sizes)).collect::<Result<_, _>>()?;

        let mut object = Object { kern_version: program.version, ..builder.empty() };
        builder.add_maps(&mut object, &mut types.types)?;
        for data in &program.data {
            let map = types.data(data, &sizes, builder.endian)?;
            object.maps.push(map);
        }
        types.externs(program)?;
        object.btf = Some(Arc::new(Btf::parse(types.types.btf.to_bytes()?)?));
        let externs = program.externs.iter().map(|e| (e.name.as_str(), e.weak));
        let wrong = |e: ReadError| wrong("what the kernel provides", e.to_string());
        crate::elf::externs::declare(&mut object, externs).map_err(wrong)?;

        let lines = builder.add_functions(&mut object)?;
        builder.add_slots(&mut object)?;
        bind(&mut object, program);
        let mut ext = types.types.functions(&object, &lines);
        types.core(&object, program, &mut ext.core_relo)?;
        object.btf = Some(Arc::new(Btf::parse(types.types.btf.to_bytes()?)?));
        object.ext = Some(Arc::new(BtfExt::parse(ext.to_bytes(builder.endian))?));
        Ok(object)
    }
}

fn wrong(what: impl Into<String>, why: impl Into<String>) -> BuildError {
    BuildError::Text { what: what.into(), why: why.into() }
}

/// Gives functions the binding that the text says.
fn bind(object: &mut Object, program: &text::TextProgram) {
    let programs = object.programs.iter_mut().map(|p| &mut p.func);
    for func in programs.chain(&mut object.functions) {
        let Some(said) = program.function(&func.name) else { continue };
        let global = said.global || func.section != ".text";
        func.binding = match (said.weak, global) {
            (true, _) => Binding::Weak,
            (_, true) => Binding::Global,
            _ => Binding::Local,
        };
        func.hidden = said.hidden && func.binding != Binding::Local;
    }
}

/// The types of a text, as BTF.
struct TextTypes {
    types: Types,
    /// Integers, floats and typedefs, and what has a tag.
    names: HashMap<(Option<Tag>, String), TypeId>,
    known: HashMap<TextType, TypeId>,
}

impl TextTypes {
    /// Makes the types with names. They get their numbers in the order of the text, whatever they refer to.
    fn of(program: &text::TextProgram, endian: Endian) -> Result<TextTypes, BuildError> {
        let mut all = TextTypes { types: Types::new(endian), names: HashMap::new(), known: HashMap::new() };
        for ty in &program.types {
            let tag = match &ty.def {
                Definition::Composite(tag, _) | Definition::Forward(tag) => Some(*tag),
                Definition::Enum(_) => Some(Tag::Enum),
                _ => None,
            };
            let id = all.types.btf.add(&ty.name, Def::Fwd(FwdKind::Struct));
            if all.names.insert((tag, ty.name.clone()), id).is_some() {
                return Err(wrong(format!("type `{}`", ty.name), "the text has two of this name"));
            }
        }
        for (ty, id) in program.types.iter().zip(all.types.btf.ids().collect::<Vec<_>>()) {
            let def = all.definition(&ty.def).map_err(|why| wrong(format!("type `{}`", ty.name), why))?;
            if let Some((_, place)) = all.types.btf.get_mut(id) {
                *place = def;
            }
        }
        Ok(all)
    }

    fn definition(&mut self, def: &Definition) -> Result<Def, String> {
        Ok(match def {
            Definition::Int(bytes, encoding) => integer(*bytes, *encoding),
            Definition::Float(size) => Def::Float { size: *size },
            Definition::Typedef(ty) => Def::Typedef(self.id(ty)?),
            Definition::Composite(tag, body) => self.composite(*tag, body)?,
            Definition::Enum(body) => self.enumeration(body),
            Definition::Forward(Tag::Union) => Def::Fwd(FwdKind::Union),
            Definition::Forward(_) => Def::Fwd(FwdKind::Struct),
        })
    }

    fn composite(&mut self, tag: Tag, body: &TextComposite) -> Result<Def, String> {
        let mut members = Vec::new();
        for member in &body.members {
            let name = self.types.btf.string(&member.name);
            let ty = self.id(&member.ty)?;
            members.push(crate::btf::MemberDef { name, ty, bit_offset: member.bit, bit_size: member.bits });
        }
        let bitfields = body.members.iter().any(|m| m.bits > 0);
        let composite = crate::btf::Composite { size: body.bytes, bitfields, members };
        Ok(if tag == Tag::Union { Def::Union(composite) } else { Def::Struct(composite) })
    }

    fn enumeration(&mut self, body: &text::Enum) -> Def {
        let values = body.values.iter().map(|(name, value)| (self.types.btf.string(name), *value)).collect();
        let values = crate::btf::Values { size: body.bytes, signed: body.signed, values };
        if body.bytes > 4 { Def::Enum64(values) } else { Def::Enum(values) }
    }

    /// The number of a type; the same for the same type. `Err` is a reason.
    fn id(&mut self, ty: &TextType) -> Result<TypeId, String> {
        if let Some(id) = self.known.get(ty) {
            return Ok(*id);
        }
        let id = match ty {
            TextType::Void => return Ok(TypeId(0)),
            TextType::Named(name) => self.named(name)?,
            TextType::Tagged(tag, name) => match self.names.get(&(Some(*tag), name.clone())) {
                Some(id) => *id,
                None => return Err(format!("there is no type `{ty}` in this text")),
            },
            TextType::Ptr(to) => {
                let to = self.id(to)?;
                self.types.pointer(to)
            }
            TextType::Array(len, elem) => {
                let elem = self.id(elem)?;
                let index = self.named("__ARRAY_SIZE_TYPE__")?;
                self.types.btf.array(elem, index, *len)
            }
            TextType::Const(ty) => self.wrap(ty, Def::Const)?,
            TextType::Volatile(ty) => self.wrap(ty, Def::Volatile)?,
            TextType::Restrict(ty) => self.wrap(ty, Def::Restrict)?,
            TextType::TypeTag(tag, ty) => {
                let ty = self.id(ty)?;
                self.types.btf.add(tag, Def::TypeTag { ty, attribute: false })
            }
            TextType::Func(params, returns) => self.prototype(params, returns)?,
            TextType::Composite(tag, body) => {
                let def = self.composite(*tag, body)?;
                self.types.btf.push(StrOff::NONE, def)
            }
            TextType::Enum(body) => {
                let def = self.enumeration(body);
                self.types.btf.push(StrOff::NONE, def)
            }
        };
        self.known.insert(ty.clone(), id);
        Ok(id)
    }

    fn wrap(&mut self, ty: &TextType, with: fn(TypeId) -> Def) -> Result<TypeId, String> {
        let id = self.id(ty)?;
        Ok(self.types.btf.push(StrOff::NONE, with(id)))
    }

    fn prototype(&mut self, params: &[(String, TextType)], returns: &TextType) -> Result<TypeId, String> {
        let ret = self.id(returns)?;
        let mut all = Vec::new();
        for (name, ty) in params {
            all.push((name.as_str(), self.id(ty)?));
        }
        Ok(self.types.btf.func_proto(ret, &all))
    }

    /// An integer, a float or a typedef: of the text, or one that needs no declaration.
    fn named(&mut self, name: &str) -> Result<TypeId, String> {
        if let Some(id) = self.names.get(&(None, name.to_string())) {
            return Ok(*id);
        }
        let Some(&(_, c, bytes, encoding)) = INTEGERS.iter().find(|row| row.0 == name) else {
            return Err(format!("there is no type `{name}` in this text"));
        };
        let id = match self.names.get(&(None, c.to_string())) {
            Some(id) => *id,
            None => self.types.btf.add(c, integer(bytes, encoding)),
        };
        self.names.insert((None, c.to_string()), id);
        self.names.insert((None, name.to_string()), id);
        Ok(id)
    }

    /// Makes every type that elements and variables have, so that their sizes can be asked for.
    fn lay_out(&mut self, program: &text::TextProgram) -> Result<Btf, BuildError> {
        for map in &program.maps {
            let inner = map.inner.iter().flat_map(|m| [&m.key, &m.value]);
            for elem in [&map.key, &map.value].into_iter().chain(inner) {
                if let text::Elem::Type(ty) = elem {
                    self.id(ty).map_err(|why| wrong(format!("map `{}`", map.name), why))?;
                }
            }
        }
        for var in program.data.iter().flat_map(|d| &d.variables) {
            if let Some(ty) = &var.ty {
                self.id(ty).map_err(|why| wrong(format!("variable `{}`", var.name), why))?;
            }
        }
        for func in &program.functions {
            if let Some(proto) = &func.proto {
                let id = self.id(proto).map_err(|why| wrong(format!("function `{}`", func.name), why))?;
                self.types.protos.insert(func.name.clone(), id);
            }
        }
        Ok(Btf::parse(self.types.btf.to_bytes()?)?)
    }

    fn map(&mut self, map: &TextMap, sizes: &Btf) -> Result<MapDecl, BuildError> {
        let mut decl = MapDecl::new(&map.name, map.kind, map.max_entries);
        let mut elem = |elem: &text::Elem| -> Result<(Option<Elem>, u32), BuildError> {
            let ty = match elem {
                text::Elem::Bytes(bytes) => return Ok((None, *bytes)),
                text::Elem::Type(ty) => ty,
            };
            let id = self.id(ty).map_err(|why| wrong(format!("map `{}`", map.name), why))?;
            Ok((Some(Elem::Known(id)), sizes.size_of(id)?))
        };
        (decl.key, decl.sizes.0) = elem(&map.key)?;
        (decl.value, decl.sizes.1) = elem(&map.value)?;
        (decl.flags, decl.numa_node, decl.extra) = (map.flags, map.numa_node, map.extra);
        (decl.pinned, decl.slots) = (map.pinned, map.slots.clone());
        if let Some(inner) = &map.inner {
            decl.sizes.1 = 4;
            decl.inner = Some(Box::new(self.map(inner, sizes)?));
        }
        Ok(decl)
    }

    /// The map of a section of variables.
    fn data(&mut self, data: &TextData, sizes: &Btf, endian: Endian) -> Result<MapDef, BuildError> {
        let kind = data_kind(&data.section);
        let mut contents = Vec::new();
        let mut infos = Vec::new();
        let mut visible = false;
        let mut end = 0u32;
        for var in &data.variables {
            let bad = |why: String| match var.name.as_str() {
                "" => wrong(format!("section `{}`", data.section), why),
                name => wrong(format!("variable `{name}`"), why),
            };
            let id = var.ty.as_ref().map(|ty| self.id(ty)).transpose().map_err(bad)?;
            let (size, align) = match id {
                Some(id) => (sizes.size_of(id)?, sizes.align_of(id)?.max(1)),
                None => (u32::try_from(init_len(&var.init)).unwrap_or(u32::MAX), 1),
            };
            let at = var.at.unwrap_or_else(|| end.checked_next_multiple_of(align).unwrap_or(u32::MAX));
            if at < end {
                return Err(bad(format!(
                    "it starts at byte {at}, and what stands before it ends at byte {end}"
                )));
            }
            end = at
                .checked_add(size)
                .filter(|end| *end <= MAX_DATA)
                .ok_or_else(|| bad(format!("it ends behind the {MAX_DATA} bytes that a section may have")))?;
            contents.resize(at as usize, 0);
            contents.extend(first_value(var, size, endian).map_err(bad)?);
            if let Some(ty) = id {
                let linkage = if var.local { VarLinkage::Static } else { VarLinkage::Global };
                visible |= !var.local;
                infos.push(Secinfo { ty: self.types.btf.var(&var.name, ty, linkage), offset: at, size });
            }
        }
        let bytes = data.bytes.min(MAX_DATA).max(contents.len() as u32);
        contents.resize(bytes as usize, 0);
        if kind == DataKind::Bss && contents.iter().any(|&b| b != 0) {
            return Err(wrong(format!("section `{}`", data.section), "what it holds starts as zero"));
        }
        let mut map = MapDef::data(&data.section, kind, bytes);
        map.contents = (kind != DataKind::Bss).then_some(contents);
        if !infos.is_empty() {
            infos.sort_by_key(|info| info.offset);
            map.value_type = Some(self.types.btf.datasec(&data.section, bytes, &infos));
        }
        if visible {
            map.flags |= flags::MMAPABLE;
        }
        Ok(map)
    }

    /// The BTF sections of what the kernel provides.
    fn externs(&mut self, program: &text::TextProgram) -> Result<(), BuildError> {
        for (section, kconfig) in [(".ksyms", false), (".kconfig", true)] {
            let mut infos = Vec::new();
            for symbol in program.externs.iter().filter(|e| e.kconfig == kconfig) {
                let ty = self.id(&symbol.ty).map_err(|why| wrong(format!("`{}`", symbol.name), why))?;
                let ty = match symbol.ty {
                    TextType::Func(..) => self.types.btf.func(&symbol.name, ty, FuncLinkage::Extern),
                    _ => self.types.btf.var(&symbol.name, ty, VarLinkage::Extern),
                };
                infos.push(Secinfo { ty, offset: 0, size: 0 });
            }
            if !infos.is_empty() {
                self.types.btf.datasec(section, 0, &infos);
            }
        }
        Ok(())
    }

    /// The CO-RE records of all functions.
    fn core(
        &mut self,
        object: &Object,
        program: &text::TextProgram,
        out: &mut Vec<(StrOff, Vec<CoreRelo>)>,
    ) -> Result<(), BuildError> {
        let programs = object.programs.iter().map(|p| &p.func);
        for func in programs.chain(&object.functions) {
            for core in program.function(&func.name).into_iter().flat_map(|f| &f.core) {
                let bad = |why| wrong(format!("function `{}`, instruction {}", func.name, core.at), why);
                let kind = CoreReloKind::from_name(&core.kind)
                    .ok_or_else(|| bad(format!("there is no CO-RE relocation `{}`", core.kind)))?;
                let type_id = self.id(&core.ty).map_err(bad)?;
                let access_str = self.types.btf.string(&core.access);
                let insn_off = func.offset.0.saturating_add(core.at.0).saturating_mul(8);
                let section = self.types.btf.string(&func.section);
                push(out, section, CoreRelo { insn_off, type_id, access_str, kind });
            }
        }
        Ok(())
    }
}

/// More bytes than any section of variables has.
const MAX_DATA: u32 = 1 << 26;

fn integer(size: u32, encoding: Encoding) -> Def {
    let bits = u8::try_from(size.saturating_mul(8)).unwrap_or(u8::MAX);
    let Encoding { signed, char, bool } = encoding;
    let encoding = [(signed, IntEncoding::SIGNED), (char, IntEncoding::CHAR), (bool, IntEncoding::BOOL)];
    let encoding = encoding.iter().filter(|(yes, _)| *yes).fold(0, |all, (_, bit)| all | bit.0);
    let encoding = IntEncoding(encoding);
    Def::Int(crate::btf::Int { size, bits, bit_offset: 0, encoding })
}

fn init_len(init: &Init) -> usize {
    if let Init::Bytes(bytes) = init { bytes.len() } else { 0 }
}

/// The bytes that a variable of a size starts with.
fn first_value(var: &TextVar, size: u32, endian: Endian) -> Result<Vec<u8>, String> {
    match &var.init {
        Init::Zero => Ok(vec![0; size as usize]),
        Init::Number(number) => {
            if !matches!(size, 1 | 2 | 4 | 8) {
                return Err(format!("it has {size} bytes, a number 1, 2, 4 or 8"));
            }
            let bits = size.saturating_mul(8);
            if *number >= 1i128 << bits || *number < -(1i128 << bits.saturating_sub(1)) {
                return Err(format!("{number} does not fit its {size} bytes"));
            }
            let little = number.to_le_bytes();
            let mut bytes = little.get(..size as usize).unwrap_or_default().to_vec();
            if endian == Endian::Big {
                bytes.reverse();
            }
            Ok(bytes)
        }
        Init::Bytes(bytes) if bytes.len() > size as usize => {
            Err(format!("its first value has {} bytes, its type {size}", bytes.len()))
        }
        Init::Bytes(bytes) => {
            let mut bytes = bytes.clone();
            bytes.resize(size as usize, 0);
            Ok(bytes)
        }
    }
}
