//! Maps over a replacement: each is kept, new, or changed, and which of it is said.
//!
//! A map is kept if the new object asks for one of the same name, sizes and fields; then the new programs use the old
//! map, with all that is in it. Constants, tables of programs and struct_ops are the new object's in any case.
//!
//! To migrate is to copy elements, field by field ([`layout`](super::layout)): new fields are zero, those that are gone
//! are dropped, integers are widened. It is done after the new maps are made and before a program sees them. What the
//! old programs write while that goes on, into elements that were copied already, is lost.

use super::diff::{DeployStep, Fate};
use super::error::{DeployError, Result};
use super::layout::{Copying, Leaf, leaves};
use super::request::Maps;
use super::state::DeployState;
use super::store::{LoadEntry, PinPart};
use crate::error::Error;
use crate::loader::{Loaded, MapPlan, Plan};
use crate::maps::{ElemFlags, Map};
use crate::uapi::MapType;

/// Decides what becomes of each map; those that are kept are looked up by their pins when the plan is run.
pub(super) fn fates(
    plan: &mut Plan,
    state: &DeployState,
    entry: &LoadEntry,
    policy: Maps,
) -> Vec<(String, Fate)> {
    if state.maps.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    let types = plan.types().cloned();
    for map in plan.maps.iter_mut().filter(|m| m.create) {
        let pin = map.name.replace('.', "_");
        let old = state.maps.iter().find(|(name, _)| *name == pin).map(|(_, old)| old);
        let fate = match old {
            None => Fate::New,
            Some(_) if map.pin.as_ref().is_some_and(|path| path.exists()) => Fate::Kept,
            Some(_) if !holds_data(map) => Fate::New,
            Some(_) if policy == Maps::Fresh => Fate::Changed("it was not to be kept".into()),
            Some(old) => fate(map, types.as_deref(), old, policy),
        };
        if fate == Fate::Kept && map.pin.is_none() {
            map.pin = Some(entry.path(PinPart::Maps, &map.name));
        }
        out.push((map.name.clone(), fate));
    }
    let gone =
        |(name, _): &&(String, Map)| !plan.maps.iter().any(|m| m.create && m.name.replace('.', "_") == *name);
    out.extend(state.maps.iter().filter(gone).map(|(_, map)| (map.name().to_string(), Fate::Gone)));
    out
}

/// What users and programs write. The rest is the object's own, and comes with it.
fn holds_data(map: &MapPlan) -> bool {
    !map.freeze
        && map.slots.is_empty()
        && map.struct_ops.is_none()
        && !matches!(map.map_type, MapType::ProgArray | MapType::PerfEventArray | MapType::Arena)
}

fn fate(map: &MapPlan, types: Option<&crate::btf::Btf>, old: &Map, policy: Maps) -> Fate {
    let why = map.differences(old.info());
    let (key, value) = (copying_of(old, Side::Key, types, map), copying_of(old, Side::Value, types, map));
    let fields = |what: &str, copying: &Option<Copying>| {
        copying.as_ref().filter(|c| !c.is_same()).map(|c| words(what, c))
    };
    let why = why.into_iter().next().or_else(|| fields("key", &key)).or_else(|| fields("value", &value));
    match why {
        None => Fate::Kept,
        Some(why) if policy == Maps::Migrate && can_migrate(map, old) && key.is_some() && value.is_some() => {
            Fate::Migrated(why)
        }
        Some(why) => Fate::Changed(why),
    }
}

