//! Externs in the object's BTF, made acceptable to the kernel.
//!
//! An extern is a variable or function without storage, and the kernel takes no such thing in a section.
//! So the variables of `.ksyms` become 4-byte integers, its functions stand in for such a variable, and
//! those of `.kconfig` get the places that map `.kconfig` has for them. Type numbers stay as they are.

use crate::btf::{Btf, BtfBuilder, BtfError, Def, FuncLinkage, IntEncoding, Secinfo, TypeId, VarLinkage};
use crate::elf::{ExternKind, Object};

/// The object's BTF with its externs given storage; `None` if it has no externs.
pub(super) fn settle(btf: &Btf, object: &Object) -> Result<Option<Btf>, BtfError> {
    if object.externs.is_empty() {
        return Ok(None);
    }
    let mut fix = Fixup { edit: BtfBuilder::edit(btf)? };
    for id in fix.edit.ids().collect::<Vec<_>>() {
        if let Some((name, Def::Datasec { vars, .. })) = fix.def(id) {
            match name.as_str() {
                ".ksyms" => fix.ksyms(id, vars),
                ".kconfig" => fix.kconfig(id, vars, object),
                _ => {}
            }
        }
    }
    Btf::parse(fix.edit.to_bytes()?).map(Some)
}

struct Fixup {
    edit: BtfBuilder,
}

impl Fixup {
    fn set(&mut self, id: TypeId, new: Def) {
        if let Some((_, def)) = self.edit.get_mut(id) {
            *def = new;
        }
    }

    fn def(&self, id: TypeId) -> Option<(String, Def)> {
        let (name, def) = self.edit.get(id)?;
        Some((self.edit.name(*name).map(|n| n.to_string()).unwrap_or_default(), def.clone()))
    }

    /// Kernel symbols: each becomes a 4-byte variable, as far as the kernel is concerned.
    fn ksyms(&mut self, id: TypeId, mut vars: Vec<Secinfo>) {
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
