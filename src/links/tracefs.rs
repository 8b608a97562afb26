//! tracefs: the file system of the kernel's tracing, where events have numbers and probes can be made by
//! writing a line.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Undo;
use crate::sys::{Errno, SysError};

/// Where tracefs may be mounted; the second is where it was before Linux 4.1.
const ROOTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Its directory. `None` if it is not mounted, or hidden from this process.
pub(super) fn root() -> Option<PathBuf> {
    ROOTS.iter().map(PathBuf::from).find(|root| root.join("events").is_dir())
}

/// What to say where there is none.
pub(super) const NOT_MOUNTED: &str =
    "tracefs is not mounted or cannot be read; mount it with `mount -t tracefs tracefs /sys/kernel/tracing`";

/// The number of an event, for `perf_event_open`.
pub(super) fn event_id(root: &Path, category: &str, name: &str) -> Result<u64, SysError> {
    let fail = |errno: Errno| SysError::other("read a tracepoint's id", errno);
    let path = root.join("events").join(category).join(name).join("id");
    let text = fs::read_to_string(path).map_err(|e| fail(e.into()))?;
    text.trim().parse().map_err(|_| fail(Errno::EINVAL))
}

/// The names in a directory of events.
pub(super) fn list(root: &Path, category: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join("events").join(category)).into_iter().flatten();
    entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// A probe that was made by writing its definition: it has to be removed by name.
#[derive(Debug)]
pub(super) struct WrittenProbe {
    /// `kprobe_events` or `uprobe_events`.
    file: PathBuf,
    group: &'static str,
    name: String,
}

impl WrittenProbe {
    /// Makes a probe. `what` is where, in the file's own language: `FUNCTION+0xOFFSET`, `PATH:0xOFFSET`.
    pub(super) fn create(
        root: &Path,
        file: &'static str,
        group: &'static str,
        exit: bool,
        what: &str,
    ) -> Result<WrittenProbe, SysError> {
        let name = unique_name(what);
        let kind = if exit { 'r' } else { 'p' };
        let probe = WrittenProbe { file: root.join(file), group, name };
        probe.write(&format!("{kind}:{group}/{} {what}\n", probe.name))?;
        Ok(probe)
    }

    /// Its number, for `perf_event_open`.
    pub(super) fn id(&self, root: &Path) -> Result<u64, SysError> {
        event_id(root, self.group, &self.name)
    }

    fn write(&self, line: &str) -> Result<(), SysError> {
        let file = OpenOptions::new().append(true).open(&self.file);
        file.and_then(|mut f| f.write_all(line.as_bytes()))
            .map_err(|e| SysError::other("write to tracefs's list of probes", e))
    }
}

impl Undo for WrittenProbe {
    fn undo(&mut self) -> Result<(), SysError> {
        self.write(&format!("-:{}/{}\n", self.group, self.name))
    }
}

/// A name that no other process and no other probe of this one takes, at most 63 letters.
fn unique_name(what: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let what = what.rsplit('/').next().unwrap_or(what);
    let name = format!("rawbpf_{}_{count}_{what}", std::process::id());
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(word).take(63).collect()
}
