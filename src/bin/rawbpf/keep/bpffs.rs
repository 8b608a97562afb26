//! The bpffs: a file system whose files are BPF objects.

use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::statfs;

use crate::ui::error::CliError;
use crate::ui::output::Output;

/// Where it is mounted unless told otherwise.
pub(crate) const DEFAULT: &str = "/sys/fs/bpf";

/// True if `path` is in a bpffs.
pub(crate) fn is_mounted(path: &Path) -> bool {
    /// `BPF_FS_MAGIC`
    const MAGIC: u64 = 0xcafe_4a11;
    statfs(path).is_ok_and(|s| s.filesystem_type().0 as u64 & 0xffff_ffff == MAGIC)
}

/// Sees to it that there is a bpffs at `path`: mounts one, and says so, unless that is forbidden.
pub(crate) fn ensure(path: &Path, may_mount: bool, out: &Output) -> Result<(), CliError> {
    if is_mounted(path) {
        return Ok(());
    }
    if !may_mount {
        return Err(CliError::NoBpffs { path: path.into() });
    }
    let options = Some("mode=0700");
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), options).map_err(|e| CliError::Io {
        doing: format!("mount a bpffs at {}", path.display()),
        source: e.into(),
    })?;
    out.note(&format!("mounted a bpffs at {}, to pin what is loaded", path.display()));
    Ok(())
}
