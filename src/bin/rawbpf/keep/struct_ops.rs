//! struct_ops in `load`, `plan` and `unload`: tables of programs that take the place of a kernel's table.
//!
//! A table in `.struct_ops.link` is attached by a link, and that is pinned as any other. A table in `.struct_ops` is
//! registered by writing its map and belongs to the kernel from then on; its map is pinned *before*, and to unload it is
//! to delete the map's only element.

use rawbpf::links::{Lifetime, struct_ops};
use rawbpf::sys::Errno;
use rawbpf::{Link, Loaded, Map, Plan};

use crate::keep::attach::{Attached, Attachments};
use crate::keep::store::{self, Entry};
use crate::options::LoadOptions;
use crate::ui::error::CliError;

/// The maps of an object that can be attached.
pub(crate) fn maps(loaded: &Loaded) -> impl Iterator<Item = &Map> {
    loaded.maps().filter(|m| loaded.struct_ops_value(m.name()).is_some())
}

/// Attaches all tables but those called so.
pub(crate) fn attach_all(
    entry: Option<&Entry>,
    loaded: &Loaded,
    how: &LoadOptions,
    except: &[String],
    out: &mut Attachments,
) {
    for map in maps(loaded).filter(|m| !how.no_attach && !except.iter().any(|name| name == m.name())) {
        match attach(entry, loaded, map) {
            Ok(one) => out.done.push(one),
            Err(e) => out.failed.push((map.name().into(), e)),
        }
    }
}

/// Puts a table of a new object behind the link of an old one's, in one step.
pub(crate) fn replace(link: Link, pin: String, loaded: &Loaded) -> Result<Attached, CliError> {
    let is_it = |m: &&Map| pin_name(m.name()).replace('.', "_") == pin;
    let Some(map) = maps(loaded).find(is_it) else {
        return Err(CliError::Option(format!(
            "--replace: {pin} is attached, and the new object has no struct_ops map of this name"
        )));
    };
    let value = loaded.struct_ops_value(map.name()).unwrap_or_default();
    link.update_map(map, value).map_err(CliError::sys(format!("replace the table behind {pin}")))?;
    let name = map.name().to_string();
    Ok(Attached { link, program: name.clone(), hook: format!("struct_ops {name}"), pin })
}

fn pin_name(map: &str) -> String {
    format!("struct_ops_{map}")
}

/// Attaches a table. What the kernel may keep without a link is written down in `entry` before.
fn attach(entry: Option<&Entry>, loaded: &Loaded, map: &Map) -> Result<Attached, CliError> {
    let name = map.name().to_string();
    let value = loaded.struct_ops_value(&name).unwrap_or_default();
    if let Some(entry) = entry {
        entry.pin_map(map)?;
    }
    let link = struct_ops::register(map, value).map_err(|e| explain(&name, e))?;
    let hook = match link.lifetime() {
        Lifetime::Link => format!("struct_ops {name}"),
        _ => format!("struct_ops {name}, registered"),
    };
    Ok(Attached { link, program: name.clone(), hook, pin: pin_name(map.name()) })
}

fn explain(name: &str, e: rawbpf::sys::SysError) -> CliError {
    let why = match e.errno {
        Errno::EEXIST => ": a table of that name is registered",
        Errno::EINVAL => {
            ": the kernel's own check of the table refuses it: a function that it must have is missing, or a value is wrong"
        }
        Errno::EBUSY => ": it is registered already",
        _ => "",
    };
    CliError::sys(format!("register the struct_ops map `{name}`{why}"))(e)
}

/// The programs that stand in these tables.
pub(crate) fn programs(plan: &Plan, in_table: impl Fn(&str) -> bool) -> Vec<&str> {
    let tables = plan.maps.iter().filter(|m| in_table(&m.name)).filter_map(|m| m.struct_ops.as_ref());
    let used: Vec<_> = tables.flat_map(|ops| &ops.functions).map(|(_, ix)| *ix).collect();
    plan.programs.iter().filter(|p| used.contains(&p.ix)).map(|p| p.name.as_str()).collect()
}

/// A table that was registered by writing it can only be taken away and registered again.
pub(crate) fn refuse_replacing(maps: &[(String, std::path::PathBuf)]) -> Result<(), CliError> {
    match maps.iter().find(|(_, path)| store::registered(path).is_some()) {
        Some((name, _)) => Err(CliError::Option(format!(
            "--replace: struct_ops map `{name}` is registered without a link, so another cannot take its place \
             in one step; unload it first, or put it in SEC(\".struct_ops.link\")"
        ))),
        None => Ok(()),
    }
}