/// What is different about fields, in words.
fn words(what: &str, copying: &Copying) -> String {
    let list = |text: &str, names: &[String]| match names {
        [] => None,
        [one] => Some(format!("{text} {one}")),
        [one, rest @ ..] => Some(format!("{text} {one} and {} more", rest.len())),
    };
    let parts = [
        list("without", &copying.dropped),
        list("with", &copying.added),
        list("narrower", &copying.narrowed),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let parts = if parts.is_empty() { "fields in other places".into() } else { parts.join(", ") };
    format!("its {what} has other fields: {parts}")
}

fn can_migrate(map: &MapPlan, old: &Map) -> bool {
    let table = |t: MapType| {
        matches!(
            t,
            MapType::Hash
                | MapType::Array
                | MapType::LruHash
                | MapType::PercpuHash
                | MapType::PercpuArray
                | MapType::LruPercpuHash
        )
    };
    let per_cpu =
        |t: MapType| matches!(t, MapType::PercpuHash | MapType::PercpuArray | MapType::LruPercpuHash);
    table(map.map_type) && table(old.info().map_type) && per_cpu(map.map_type) == per_cpu(old.info().map_type)
}

#[derive(Clone, Copy)]
enum Side {
    Key,
    Value,
}

/// How one side of an element is copied; `None` if types are missing and sizes differ.
fn copying_of(old: &Map, side: Side, types: Option<&crate::btf::Btf>, map: &MapPlan) -> Option<Copying> {
    let (old_size, old_type, size, ty) = match side {
        Side::Key => (old.info().key_size, old.info().key_type, map.key_size, map.key_type),
        Side::Value => (old.info().value_size, old.info().value_type, map.value_size, map.value_type),
    };
    between(old.btf().and_then(|b| leaves(b, old_type)), old_size, types.and_then(|b| leaves(b, ty)), size)
}

fn between(old: Option<Vec<Leaf>>, old_size: u32, new: Option<Vec<Leaf>>, size: u32) -> Option<Copying> {
    let whole =
        || Leaf { path: String::new(), at: 0, bits: u64::from(size) * 8, signed: false, number: false };
    let known = |l: &Vec<Leaf>| !l.is_empty();
    match (old.filter(known), new.filter(known)) {
        (Some(old), Some(new)) => Some(Copying::new(&old, &new, size as usize)),
        _ if old_size == size => Some(Copying::new(&[whole()], &[whole()], size as usize)),
        _ => None,
    }
}

/// What a migration copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The map.
    pub map: String,
    /// Elements that were copied.
    pub copied: usize,
    /// Elements that were not: a number did not fit, or the map was full.
    pub left: usize,
}

/// Copies the elements of all maps that are to be migrated.
pub(super) fn migrate(steps: &[DeployStep], state: &DeployState, loaded: &Loaded) -> Result<Vec<Migrated>> {
    let mut out = Vec::new();
    for step in steps {
        let DeployStep::Map { name, fate: Fate::Migrated(_) } = step else { continue };
        let pin = name.replace('.', "_");
        let old = state.maps.iter().find(|(n, _)| *n == pin).map(|(_, map)| map);
        if let (Some(old), Some(new)) = (old, loaded.map(name)) {
            out.push(copy(old, new)?);
        }
    }
    Ok(out)
}

fn copy(old: &Map, new: &Map) -> Result<Migrated> {
    let (from, to) = (old.info(), new.info());
    let side = |a, a_size, b, b_size| {
        between(old.btf().and_then(|t| leaves(t, a)), a_size, new.btf().and_then(|t| leaves(t, b)), b_size)
    };
    let key = side(from.key_type, from.key_size, to.key_type, to.key_size).unwrap_or_default();
    let value = side(from.value_type, from.value_size, to.value_type, to.value_size).unwrap_or_default();
    let mut out = Migrated { map: new.name().into(), ..Migrated::default() };
    let padded = (to.value_size as usize).next_multiple_of(8);
    old.for_each(|k, v| {
        let slots: Option<Vec<u8>> = if to.is_per_cpu() {
            let one = |(_, slot): (u32, &[u8])| {
                let mut bytes = value.copy(slot.get(..from.value_size as usize)?)?;
                bytes.resize(padded, 0);
                Some(bytes)
            };
            old.slots(v).map(one).collect::<Option<Vec<_>>>().map(|list| list.concat())
        } else {
            value.copy(v)
        };
        let done = key.copy(k).zip(slots).is_some_and(|(k, v)| new.set(&k, &v, ElemFlags::ANY.0).is_ok());
        if done { out.copied += 1 } else { out.left += 1 }
    })
    .map_err(|e| {
        DeployError::Lib(Error::sys(format!("read map `{}` to copy its elements", old.name()), e))
    })?;
    Ok(out)
}
