//! What compilers leave out of BTF, and the symbol table knows.
//!
//! clang writes a `DATASEC` for each data section but not how long it is, nor where each variable
//! stands: those are known to the assembler only. And a global function or variable that was declared
//! hidden is not global to the kernel: a hidden subprogram is verified with its callers, a hidden
//! variable is not for user space.
//!
//! Type numbers never change here, so everything that refers to a type stays right.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use object::elf;

use super::tables::{Symbol, Tables};
use super::*;
use crate::btf::{FuncLinkage, Kind, Patch, Secinfo, VarLinkage};

/// Puts into the object's BTF what the file knows besides.
pub(super) fn btf(tables: &Tables, object: &mut Object) -> Result<(), ReadError> {
    let patch = changes(tables, object)?;
    // Nobody else has it yet.
    if let Some(btf) = object.btf.as_mut().and_then(Arc::get_mut) {
        patch.apply(btf);
    }
    Ok(())
}

fn changes(tables: &Tables, object: &Object) -> Result<Patch, ReadError> {
    let mut patch = Patch::default();
    let Some(btf) = object.btf.as_deref() else { return Ok(patch) };
    let hidden: HashSet<&[u8]> =
        object.functions.iter().filter(|f| f.hidden).map(|f| f.name.as_bytes()).collect();
    let mut variables: HashMap<&[u8], &Symbol<'_>> = HashMap::new();
    for s in &tables.symbols {
        if s.kind == elf::STT_OBJECT && s.binding != Binding::Local && !s.undefined {
            variables.entry(s.name.as_bytes()).or_insert(s);
        }
    }
    for ty in btf.iter_own() {
        // A type that cannot be read: the loader will refuse the object or drop its types later.
        let Ok(ty) = ty else { return Ok(Patch::default()) };
        match ty.kind {
            // Externs have no storage; what the kernel wants of them is the loader's business.
            Kind::Datasec(_) if ty.name.is(b".ksyms") || ty.name.is(b".kconfig") => {}
            Kind::Datasec(vars) => {
                let about = (ty.id, &*ty.name.to_str(), vars.size);
                section((tables, &variables), btf, &mut patch, about, vars.iter().collect())?;
            }
            Kind::Func { linkage: FuncLinkage::Global, .. } if hidden.contains(ty.name.as_bytes()) => {
                patch.func_linkage(btf, ty.id, FuncLinkage::Static);
            }
            _ => {}
        }
    }
    Ok(patch)
}

/// A data section: its length, where its variables stand, and which of them are hidden.
fn section(
    (tables, variables): (&Tables, &HashMap<&[u8], &Symbol<'_>>),
    btf: &Btf,
    patch: &mut Patch,
    (id, name, size): (TypeId, &str, u32),
    mut vars: Vec<Secinfo>,
) -> Result<(), ReadError> {
    let section = tables.named(name);
    let unsized_section = size == 0;
    let new_size = match (unsized_section, section) {
        (true, Some(section)) => u32::try_from(section.size).unwrap_or(u32::MAX),
        _ => size,
    };
    for info in &mut vars {
        let Ok(var) = btf.ty(info.ty) else { continue };
        let Kind::Var { linkage, .. } = var.kind else { continue };
        if linkage == VarLinkage::Static {
            continue;
        }
        let symbol = variables.get(var.name.as_bytes());
        match symbol {
            Some(symbol) => {
                if unsized_section {
                    info.offset = u32::try_from(symbol.value).unwrap_or(u32::MAX);
                }
                if symbol.hidden {
                    patch.var_linkage(info.ty, VarLinkage::Static);
                }
            }
            None if unsized_section && section.is_some() => {
                let symbol = Some(var.name.to_string());
                let site = Site { section: Some(name.into()), symbol, ..Site::default() };
                let why = "BTF names the variable, but it has no symbol".into();
                return Err(ReadError::Function { site: Box::new(site), why });
            }
            None => {}
        }
    }
    vars.sort_by_key(|v| v.offset);
    patch.section(id, new_size, &vars);
    Ok(())
}
