//! From an [`Object`] to assembly text that says the same: what `rawbpf disasm --text` prints.
//!
//! The text says each thing once, in the words of [`insn::text`](crate::insn::text): a map as its fields and not as
//! the types that spell them, a variable as its type and first value, a type by its name where it has one. What follows
//! from that (the numbers of types, the symbols and relocations of the file) is made anew when it is assembled. Source
//! lines are not kept: those of the new object are the text's.

use std::cell::Cell;
use std::collections::HashSet;

use super::build::is_standard;
use super::*;
use crate::btf::{BtfError, BtfKind, FuncInfo, FwdKind, Kind, Members, Secinfo, VarLinkage};
use crate::insn::text::{
    Definition, Elem, Encoding, Enum, Init, Tag, TextComposite, TextCore, TextData, TextExtern, TextFunction,
    TextMap, TextMember, TextProgram, TextType, TextVar, TypeDef,
};
use crate::insn::{Code, CodeFunc, CodeRef, RefKind};

/// What of an object cannot be said in assembly text.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be said in assembly text: {why}")]
pub struct NoText {
    /// What it is, by its name in the object.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Why something cannot be said, before it is known what.
type Why<T> = Result<T, String>;

impl Object {
    /// The object as assembly text: assembled, it gives the same instructions, maps, variables and types.
    ///
    /// # Errors
    /// [`NoText`] names what the text has no words for: maps of type struct_ops, jump tables, first contents of
    /// an arena, and some rare types (`docs/INSN.md` lists them).
    pub fn to_text(&self) -> Result<TextProgram, NoText> {
        let types = Types { btf: self.btf.as_deref(), left: Cell::new(MAX_TYPES) };
        let mut program = TextProgram {
            license: self.license.clone(),
            version: self.kern_version,
            endian: (self.endian != Endian::NATIVE).then_some(self.endian),
            types: types.all()?,
            ..TextProgram::default()
        };
        for map in &self.maps {
            let no = |why| NoText { what: format!("map `{}`", map.name), why };
            match &map.origin {
                MapOrigin::Declared => program.maps.push(self.map_text(map, &types).map_err(no)?),
                MapOrigin::Data { kind: DataKind::Kconfig, .. } => {}
                MapOrigin::Data { section, .. } => {
                    program.data.push(self.data_text(map, section, &types).map_err(no)?);
                }
                MapOrigin::StructOps(_) => return Err(no("it is a set of callbacks (struct_ops)".into())),
            }
        }
        for symbol in &self.externs {
            let no = |why| NoText { what: format!("extern `{}`", symbol.name), why };
            program.externs.push(extern_text(symbol, &types).map_err(no)?);
        }
        let programs = self.programs.iter().map(|p| &p.func);
        for func in programs.chain(&self.functions) {
            let no = |why| NoText { what: format!("function `{}`", func.name), why };
            program.functions.push(self.function_text(func, &types).map_err(no)?);
        }
        Ok(program)
    }

    fn map_text(&self, map: &MapDef, types: &Types) -> Why<TextMap> {
        if map.contents.is_some() {
            return Err("its first contents are variables of an arena".into());
        }
        let elem = |ty: Option<TypeId>, bytes| match ty {
            Some(id) => types.ty(id, 0).map(Elem::Type),
            None => Ok(Elem::Bytes(bytes)),
        };
        let slot = |(index, target): &(u32, SlotTarget)| {
            let name = match target {
                SlotTarget::Map(ix) => self.maps.get(ix.0).map(|m| m.name.clone()),
                SlotTarget::Program(ix) => self.programs.get(ix.0).map(|p| p.func.name.clone()),
            };
            name.map(|name| (*index, name)).ok_or("an element refers to nothing".to_string())
        };
        // A map of maps or programs says nothing of its values but what they hold.
        let value = match (&map.inner, map.map_type) {
            (Some(_), _) => Elem::Bytes(0),
            _ => elem(map.value_type, map.value_size)?,
        };
        Ok(TextMap {
            kind: map.map_type,
            key: elem(map.key_type, map.key_size)?,
            value,
            max_entries: map.max_entries,
            flags: map.flags,
            numa_node: map.numa_node,
            extra: map.extra,
            pinned: map.pin_by_name,
            inner: map.inner.as_deref().map(|inner| self.map_text(inner, types).map(Box::new)).transpose()?,
            slots: map.slots.iter().map(slot).collect::<Why<_>>()?,
            ..TextMap::new(if map.name.ends_with(".inner") { "" } else { map.name.as_str() }, 0)
        })
    }

