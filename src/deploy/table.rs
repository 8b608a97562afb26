//! struct_ops tables put to use, and replaced.

use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::made::Made;
use super::store::LoadEntry;
use super::struct_ops::{pin, pin_name, tables};
use crate::error::Error;
use crate::links::{Lifetime, Link, struct_ops};
use crate::loader::Loaded;
use crate::maps::Map;
use crate::sys::{Errno, SysError};

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
pub(super) fn attach(entry: Option<&LoadEntry>, loaded: &Loaded, map: &Map) -> Result<Made> {
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
