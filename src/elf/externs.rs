//! Externs: symbols that the object uses and the kernel provides.
//!
//! ```c
//! extern int CONFIG_HZ __kconfig;                      // a configuration value, copied into map `.kconfig`
//! extern const void init_task __ksym;                  // an address, from /proc/kallsyms
//! extern const struct rq runqueues __ksym;             // a variable with a type, from BTF
//! extern void bpf_rcu_read_lock(void) __ksym;          // a kernel function that may be called: a kfunc
//! ```
//!
//! In the file each is an undefined symbol, and a variable or function in the BTF section `.kconfig` or
//! `.ksyms`; there are no ELF sections of these names. What the kernel has for them is asked later, by
//! [`loader`](crate::loader).

use std::collections::HashMap;

use object::elf;

use super::relocate::MapSymbols;
use super::tables::{Symbol, Tables};
use super::*;
use crate::btf::{BtfKind, FuncLinkage, IntEncoding, Kind, VarLinkage};

/// Reads the externs into `object`, adds map `.kconfig` if any needs it, and returns the externs by name.
pub(super) fn read(
    tables: &Tables,
    object: &mut Object,
    _maps: &MapSymbols,
) -> Result<HashMap<String, ExternIx>, ReadError> {
    let symbols = tables.symbols.iter().filter(|s| is_extern(s));
    declare(object, symbols.map(|s| (&*s.name, s.binding == Binding::Weak)))
}

/// Looks symbols of the kernel up in the object's BTF, each a name and whether it may be missing.
pub(super) fn declare<'s>(
    object: &mut Object,
    symbols: impl Iterator<Item = (&'s str, bool)>,
) -> Result<HashMap<String, ExternIx>, ReadError> {
    let mut found = Vec::new();
    for symbol in symbols {
        let Some(btf) = object.btf.as_deref() else {
            let site = Site { symbol: Some(symbol.0.into()), ..Site::default() };
            return Err(ReadError::NoBtf { site: Box::new(site) });
        };
        found.push(declaration(btf, symbol)?);
    }
    // libbpf's order, which decides the layout of `.kconfig`.
    found.sort_by(|(a, align_a), (b, align_b)| {
        let rank = |e: &Extern| usize::from(!matches!(e.kind, ExternKind::Kconfig { .. }));
        let size = |e: &Extern| if let ExternKind::Kconfig { size, .. } = e.kind { size } else { 0 };
        let key_a = (rank(a), std::cmp::Reverse(*align_a), size(a), &a.name);
        let key_b = (rank(b), std::cmp::Reverse(*align_b), size(b), &b.name);
        key_a.cmp(&key_b)
    });
    let mut end = 0u32;
    for (found, align) in &mut found {
        if let ExternKind::Kconfig { offset, size, .. } = &mut found.kind {
            *offset = end.next_multiple_of((*align).max(1));
            end = offset.saturating_add(*size);
        }
    }
    if end > 0 {
        object.maps.push(MapDef::data(".kconfig", DataKind::Kconfig, end));
        if let (Some(map), Some(btf)) = (object.maps.last_mut(), object.btf.as_deref()) {
            map.value_type = btf.find(".kconfig", BtfKind::Datasec).ok();
            // Its variables are not static, so it can be mapped, as other data maps.
            map.flags |= crate::sys::map::flags::MMAPABLE;
        }
    }
    object.externs = found.into_iter().map(|(found, _)| found).collect();
    Ok(object.externs.iter().enumerate().map(|(i, e)| (e.name.clone(), ExternIx(i))).collect())
}

fn is_extern(symbol: &Symbol) -> bool {
    symbol.undefined
        && symbol.binding != Binding::Local
        && symbol.kind == elf::STT_NOTYPE
        && !symbol.name.is_empty()
}

/// Finds the declaration of an extern in BTF. The number is its alignment, in bytes.
fn declaration(btf: &Btf, (name, weak): (&str, bool)) -> Result<(Extern, u32), ReadError> {
    let name = name.to_string();
    let bad = |why: String| ReadError::Extern { name: name.clone(), why };
    let broken = |source| ReadError::Btf { section: ".BTF", source };
    let candidates =
        btf.find_all(&name, crate::btf::KindSet::of(&[BtfKind::Var, BtfKind::Func])).map_err(broken)?;
    for id in candidates {
        let section = section_of(btf, id);
        let kind = match (btf.ty(id).map_err(broken)?.kind, section) {
            (Kind::Func { linkage: FuncLinkage::Extern, .. }, Some(".ksyms")) => ExternKind::Function(id),
            (Kind::Func { linkage: FuncLinkage::Extern, .. }, _) => {
                return Err(bad("a function of the kernel is declared with __ksym".into()));
            }
            (Kind::Var { linkage: VarLinkage::Extern, ty }, Some(".ksyms")) => {
                match btf.resolve(ty).map_err(broken)?.kind {
                    Kind::Void => ExternKind::Address,
                    _ => ExternKind::Variable(id),
                }
            }
            (Kind::Var { linkage: VarLinkage::Extern, ty }, Some(".kconfig")) => {
                let size = btf.size_of(ty).map_err(broken)?;
                let align = btf.align_of(ty).map_err(broken)?;
                let ty = kconfig_type(btf, ty, size).ok_or_else(|| {
                    bad("a configuration value is a bool, char, integer, enum libbpf_tristate or char array".into())
                })?;
                return Ok((
                    Extern { name: name.clone(), weak, kind: ExternKind::Kconfig { ty, offset: 0, size } },
                    align,
                ));
            }
            (Kind::Var { linkage: VarLinkage::Extern, .. }, _) => {
                return Err(bad(
                    "it is in neither .kconfig nor .ksyms; declare it with __kconfig or __ksym".into()
                ));
            }
            _ => continue,
        };
        return Ok((Extern { name: name.clone(), weak, kind }, 0));
    }
    Err(bad("it is used but defined nowhere, and BTF does not declare it as an extern".into()))
}

/// The name of the extern section that lists a variable or function.
fn section_of(btf: &Btf, id: TypeId) -> Option<&'static str> {
    [".ksyms", ".kconfig"].into_iter().find(|name| {
        let section = btf.find(name, BtfKind::Datasec).and_then(|id| btf.ty(id));
        match section.map(|s| s.kind) {
            Ok(Kind::Datasec(vars)) => vars.iter().any(|v| v.ty == id),
            _ => false,
        }
    })
}

fn kconfig_type(btf: &Btf, ty: TypeId, size: u32) -> Option<KconfigType> {
    let resolved = btf.resolve(ty).ok()?;
    match resolved.kind {
        Kind::Int(int) if int.encoding == IntEncoding::BOOL => (size == 1).then_some(KconfigType::Bool),
        Kind::Int(_) if size == 1 => Some(KconfigType::Char),
        Kind::Int(int) if matches!(size, 2 | 4 | 8) => {
            Some(KconfigType::Int { signed: int.encoding == IntEncoding::SIGNED })
        }
        Kind::Enum(_) | Kind::Enum64(_) if resolved.name == "libbpf_tristate" => Some(KconfigType::Tristate),
        Kind::Array(array) if array.len > 0 => {
            (btf.size_of(array.elem).ok()? == 1).then_some(KconfigType::Text)
        }
        _ => None,
    }
}
