//! struct_ops on the command line: tables of programs that take the place of a kernel's table.
//!
//! A table in `.struct_ops.link` is attached by a link, and that is pinned as any other. A table in `.struct_ops` is
//! registered by writing its map and belongs to the kernel from then on; its map is pinned *before*, and to unload it is
//! to delete the map's only element.

use std::path::Path;

use rawbpf::links::{Lifetime, struct_ops};
use rawbpf::sys::Errno;
use rawbpf::uapi::MapType;
use rawbpf::{Link, Loaded, Map};

use crate::args::HowArgs;
use crate::error::CliError;
use crate::load::{Attached, Attachments};
use crate::store::{Entry, MAPS};

/// The maps of an object that can be attached.
pub(crate) fn maps(loaded: &Loaded) -> impl Iterator<Item = &Map> {
    loaded.maps().filter(|m| loaded.struct_ops_value(m.name()).is_some())
}

/// Attaches all tables but those called so.
pub(crate) fn attach_all(
    entry: Option<&Entry>,
    loaded: &Loaded,
    how: &HowArgs,
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
        pin(entry, map)?;
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

/// Pins a map, if that is not done.
pub(crate) fn pin(entry: &Entry, map: &Map) -> Result<(), CliError> {
    let path = entry.pin(MAPS, map.name())?;
    if path.exists() {
        return Ok(());
    }
    map.pin(&path).map_err(CliError::sys(format!("pin map `{}`", map.name())))
}

/// Takes a registered table away, if this pin is of one.
pub(crate) fn unregister(path: &Path) -> Result<(), CliError> {
    let doing = || format!("take back the struct_ops map {}", path.display());
    let Ok(map) = Map::open_pin(path) else { return Ok(()) };
    if map.info().map_type != MapType::StructOps {
        return Ok(());
    }
    match map.delete(&[0; 4]) {
        // Attached by a link, or not registered.
        Err(e) if [Errno::EOPNOTSUPP, Errno::ENOTSUPP, Errno::ENOENT, Errno::EINVAL].contains(&e.errno) => {
            Ok(())
        }
        other => other.map(drop).map_err(CliError::sys(doing())),
    }
}
