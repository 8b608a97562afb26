//! The bpffs: a file system whose files are BPF objects, and whether what is pinned in it will stay.
//!
//! A mount belongs to a mount namespace. `ip netns exec` takes a new one, with a /sys of its own: what is mounted or
//! pinned there goes with the command. So does what a process mounts that is alone in its namespace.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::mount::MsFlags;
use nix::sys::statfs::statfs;

use super::error::{DeployError, Result};

/// Where it is mounted unless told otherwise.
pub const BPFFS: &str = "/sys/fs/bpf";

/// True if `path` is in a bpffs.
///
/// # Errors
/// It cannot be asked: whether one is mounted there is not known then.
pub fn is_bpffs(path: &Path) -> Result<bool> {
    /// `BPF_FS_MAGIC`
    const MAGIC: u64 = 0xcafe_4a11;
    match statfs(path) {
        Ok(found) => Ok(found.filesystem_type().0 as u64 & 0xffff_ffff == MAGIC),
        Err(nix::errno::Errno::ENOENT) => Ok(false),
        Err(e) => {
            Err(DeployError::io(format!("ask which file system is mounted at {}", path.display()))(e.into()))
        }
    }
}

/// Mounts a bpffs, for its owner only.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `ENOENT` if there is no such directory.
pub fn mount(path: &Path) -> Result<()> {
    nix::mount::mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .map_err(|e| DeployError::io(format!("mount a bpffs at {}", path.display()))(e.into()))
}

/// Sees to it that what is pinned below `path` stays when this process ends; `is_mounted` says whether a bpffs is there
/// already.
///
/// # Errors
/// [`DeployError::Private`] if it would not.
pub fn will_stay(path: &Path, is_mounted: bool) -> Result<()> {
    if path.starts_with("/sys") {
        if let Some(name) = entered_by_ip() {
            let why = format!(
                "`ip netns exec {name}` gives a command a /sys of its own, which goes when the command ends"
            );
            return Err(DeployError::Private { why, netns: Some(name) });
        }
    }
    if is_mounted || !is_alone() {
        return Ok(());
    }
    let why =
        "this process is the only one in its mount namespace, and a bpffs that is mounted here goes with it";
    Err(DeployError::Private { why: why.into(), netns: None })
}

/// The network namespace that `ip netns exec` entered for this process: it mounts a sysfs that it names so.
fn entered_by_ip() -> Option<String> {
    let mounts = fs::read_to_string("/proc/thread-self/mounts").ok()?;
    let mut of_sys = mounts.lines().rev().filter_map(|line| {
        let mut words = line.split(' ');
        let (source, place, kind) = (words.next()?, words.next()?, words.next()?);
        (place == "/sys" && kind == "sysfs").then(|| source.to_string())
    });
    let name = of_sys.next()?;
    let there = fs::metadata(Path::new("/run/netns").join(&name)).ok()?.ino();
    let here = fs::metadata("/proc/thread-self/ns/net").ok()?.ino();
    (there == here).then_some(name)
}

/// True if no other process or thread is in this mount namespace, and it is not that of the first process.
fn is_alone() -> bool {
    let of = |path: &Path| fs::metadata(path).map(|m| m.ino()).ok();
    let Some(own) = of(Path::new("/proc/thread-self/ns/mnt")) else { return false };
    if of(Path::new("/proc/1/ns/mnt")) == Some(own) {
        return false;
    }
    let me = std::process::id().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let others = processes.filter(|e| {
        let name = e.file_name();
        let name = name.to_string_lossy();
        *name != *me && name.bytes().all(|b| b.is_ascii_digit())
    });
    let threads = others.flat_map(|p| fs::read_dir(p.path().join("task")).into_iter().flatten().flatten());
    let mut seen = threads.filter_map(|t| of(&t.path().join("ns/mnt"))).peekable();
    // Who may see nobody cannot tell.
    seen.peek().is_some() && !seen.any(|other| other == own)
}