    /// A section of variables: each with its part of the contents, and what lies between them.
    fn data_text(&self, map: &MapDef, section: &str, types: &Types) -> Why<TextData> {
        let mut data = TextData { section: section.into(), ..TextData::default() };
        let contents = map.contents.as_deref().unwrap_or_default();
        let mut end = 0u32;
        let gap = |data: &mut TextData, from: u32, to: u32| {
            let bytes = contents.get(from as usize..to as usize).unwrap_or_default();
            if bytes.iter().any(|&b| b != 0) {
                let init = Init::Bytes(bytes.to_vec());
                data.variables.push(TextVar {
                    name: String::new(),
                    ty: None,
                    local: false,
                    at: Some(from),
                    init,
                });
            }
        };
        for (info, name, ty, local) in types.variables(section)? {
            gap(&mut data, end, info.offset);
            end = info.offset.checked_add(info.size).ok_or("a variable is too long")?;
            let bytes = contents.get(info.offset as usize..end as usize).unwrap_or_default();
            let init = types.init(ty, bytes, self.endian);
            let ty = Some(types.ty(ty, 0)?);
            data.variables.push(TextVar { name, ty, local, at: Some(info.offset), init });
        }
        gap(&mut data, end, contents.len() as u32);
        // The text leaves zeros at the end out, so it says the length where it would be shorter without.
        let last = contents.iter().rposition(|&b| b != 0).map_or(0, |last| last.saturating_add(1) as u32);
        data.bytes = if map.value_size > end.max(last) { map.value_size } else { 0 };
        Ok(data)
    }

    fn function_text(&self, func: &Function, types: &Types) -> Why<TextFunction> {
        let mut refs = Vec::new();
        for reloc in &func.relocs {
            refs.push(CodeRef { at: reloc.at, kind: self.reference(func, reloc)? });
        }
        let start = CodeFunc { name: func.name.clone(), start: InsnIx(0) };
        let info = self.records(func, BtfExt::func_info, |r: &FuncInfo| r.insn_off).next();
        let mut core = Vec::new();
        for record in self.core_relocations(func) {
            core.push(TextCore {
                at: InsnIx((record.insn_off / 8).saturating_sub(func.offset.0)),
                kind: record.kind.name().ok_or("a CO-RE relocation is of a kind that is not known")?.into(),
                ty: types.ty(record.type_id, 0)?,
                access: types.text(record.access_str),
            });
        }
        core.sort_by_key(|c| c.at);
        let entry = func.section != ".text";
        let proto = info.map(|info| types.prototype(info.type_id)).transpose()?;
        Ok(TextFunction {
            name: func.name.clone(),
            section: func.section.clone(),
            // Programs are global by themselves; all but the first of a section have to be marked as functions.
            global: func.binding == Binding::Global && (!entry || func.offset.0 > 0),
            weak: func.binding == Binding::Weak,
            hidden: func.hidden,
            proto: proto.filter(|proto| *proto != default_prototype(entry)),
            core,
            code: Code::from_parts(func.insns.clone(), refs, vec![start]),
            line: 0,
        })
    }

