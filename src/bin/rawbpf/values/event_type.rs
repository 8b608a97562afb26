//! Which type the events of a map have.
//!
//! The kernel does not know: to it they are bytes. What is asked, in this order:
//!
//! 1. `--type`, a name in the types of the map or of a program that uses the map;
//! 2. the value type in the map's declaration, if it has one (`__type(value, struct event)`);
//! 3. the one struct that is called as the map, but for an `s` at its end (`events`, `struct event`);
//! 4. the one struct with `event` in its name.
//!
//! A struct that the object's code uses only through pointers is in no type information, unless a variable has it:
//! `const struct event *unused __attribute__((unused));`. Where nothing is found the bytes are shown.

use std::sync::Arc;

use rawbpf::btf::{Btf, BtfKind, Kind, KindSet, TypeId};
use rawbpf::maps::Map;
use rawbpf::progs;

use crate::ui::error::CliError;

/// The type of a map's events and where it is; `None` if it cannot be told.
pub(crate) fn find(map: &Map, name: Option<&str>) -> Result<Option<(Arc<Btf>, TypeId)>, CliError> {
    let sources = sources(map);
    if let Some(name) = name {
        let bare = ["struct ", "union ", "enum "]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name)
            .trim();
        for btf in &sources {
            if let Some(ty) = by_name(btf, bare) {
                return Ok(Some((Arc::clone(btf), ty)));
            }
        }
        let near =
            if sources.is_empty() { "; neither the map nor a program that uses it has types" } else { "" };
        return Err(CliError::NoSuch { what: "type", wanted: format!("`{name}`"), near: near.into() });
    }
    let guess = |btf: &Arc<Btf>| {
        let ty = declared(btf, map).or_else(|| named_as(btf, map.name())).or_else(|| only_event(btf))?;
        Some((Arc::clone(btf), ty))
    };
    Ok(sources.iter().find_map(guess))
}

/// The types of the map and of the programs that use it, each once.
fn sources(map: &Map) -> Vec<Arc<Btf>> {
    let mut out: Vec<Arc<Btf>> = map.btf().into_iter().cloned().collect();
    let mut ids = vec![map.info().btf_id];
    for program in progs::list().unwrap_or_default() {
        if program.map_ids.contains(&map.info().id) && program.btf_id != 0 && !ids.contains(&program.btf_id) {
            ids.push(program.btf_id);
            out.extend(progs::loaded_btf(program.btf_id));
        }
    }
    out
}

fn by_name(btf: &Btf, name: &str) -> Option<TypeId> {
    let kinds =
        [BtfKind::Struct, BtfKind::Union, BtfKind::Typedef, BtfKind::Enum, BtfKind::Enum64, BtfKind::Int];
    btf.find(name, KindSet::of(&kinds)).ok()
}

/// The value type in the map's declaration in `.maps`.
fn declared(btf: &Btf, map: &Map) -> Option<TypeId> {
    let info = map.info();
    if info.value_type != TypeId(0) && map.btf().is_some_and(|own| std::ptr::eq(own.as_ref(), btf)) {
        return Some(info.value_type);
    }
    let section = btf.ty(btf.find(".maps", BtfKind::Datasec).ok()?).ok()?;
    let Kind::Datasec(vars) = section.kind else { return None };
    let var = vars
        .iter()
        .filter_map(|v| btf.ty(v.ty).ok())
        .find(|var| is_name(&var.name.to_string(), map.name()))?;
    let Kind::Var { ty, .. } = var.kind else { return None };
    let member = btf.resolve(ty).ok()?.members()?.iter().find(|m| m.name == "value")?;
    match btf.resolve(member.ty).ok()?.kind {
        Kind::Ptr(to) => Some(to),
        _ => None,
    }
}

/// The kernel keeps 15 letters of a name.
fn is_name(full: &str, name: &str) -> bool {
    full == name || (name.len() == 15 && full.starts_with(name))
}

fn structs(btf: &Btf) -> impl Iterator<Item = (TypeId, String)> {
    let all =
        btf.iter_own().filter_map(Result::ok).filter(|t| t.tag() == BtfKind::Struct && !t.name.is_empty());
    all.map(|t| (t.id, t.name.to_string()))
}

fn named_as(btf: &Btf, map: &str) -> Option<TypeId> {
    let wanted = map.strip_suffix('s').unwrap_or(map);
    one(structs(btf).filter(|(_, name)| name == map || name == wanted))
}

fn only_event(btf: &Btf) -> Option<TypeId> {
    one(structs(btf).filter(|(_, name)| name.to_ascii_lowercase().contains("event")))
}

fn one(mut found: impl Iterator<Item = (TypeId, String)>) -> Option<TypeId> {
    let first = found.next()?;
    found.next().is_none().then_some(first.0)
}
