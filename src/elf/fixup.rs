//! What compilers leave out of BTF, and the symbol table knows.
//!
//! clang writes a `DATASEC` for each data section but not how long it is, nor where each variable
//! stands: those are known to the assembler only. And a global function or variable that was declared
//! hidden is not global to the kernel: a hidden subprogram is verified with its callers, a hidden
//! variable is not for user space.
//!
//! Type numbers never change here, so everything that refers to a type stays right.

use object::elf;

use super::read::{ReadError, Tables};
use super::*;
use crate::btf::{BtfBuilder, Def, FuncLinkage, Secinfo, VarLinkage};

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
            // Externs have no storage; what the kernel wants of them is the loader's business.
            Def::Datasec { .. } if name == ".ksyms" || name == ".kconfig" => {}
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
                    return Err(ReadError::Function { site: Box::new(site), why });
                }
                None => {}
            }
        }
        vars.sort_by_key(|v| v.offset);
        self.set(id, Def::Datasec { size: new_size, vars });
        Ok(())
    }
}