    /// What an instruction refers to, by name.
    fn reference(&self, func: &Function, reloc: &Reloc) -> Why<RefKind> {
        let map = |ix: MapIx| self.maps.get(ix.0).map(|m| m.name.clone());
        let function = |ix: FuncIx| self.functions.get(ix.0).map(|f| f.name.clone());
        let symbol = |ix: ExternIx| self.externs.get(ix.0).map(|e| e.name.clone());
        let is_call = func.insns.get(reloc.at.index()).is_some_and(|i| i.is_call());
        let found = match reloc.target {
            RelocTarget::Map(ix) => map(ix).map(|name| RefKind::Map { name }),
            RelocTarget::MapValue { map: ix, offset } => {
                map(ix).map(|name| RefKind::MapValue { name, off: offset })
            }
            RelocTarget::Extern(ix) if is_call => symbol(ix).map(|name| RefKind::Kfunc { name }),
            RelocTarget::Extern(ix) => symbol(ix).map(|name| RefKind::Ksym { name }),
            RelocTarget::Call(ix) => function(ix).map(|name| RefKind::Func { name }),
            RelocTarget::FuncAddr(ix) => function(ix).map(|name| RefKind::FuncAddr { name }),
            RelocTarget::JumpTable { .. } => {
                return Err(format!("instruction {} uses a jump table", reloc.at));
            }
        };
        found.ok_or_else(|| format!("instruction {} refers to nothing", reloc.at))
    }
}

/// What a function takes and returns if nobody says it: the builder's own choice.
fn default_prototype(entry: bool) -> TextType {
    let named = |name: &str| TextType::Named(name.into());
    match entry {
        true => TextType::Func(
            vec![("ctx".into(), TextType::Ptr(Box::new(TextType::Void)))],
            Box::new(named("int")),
        ),
        false => {
            let params = (1..=5).map(|n| (format!("arg{n}"), named("unsigned long long")));
            TextType::Func(params.collect(), Box::new(named("unsigned long long")))
        }
    }
}

fn extern_text(symbol: &Extern, types: &Types) -> Why<TextExtern> {
    let Some(btf) = types.btf else { return Err("the object has no types".into()) };
    let kinds = crate::btf::KindSet::of(&[BtfKind::Var, BtfKind::Func]);
    let id = btf.find(&symbol.name, kinds).map_err(reason)?;
    let ty = match btf.ty(id).map_err(reason)?.kind {
        Kind::Func { proto, .. } => types.ty(proto, 0)?,
        Kind::Var { ty, .. } => types.ty(ty, 0)?,
        _ => return Err("it is neither a variable nor a function".into()),
    };
    let kconfig = matches!(symbol.kind, ExternKind::Kconfig { .. });
    Ok(TextExtern { name: symbol.name.clone(), ty, kconfig, weak: symbol.weak })
}

fn reason(e: BtfError) -> String {
    e.to_string()
}

/// The types of an object.
struct Types<'a> {
    btf: Option<&'a Btf>,
    /// How many more types may be said: those without a name are said wherever they stand, and a damaged file
    /// could use each many times.
    left: Cell<u32>,
}

/// Types inside of types, at most.
const DEPTH: u32 = 24;

/// Types that a text says, at most.
const MAX_TYPES: u32 = 1 << 20;

