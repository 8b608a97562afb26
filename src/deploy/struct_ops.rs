//! struct_ops: tables of programs that take the place of a kernel's table.
//!
//! A table in `.struct_ops.link` is attached by a link, and that is pinned as any other. A table in `.struct_ops` is
//! registered by writing its map and belongs to the kernel from then on; its map is pinned *before*, and to take it away
//! is to delete the map's only element.

use super::error::{DeployError, Result};
use super::store::{LoadEntry, PinPart};
use crate::links::struct_ops;
use crate::loader::{Loaded, Plan};
use crate::maps::{Map, StructOps, StructOpsState};
use crate::sys::map::flags;
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

/// Pins a map, if that is not done.
pub(super) fn pin(entry: &LoadEntry, map: &Map) -> Result<()> {
    let path = entry.pin(PinPart::Maps, map.name())?;
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

/// True for a table that is in use without a link.
pub(super) fn is_registered(map: &Map) -> bool {
    if map.info().map_type != MapType::StructOps || map.info().flags & flags::LINK != 0 {
        return false;
    }
    StructOps::try_from(map.clone()).ok().and_then(|ops| ops.state().ok()) == Some(StructOpsState::InUse)
}
