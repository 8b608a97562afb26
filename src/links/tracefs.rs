//! tracefs: the file system of the kernel's tracing, where events have numbers and probes can be made by
//! writing a line.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
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

/// The group of all probes that are made here.
const GROUP: &str = "rawbpf";
/// The files in which probes are written.
const FILES: [&str; 2] = ["kprobe_events", "uprobe_events"];

/// A probe that was made by writing its definition: it has to be removed by name.
#[derive(Debug)]
pub(super) struct WrittenProbe {
    /// `kprobe_events` or `uprobe_events`.
    file: PathBuf,
    name: String,
}

impl WrittenProbe {
    /// Makes a probe. `what` is where, in the file's own language: `FUNCTION+0xOFFSET`, `PATH:0xOFFSET`.
    pub(super) fn create(
        root: &Path,
        file: &'static str,
        exit: bool,
        what: &str,
    ) -> Result<WrittenProbe, SysError> {
        let name = unique_name(what);
        let kind = if exit { 'r' } else { 'p' };
        let probe = WrittenProbe { file: root.join(file), name };
        write(&probe.file, &format!("{kind}:{GROUP}/{} {what}\n", probe.name))?;
        Ok(probe)
    }

    /// Its number, for `perf_event_open`.
    pub(super) fn id(&self, root: &Path) -> Result<u64, SysError> {
        event_id(root, GROUP, &self.name)
    }
}

impl Undo for WrittenProbe {
    fn undo(&mut self) -> Result<(), SysError> {
        remove(&self.file, &self.name)
    }
}

fn remove(file: &Path, name: &str) -> Result<(), SysError> {
    write(file, &format!("-:{GROUP}/{name}\n"))
}

fn write(file: &Path, line: &str) -> Result<(), SysError> {
    let file = OpenOptions::new().append(true).open(file);
    file.and_then(|mut f| f.write_all(line.as_bytes()))
        .map_err(|e| SysError::other("write to tracefs's list of probes", e))
}

/// A probe in tracefs whose process was killed before it could remove it: a [`ProbeVia::Tracefs`](super::ProbeVia) that
/// nobody has any more. It does nothing, and it stays until somebody removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftProbe {
    /// Its name in the group `rawbpf`.
    pub name: String,
    /// Where it is: `FUNCTION`, `PATH:0xOFFSET`.
    pub place: String,
    /// The process that made it.
    pub pid: u32,
    file: PathBuf,
}

impl LeftProbe {
    /// Removes it.
    ///
    /// # Errors
    /// `EBUSY` if it is in use after all: the kernel does not let go of a probe that somebody has open.
    pub fn remove(&self) -> Result<(), SysError> {
        remove(&self.file, &self.name)
    }
}

/// The probes in tracefs that processes of this crate left when they were killed. Their names hold the pid namespace, the
/// process and when it began, so that no other process of the same number is taken for it.
pub fn left_probes() -> Vec<LeftProbe> {
    let Some(root) = root() else { return Vec::new() };
    let mut out = Vec::new();
    for file in FILES.map(|file| root.join(file)) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for (name, place) in text.lines().filter_map(line) {
            match maker(name) {
                Some(maker) if maker.is_gone() => {
                    let (name, place, file) = (name.into(), place.into(), file.clone());
                    out.push(LeftProbe { name, place, pid: maker.pid, file });
                }
                _ => {}
            }
        }
    }
    out
}

/// A probe of our group in a line of the list, and where it is: `p:rawbpf/NAME PLACE`.
fn line(line: &str) -> Option<(&str, &str)> {
    let (head, place) = line.split_once(' ')?;
    let (_, name) = head.split_once(':')?;
    Some((name.strip_prefix(GROUP)?.strip_prefix('/')?, place.trim()))
}

/// Who made a probe, as its name says.
#[derive(Debug, PartialEq, Eq)]
struct Maker {
    /// The inode of its pid namespace: in another one the number is another process's.
    namespace: u64,
    pid: u32,
    /// When it began.
    since: u64,
}

impl Maker {
    /// Whether that process is known to have ended.
    fn is_gone(&self) -> bool {
        if self.since == 0 || self.namespace == 0 || self.namespace != namespace() {
            return false;
        }
        match began(self.pid) {
            Some(since) => since != self.since,
            None => {
                let process = fs::metadata(format!("/proc/{}", self.pid));
                process.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
            }
        }
    }
}

/// The inode of this process's pid namespace; 0 if it cannot be told.
fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino())
}

/// Which process made a probe of this name.
fn maker(name: &str) -> Option<Maker> {
    let mut parts = name.strip_prefix("rawbpf_")?.split('_');
    let (namespace, pid, since) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Maker { namespace: namespace.parse().ok()?, pid: pid.parse().ok()?, since: since.parse().ok()? })
}

/// When a process began, in clock ticks since the machine did; `None` if there is none.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in brackets and may hold anything; the 22nd field is the 20th behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// A name that no other process and no other probe of this one takes, at most 63 letters.
fn unique_name(what: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let what = what.rsplit('/').next().unwrap_or(what);
    let pid = std::process::id();
    let name = format!("rawbpf_{}_{pid}_{}_{count}_{what}", namespace(), began(pid).unwrap_or(0));
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(word).take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_who_made_it() {
        let name = unique_name("/usr/lib/libc.so.6:0x1234");
        let pid = std::process::id();
        let us = Maker { namespace: namespace(), pid, since: began(pid).expect("we run") };
        assert!(!us.is_gone());
        assert!(Maker { since: us.since + 1, ..us }.is_gone());
        assert!(!Maker { since: us.since + 1, namespace: 7, ..us }.is_gone(), "another pid namespace");
        assert_eq!(maker(&name), Some(us));
        assert_eq!(
            line(&format!("p:rawbpf/{name} /usr/lib/libc.so.6:0x1234")),
            Some((name.as_str(), "/usr/lib/libc.so.6:0x1234"))
        );
        assert_eq!(line("p:kprobes/mine do_sys_open"), None);
        assert_eq!(line("r3:rawbpf/rawbpf_6_7_8_0_f f"), Some(("rawbpf_6_7_8_0_f", "f")));
        assert_eq!(maker("rawbpf_6_7_8_0_f"), Some(Maker { namespace: 6, pid: 7, since: 8 }));
        assert_eq!(maker("another"), None);
    }
}
