//! What compilers leave out of BTF, and the kernel insists on.
//!
//! clang writes a `DATASEC` for each data section but not how long it is, nor where each variable
//! stands: those are known to the assembler only, and the symbol table has them. Externs are
//! variables and functions without storage, which the kernel does not accept in a section, so they are given
//! some. And a global function or variable that was declared hidden is not global to the kernel:
//! a hidden subprogram is verified with its callers, a hidden variable is not for user space.
//!
//! Type numbers never change here, so everything that refers to a type stays right.

use object::elf;

use super::read::{ReadError, Tables};
use super::*;
use crate::btf::{BtfBuilder, Def, FuncLinkage, IntEncoding, Secinfo, VarLinkage};

/// The object's BTF with what the file knows besides; `None` if there is nothing to mend.
pub(super) fn btf(tables: &Tables, object: &Object) -> Result<Option<Btf>, ReadError> {
    let broken = |source| ReadError::Btf { section: ".BTF", source };
    let Some(btf) = object.btf.as_deref() else { return Ok(None) };
    // Foreign byte order, or a kind that cannot be edited: the loader will refuse or drop it later.
    let Ok(edit) = BtfBuilder::edit(btf) else { return Ok(None) };
    let mut fix = Fixup { tables, edit };
    for id in fix.edit.ids().collect::<Vec<_>>() {
        let Some((name, def)) = fix.edit.get(id).map(|(name, def)| (*name, def.clone())) else { continue };
        let name = fix.edit.name(name).map(|n| n.to_string()).unwrap_or_default();
        match def {
            Def::Datasec { size, vars } if name == ".ksyms" => fix.ksyms(id, size, vars),
            Def::Datasec { vars, .. } if name == ".kconfig" => fix.kconfig(id, vars, object),
            Def::Datasec { size, vars } => fix.section(id, &name, size, vars)?,
            Def::Func { proto, linkage: FuncLinkage::Global } if fix.is_hidden_function(object, &name) => {
                fix.set(id, Def::Func { proto, linkage: FuncLinkage::Static });
            }
            _ => {}
        }
    }
    let bytes = fix.edit.to_bytes().map_err(broken)?;
    Btf::parse(bytes).map(Some).map_err(broken)
}

struct Fixup<'t, 'a> {
    tables: &'t Tables<'a>,
    edit: BtfBuilder,
}

impl Fixup<'_, '_> {
    fn set(&mut self, id: TypeId, new: Def) {
        if let Some((_, def)) = self.edit.get_mut(id) {
            *def = new;
        }
    }

    fn def(&self, id: TypeId) -> Option<(String, Def)> {
        let (name, def) = self.edit.get(id)?;
        Some((self.edit.name(*name).map(|n| n.to_string()).unwrap_or_default(), def.clone()))
    }

    fn is_hidden_function(&self, object: &Object, name: &str) -> bool {
        object.functions.iter().any(|f| f.hidden && f.name == name)
    }

    /// A data section: its length, where its variables stand, and which of them are hidden.
    fn section(
        &mut self,
        id: TypeId,
        name: &str,
        size: u32,
        mut vars: Vec<Secinfo>,
    ) -> Result<(), ReadError> {
        let section = self.tables.named(name);
        let unsized_section = size == 0;
        let new_size = match (unsized_section, section) {
            (true, Some(section)) => u32::try_from(section.size).unwrap_or(u32::MAX),
            _ => size,
        };
        for info in &mut vars {
            let Some((var, Def::Var { ty, linkage })) = self.def(info.ty) else { continue };
            if linkage == VarLinkage::Static {
                continue;
            }
            let symbol = self.tables.symbols.iter().find(|s| {
                s.name == var && s.kind == elf::STT_OBJECT && s.binding != Binding::Local && !s.undefined
            });
            match symbol {
                Some(symbol) => {
                    if unsized_section {
                        info.offset = u32::try_from(symbol.value).unwrap_or(u32::MAX);
                    }
                    if symbol.hidden {
                        self.set(info.ty, Def::Var { ty, linkage: VarLinkage::Static });
                    }
                }
                None if unsized_section && section.is_some() => {
                    let site = Site { section: Some(name.into()), symbol: Some(var), ..Site::default() };
                    let why = "BTF names the variable, but it has no symbol".into();
                    return Err(ReadError::Function { site, why });
                }
                None => {}
            }
        }
        vars.sort_by_key(|v| v.offset);
        self.set(id, Def::Datasec { size: new_size, vars });
        Ok(())
    }

    /// Kernel symbols: each becomes a 4-byte variable, as far as the kernel is concerned.
    fn ksyms(&mut self, id: TypeId, _size: u32, mut vars: Vec<Secinfo>) {
        let int = self.any_int();
        let dummy = self.edit.string("dummy_ksym");
        let mut stand_in = None;
        for (i, info) in vars.iter_mut().enumerate() {
            match self.def(info.ty) {
                Some((_, Def::Var { .. })) => {
                    self.set(info.ty, Def::Var { ty: int, linkage: VarLinkage::Global })
                }
                Some((_, Def::Func { proto, .. })) => {
                    self.set(info.ty, Def::Func { proto, linkage: FuncLinkage::Global });
                    if let Some((_, Def::FuncProto { params, .. })) = self.edit.get_mut(proto) {
                        // The kernel wants names for the parameters of a function; types are enough in C.
                        for (name, ty) in params.iter_mut() {
                            if name.0 == 0 && ty.0 != 0 {
                                *name = dummy;
                            }
                        }
                    }
                    let var = Def::Var { ty: int, linkage: VarLinkage::Global };
                    info.ty = *stand_in.get_or_insert_with(|| self.edit.push(dummy, var));
                }
                _ => continue,
            }
            (info.offset, info.size) = (4 * i as u32, 4);
        }
        let size = 4 * vars.len() as u32;
        self.set(id, Def::Datasec { size, vars });
    }

    /// Configuration values: the layout of map `.kconfig`.
    fn kconfig(&mut self, id: TypeId, mut vars: Vec<Secinfo>, object: &Object) {
        for info in &mut vars {
            let Some((name, Def::Var { ty, .. })) = self.def(info.ty) else { continue };
            self.set(info.ty, Def::Var { ty, linkage: VarLinkage::Global });
            let ext = object.externs.iter().find(|e| e.name == name);
            if let Some(ExternKind::Kconfig { offset, size, .. }) = ext.map(|e| &e.kind) {
                (info.offset, info.size) = (*offset, *size);
            }
        }
        vars.sort_by_key(|v| v.offset);
        let map = object.maps.iter().find(|m| m.name == ".kconfig");
        self.set(id, Def::Datasec { size: map.map_or(0, |m| m.value_size), vars });
    }

    /// The first 4-byte integer, or a new one.
    fn any_int(&mut self) -> TypeId {
        let is_int = |id: &TypeId| matches!(self.edit.get(*id), Some((_, Def::Int(int))) if int.size == 4);
        let found = self.edit.ids().find(is_int);
        found.unwrap_or_else(|| self.edit.int("int", 4, IntEncoding::SIGNED))
    }
}
