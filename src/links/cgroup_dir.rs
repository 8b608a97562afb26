//! Where cgroups are: the mount of cgroup2, and directories by the names that people use.

use std::path::{Path, PathBuf};

/// Where cgroup2 is mounted: `/sys/fs/cgroup`, or below it beside the older hierarchies.
pub fn mount_point() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    let cgroup2 = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let path = words.nth(1)?;
        (words.next()? == "cgroup2").then(|| path.replace("\\040", " "))
    });
    cgroup2.map(PathBuf::from)
}

/// The directory of a cgroup, as it may be named: by itself, by its path below the cgroup2 mount, or as
/// /proc/PID/cgroup prints it (`0::/user.slice`, `/user.slice`).
pub fn directory(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    let named = text.strip_prefix("0::").map(Path::new);
    let Some(mount) = mount_point() else { return path.into() };
    let below = |path: &Path| mount.join(path.strip_prefix("/").unwrap_or(path));
    match named {
        Some(named) => below(named),
        None if path.is_absolute() && (path.exists() || !below(path).exists()) => path.into(),
        None => below(path),
    }
}
