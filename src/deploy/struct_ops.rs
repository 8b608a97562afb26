//! struct_ops: tables of programs that take the place of a kernel's table.
//!
//! A table in `.struct_ops.link` is attached by a link, and that is pinned as any other. A table in `.struct_ops` is
//! registered by writing its map and belongs to the kernel from then on; its map is pinned *before*, and to take it away
//! is to delete the map's only element.

use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::run::Made;
use super::state::{Actual, Condition};
use super::store::{Entry, Part};
use crate::error::Error;
use crate::links::{Lifetime, Link, struct_ops};
use crate::loader::{Loaded, Plan};
use crate::maps::{Map, StructOps, StructOpsState};
use crate::sys::map::flags;
use crate::sys::{Errno, SysError};
use crate::uapi::MapType;

/// The maps of a loaded object that can be attached.
pub fn tables(loaded: &Loaded) -> impl Iterator<Item = &Map> {
    loaded.maps().filter(|m| loaded.struct_ops_value(m.name()).is_some())
}

/// The programs of a plan that stand in its tables.
pub fn programs(plan: &Plan, in_table: impl Fn(&str) -> bool) -> Vec<&str> {
    let tables = plan.maps.iter().filter(|m| in_table(&m.name)).filter_map(|m| m.struct_ops.as_ref());
    let used: Vec<_> = tables.flat_map(|ops| &ops.functions).map(|(_, ix)| *ix).collect();
    plan.programs.iter().filter(|p| used.contains(&p.ix)).map(|p| p.name.as_str()).collect()
}

/// The names of the tables that a plan will fill: those of which all programs are loaded.
pub(super) fn planned(plan: &Plan) -> Vec<String> {
    let loaded = |ix| plan.programs.iter().any(|p| p.ix == ix);
    let whole = |m: &&crate::loader::MapPlan| {
        m.create && m.struct_ops.as_ref().is_some_and(|ops| ops.functions.iter().all(|(_, ix)| loaded(*ix)))
    };
    plan.maps.iter().filter(whole).map(|m| m.name.clone()).collect()
}

pub(super) fn pin_name(map: &str) -> String {
    format!("struct_ops_{map}").replace('.', "_")
}

/// Puts a table of a new object behind the link of an old one's, in one step.
pub(super) fn replace(link: Link, pin: &str, map: &str, loaded: &Loaded) -> Result<Made> {
    let Some(found) = tables(loaded).find(|m| m.name() == map) else {
        return Err(DeployError::NoSuccessor { program: map.into(), place: pin.into() });
    };
    let value = loaded.struct_ops_value(map).unwrap_or_default();
    link.update_map(found, value).map_err(DeployError::sys(format!("replace the table behind {pin}")))?;
    let key = HookKey::StructOps { map: map.into() };
    Ok(Made {
        link: Some(link),
        program: map.into(),
        place: format!("struct_ops {map}"),
        pin: pin.into(),
        key: Some(key),
        kept: true,
    })
}

/// Attaches a table. What the kernel may keep without a link is written down in `entry` before.
pub(super) fn attach(entry: Option<&Entry>, loaded: &Loaded, map: &Map) -> Result<Made> {
    let name = map.name().to_string();
    let value = loaded.struct_ops_value(&name).unwrap_or_default();
    if let Some(entry) = entry {
        pin(entry, map)?;
    }
    let link = struct_ops::register(map, value).map_err(|e| explain(&name, e))?;
    let place = match link.lifetime() {
        Lifetime::Link => format!("struct_ops {name}"),
        _ => format!("struct_ops {name}, registered"),
    };
    let key = Some(HookKey::StructOps { map: name.clone() });
    Ok(Made { link: Some(link), pin: pin_name(&name), program: name, place, key, kept: false })
}

fn explain(name: &str, e: SysError) -> DeployError {
    let why = match e.errno {
        Errno::EEXIST => ": a table of that name is registered",
        Errno::EINVAL => {
            ": the kernel's own check of the table refuses it: a function that it must have is missing, or a value is wrong"
        }
        Errno::EBUSY => ": it is registered already",
        _ => "",
    };
    DeployError::Lib(Error::sys(format!("register the struct_ops map `{name}`{why}"), e))
}

/// Pins a map, if that is not done.
pub(super) fn pin(entry: &Entry, map: &Map) -> Result<()> {
    let path = entry.pin(Part::Maps, map.name())?;
    if path.exists() {
        return Ok(());
    }
    map.pin(&path).map_err(DeployError::sys(format!("pin map `{}`", map.name())))
}

/// Takes away the table in a map, if it is one that was registered by writing it. True if it was.
pub(super) fn unregister(map: &Map) -> Result<bool> {
    if !is_registered(map) {
        return Ok(false);
    }
    let doing = format!("unregister the functions of struct_ops map `{}`", map.name());
    struct_ops::unregister(map).map_err(DeployError::sys(doing))?;
    Ok(true)
}

fn is_registered(map: &Map) -> bool {
    if map.info().map_type != MapType::StructOps || map.info().flags & flags::LINK != 0 {
        return false;
    }
    StructOps::try_from(map.clone()).ok().and_then(|ops| ops.state().ok()) == Some(StructOpsState::InUse)
}

/// The tables among these maps that are registered without a link.
pub(super) fn registered(maps: &[(String, Map)]) -> Result<Vec<Actual>> {
    let one = |map: &Map| Actual {
        pin: pin_name(map.name()),
        link: None,
        program: map.name().into(),
        prog_id: 0,
        key: Some(HookKey::StructOps { map: map.name().into() }),
        place: format!("struct_ops {}, registered", map.name()),
        condition: Condition::Alive,
        can_update: false,
        mode: None,
        share: None,
        before: Vec::new(),
        after: Vec::new(),
    };
    Ok(maps.iter().map(|(_, map)| map).filter(|map| is_registered(map)).map(one).collect())
}