impl Types<'_> {
    fn btf(&self) -> Why<&Btf> {
        self.btf.ok_or_else(|| "the object has no types".into())
    }

    fn text(&self, at: crate::btf::StrOff) -> String {
        self.btf.and_then(|btf| btf.name(at).ok()).map(|n| n.to_string()).unwrap_or_default()
    }

    /// The types with names, but for the integers that everybody knows.
    fn all(&self) -> Result<Vec<TypeDef>, NoText> {
        let mut out = Vec::new();
        let mut seen = HashSet::new();
        for ty in self.btf.into_iter().flat_map(|btf| btf.iter()) {
            let no = |what: String, e: String| NoText { what, why: e };
            let ty = ty.map_err(|e| no("a type".into(), e.to_string()))?;
            let name = ty.name.to_string();
            let what = format!("type `{name}`");
            if let Kind::DeclTag { .. } = ty.kind {
                return Err(no(
                    format!("the tag `{name}` of a declaration"),
                    "there is no directive for it".into(),
                ));
            }
            let Some(def) = self.definition(&name, &ty).map_err(|why| no(what.clone(), why))? else {
                continue;
            };
            let tag = match &def {
                Definition::Composite(tag, _) | Definition::Forward(tag) => Some(*tag),
                Definition::Enum(_) => Some(Tag::Enum),
                _ => None,
            };
            if !seen.insert((tag, name.clone())) {
                return Err(no(what, "there are two of this name".into()));
            }
            out.push(TypeDef { name, def });
        }
        Ok(out)
    }

    /// What a type with a name is; `None` for what the text does not list.
    fn definition(&self, name: &str, ty: &crate::btf::Type<'_>) -> Why<Option<Definition>> {
        if name.is_empty() {
            return Ok(None);
        }
        Ok(Some(match ty.kind {
            Kind::Int(int) => {
                if u32::from(int.bits) != int.size.saturating_mul(8) || int.bit_offset != 0 {
                    return Err("it has fewer bits than its bytes".into());
                }
                let bits = int.encoding;
                if bits.0 > 7 {
                    return Err("its encoding is not known".into());
                }
                let encoding =
                    Encoding { signed: bits.is_signed(), char: bits.is_char(), bool: bits.is_bool() };
                if is_standard(name, int.size, encoding) {
                    return Ok(None);
                }
                Definition::Int(int.size, encoding)
            }
            Kind::Float { size } => Definition::Float(size),
            Kind::Typedef(ty) => Definition::Typedef(self.ty(ty, 0)?),
            Kind::Struct(members) => Definition::Composite(Tag::Struct, self.composite(ty.id, members, 0)?),
            Kind::Union(members) => Definition::Composite(Tag::Union, self.composite(ty.id, members, 0)?),
            Kind::Enum(_) | Kind::Enum64(_) => Definition::Enum(self.enumeration(ty)?),
            Kind::Fwd(FwdKind::Struct) => Definition::Forward(Tag::Struct),
            Kind::Fwd(FwdKind::Union) => Definition::Forward(Tag::Union),
            Kind::Unknown(unknown) => {
                return Err(format!("it is of kind {}, which is not known", unknown.kind));
            }
            _ => return Ok(None),
        }))
    }

    fn composite(&self, id: TypeId, members: Members<'_>, depth: u32) -> Why<TextComposite> {
        let mut out = TextComposite { bytes: self.btf()?.size_of(id).map_err(reason)?, members: Vec::new() };
        for member in members {
            out.members.push(TextMember {
                name: member.name.to_string(),
                ty: self.ty(member.ty, depth)?,
                bit: member.bit_offset,
                bits: member.bit_size,
            });
        }
        Ok(out)
    }

    fn enumeration(&self, ty: &crate::btf::Type<'_>) -> Why<Enum> {
        let bytes = self.btf()?.size_of(ty.id).map_err(reason)?;
        let Some(values) = ty.enumerators() else { return Err("it is no enumeration".into()) };
        let signed = values.is_signed();
        let values = values.iter().map(|v| (v.name.to_string(), v.value)).collect();
        Ok(Enum { bytes, signed, values })
    }

    /// A type, by its name where it has one.
    fn ty(&self, id: TypeId, depth: u32) -> Why<TextType> {
        let left = self.left.get().checked_sub(1).filter(|_| depth <= DEPTH);
        self.left.set(left.ok_or("its types are nested too deep, or too many")?);
        let inner = |id| self.ty(id, depth.saturating_add(1)).map(Box::new);
        let ty = self.btf()?.ty(id).map_err(reason)?;
        let name = ty.name.to_string();
        let tagged = |tag| (!name.is_empty()).then(|| TextType::Tagged(tag, name.clone()));
        Ok(match ty.kind {
            Kind::Void => TextType::Void,
            Kind::Int(_) | Kind::Float { .. } | Kind::Typedef(_) => TextType::Named(name),
            Kind::Fwd(FwdKind::Struct) => TextType::Tagged(Tag::Struct, name),
            Kind::Fwd(FwdKind::Union) => TextType::Tagged(Tag::Union, name),
            Kind::Struct(members) | Kind::Union(members) => {
                let tag = if matches!(ty.kind, Kind::Union(_)) { Tag::Union } else { Tag::Struct };
                match tagged(tag) {
                    Some(ty) => ty,
                    None => TextType::Composite(tag, self.composite(id, members, depth.saturating_add(1))?),
                }
            }
            Kind::Enum(_) | Kind::Enum64(_) => match tagged(Tag::Enum) {
                Some(ty) => ty,
                None => TextType::Enum(self.enumeration(&ty)?),
            },
            Kind::Ptr(to) => TextType::Ptr(inner(to)?),
            Kind::Array(array) => TextType::Array(array.len, inner(array.elem)?),
            Kind::Const(of) => TextType::Const(inner(of)?),
            Kind::Volatile(of) => TextType::Volatile(inner(of)?),
            Kind::Restrict(of) => TextType::Restrict(inner(of)?),
            Kind::TypeTag { ty, attribute: false } => TextType::TypeTag(name, inner(ty)?),
            Kind::FuncProto(params) => {
                let ret = inner(params.ret())?;
                let mut all = Vec::new();
                for param in params {
                    all.push((param.name.to_string(), *inner(param.ty)?));
                }
                TextType::Func(all, ret)
            }
            _ => return Err(format!("type {} is a {}", id.0, ty.tag())),
        })
    }

    /// The prototype of a function.
    fn prototype(&self, func: TypeId) -> Why<TextType> {
        match self.btf()?.ty(func).map_err(reason)?.kind {
            Kind::Func { proto, .. } => self.ty(proto, 0),
            _ => Err("its type is no function".into()),
        }
    }

    /// The variables of a section: place, name, type, and whether they are static.
    fn variables(&self, section: &str) -> Why<Vec<(Secinfo, String, TypeId, bool)>> {
        let Some(btf) = self.btf else { return Ok(Vec::new()) };
        let Ok(id) = btf.find(section, BtfKind::Datasec) else { return Ok(Vec::new()) };
        let Kind::Datasec(infos) = btf.ty(id).map_err(reason)?.kind else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for info in infos {
            let var = btf.ty(info.ty).map_err(reason)?;
            let Kind::Var { ty, linkage } = var.kind else { return Err("its types list no variable".into()) };
            out.push((info, var.name.to_string(), ty, linkage == VarLinkage::Static));
        }
        Ok(out)
    }

    /// The first value of a variable, as a number if its type is one.
    fn init(&self, ty: TypeId, bytes: &[u8], endian: Endian) -> Init {
        if bytes.iter().all(|&b| b == 0) {
            return Init::Zero;
        }
        let resolved = self.btf.and_then(|btf| btf.resolve(ty).ok()).map(|ty| ty.kind);
        let Some(Kind::Int(int)) = resolved.filter(|_| matches!(bytes.len(), 1 | 2 | 4 | 8)) else {
            return Init::Bytes(bytes.to_vec());
        };
        let fold = |number: i128, byte: &u8| number << 8 | i128::from(*byte);
        let number = match endian {
            Endian::Little => bytes.iter().rev().fold(0, fold),
            Endian::Big => bytes.iter().fold(0, fold),
        };
        let bits = bytes.len().saturating_mul(8);
        let negative = int.encoding.is_signed() && number >> bits.saturating_sub(1) & 1 == 1;
        Init::Number(if negative { number - (1 << bits) } else { number })
    }
}
