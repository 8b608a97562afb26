//! The bpffs of the command, and the store in it.

use std::path::Path;

use rawbpf::deploy::{self, BPFFS, Store};

use crate::ui::error::CliError;
use crate::ui::output::Output;

/// Sees to it that there is a bpffs in which pins stay: mounts one, and says so, unless that is forbidden.
pub(crate) fn ensure(may_mount: bool, out: &Output) -> Result<Store, CliError> {
    let path = Path::new(BPFFS);
    let is_mounted = deploy::is_bpffs(path)?;
    deploy::will_stay(path, is_mounted)?;
    if is_mounted {
        return Ok(Store::of_machine());
    }
    if !may_mount {
        return Err(CliError::NoBpffs { path: path.into() });
    }
    deploy::mount(path)?;
    out.note(&format!("mounted a bpffs at {}, to pin what is loaded", path.display()));
    Ok(Store::of_machine())
}
