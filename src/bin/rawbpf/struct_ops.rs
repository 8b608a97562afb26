//! struct_ops in `load`, `plan` and `unload`: what is attached is a map that holds a table of functions.
//!
//! A table in `.struct_ops.link` is registered by a link, which is pinned as others are. One in `.struct_ops` is
//! registered by writing the map, and stays so until its element is deleted: there is nothing to pin but the map.

use std::path::Path;

use rawbpf::links::{Hook, LinkInfo, struct_ops};
use rawbpf::loader::Loaded;
use rawbpf::maps::{StructOps, StructOpsState};
use rawbpf::sys::map::flags;
use rawbpf::uapi::MapType;
use rawbpf::{Link, Map, Plan};

use crate::args::HowArgs;
use crate::error::CliError;
use crate::plan::Call;

/// What stands as the hook of a table in reports.
pub(crate) const HOOK: &str = "struct_ops";

/// Registers the tables of an object whose programs are all loaded, but those that are registered already; each
/// with its map's name.
pub(crate) fn register(
    loaded: &Loaded,
    how: &HowArgs,
    is_done: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Link)>, CliError> {
    let mut out = Vec::new();
    for map in loaded.maps().filter(|m| !how.no_attach && !is_done(m.name())) {
        if let Some(value) = loaded.struct_ops_value(map.name()) {
            out.push((map.name().to_string(), register_one(map, value)?));
        }
    }
    Ok(out)
}

fn register_one(map: &Map, value: &[u8]) -> Result<Link, CliError> {
    struct_ops::register(map, value)
        .map_err(CliError::sys(format!("register the functions of struct_ops map `{}`", map.name())))
}

/// The calls that registering takes, for `plan`.
pub(crate) fn calls(plan: &Plan, how: &HowArgs) -> Vec<Call> {
    let loaded = |ix| plan.programs.iter().any(|p| p.ix == ix);
    let mut out = Vec::new();
    for map in plan.maps.iter().filter(|m| m.create && !how.no_attach) {
        let Some(ops) = map.struct_ops.as_ref().filter(|ops| ops.functions.iter().all(|(_, ix)| loaded(*ix)))
        else {
            continue;
        };
        let fd = format!("<{}>", map.name);
        let (call, attributes) = if map.flags & flags::LINK != 0 {
            ("BPF_LINK_CREATE", vec![("map_fd", fd), ("attach_type", "BPF_STRUCT_OPS".into())])
        } else {
            let value = format!("{} bytes with {} programs", ops.value.len(), ops.functions.len());
            ("BPF_MAP_UPDATE_ELEM", vec![("map_fd", fd), ("key", "0".into()), ("value", value)])
        };
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
        out.push(Call { call: call.into(), attributes });
    }
    out
}

/// The programs that stand in these tables.
pub(crate) fn programs(plan: &Plan, in_table: impl Fn(&str) -> bool) -> Vec<&str> {
    let tables = plan.maps.iter().filter(|m| in_table(&m.name)).filter_map(|m| m.struct_ops.as_ref());
    let used: Vec<_> = tables.flat_map(|ops| &ops.functions).map(|(_, ix)| *ix).collect();
    plan.programs.iter().filter(|p| used.contains(&p.ix)).map(|p| p.name.as_str()).collect()
}

/// The map behind a pinned link, if it is one of a table.
pub(crate) fn map_of(info: &LinkInfo) -> Result<Option<Map>, CliError> {
    let Hook::StructOps { map_id } = info.hook else { return Ok(None) };
    Map::open_id(map_id).map(Some).map_err(CliError::sys("open the struct_ops map that is registered"))
}

/// Puts the new table of the same name behind a link.
pub(crate) fn replace(link: &Link, name: &str, loaded: &Loaded) -> Result<(), CliError> {
    let new = loaded.map(name).zip(loaded.struct_ops_value(name)).ok_or_else(|| {
        CliError::Option(format!(
            "--replace: struct_ops map `{name}` is registered, and the new object has none of this name"
        ))
    })?;
    link.update_map(new.0, new.1)
        .map_err(CliError::sys(format!("replace the functions of struct_ops map `{name}`")))
}

/// Puts a table back behind a link. What its map holds cannot be written again, so any value will do.
pub(crate) fn put_back(link: &Link, before: &Map) {
    let _ = link.update_map(before, &vec![0; before.value_len()]);
}

/// A table that was registered by writing it can only be taken away and registered again.
pub(crate) fn refuse_replacing(maps: &[(String, std::path::PathBuf)]) -> Result<(), CliError> {
    match maps.iter().find(|(_, path)| registered(path).is_some()) {
        Some((name, _)) => Err(CliError::Option(format!(
            "--replace: struct_ops map `{name}` is registered without a link, so another cannot take its place \
             in one step; unload it first, or put it in SEC(\".struct_ops.link\")"
        ))),
        None => Ok(()),
    }
}

/// Unregisters the table in a pinned map, if it is one that was registered by writing it. True if it was.
pub(crate) fn unregister(pin: &Path) -> Result<bool, CliError> {
    let Some(map) = registered(pin) else { return Ok(false) };
    let doing = format!("unregister the functions of struct_ops map `{}`", map.name());
    struct_ops::unregister(&map).map_err(CliError::sys(doing))?;
    Ok(true)
}

/// The map behind a pin, if it is a table that is registered without a link.
fn registered(pin: &Path) -> Option<Map> {
    let map = Map::open_pin(pin).ok().filter(|m| m.info().map_type == MapType::StructOps)?;
    if map.info().flags & flags::LINK != 0 {
        return None;
    }
    let in_use = StructOps::try_from(map.clone()).ok()?.state().ok()? == StructOpsState::InUse;
    in_use.then_some(map)
}
