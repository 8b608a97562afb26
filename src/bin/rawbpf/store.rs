//! Where loaded objects are kept: a directory of pins for each.
//!
//! ```text
//!   /sys/fs/bpf/rawbpf/packet_count/       mode 0700
//!       progs/count_packets
//!       maps/packet_count_map
//!       links/xdp_eth0                     as long as this file is there, the program is attached
//! ```
//!
//! There is no other state: what is not in the bpffs is not loaded. To make the directory is to take the
//! name, so two loads of the same name cannot both succeed.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rawbpf::Link;
use rawbpf::sys::Errno;

use crate::error::CliError;

/// The directory of all loaded objects.
pub(crate) struct Store {
    root: PathBuf,
}

/// The directory of one loaded object.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
}

/// The parts of an entry.
pub(crate) const PROGS: &str = "progs";
pub(crate) const MAPS: &str = "maps";
pub(crate) const LINKS: &str = "links";

/// Ends the name of an entry that is being put together to replace another; no object can be called so.
const UNFINISHED: char = '~';

impl Store {
    pub(crate) fn new(bpffs: &Path) -> Store {
        Store { root: bpffs.join("rawbpf") }
    }

    /// The names that are loaded.
    pub(crate) fn names(&self) -> Vec<String> {
        list(&self.root)
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !name.ends_with(UNFINISHED))
            .collect()
    }

    /// What an interrupted replacement left.
    pub(crate) fn unfinished(&self) -> Vec<Entry> {
        let all = list(&self.root).into_iter().filter(|(name, _)| name.ends_with(UNFINISHED));
        all.map(|(name, dir)| Entry { name, dir }).collect()
    }

    /// The entry of this name, whether it exists or not.
    pub(crate) fn entry(&self, name: &str) -> Result<Entry, CliError> {
        if name.is_empty() || name.contains(['.', '/', '\0', UNFINISHED]) || name.len() > 200 {
            return Err(CliError::BadName { name: name.into() });
        }
        Ok(Entry { name: name.into(), dir: self.root.join(name) })
    }

    /// All entries.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.names().into_iter().map(|name| Entry { dir: self.root.join(&name), name }).collect()
    }

    /// Makes a place for what will replace `entry`; what an interrupted replacement left there is removed.
    pub(crate) fn successor(&self, entry: &Entry) -> Result<Entry, CliError> {
        let name = format!("{}{UNFINISHED}", entry.name);
        let new = Entry { dir: self.root.join(&name), name };
        if new.exists() {
            new.remove()?;
        }
        make_dir(&new.dir, false)?;
        Ok(new)
    }

    /// Takes a name: makes its directory. [`CliError::Loaded`] if it is taken.
    pub(crate) fn take(&self, name: &str) -> Result<Entry, CliError> {
        let entry = self.entry(name)?;
        make_dir(&self.root, true)?;
        match make_dir(&entry.dir, false) {
            Err(CliError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                Err(CliError::Loaded { name: name.into(), path: entry.dir })
            }
            other => other.map(|()| entry),
        }
    }
}

fn make_dir(dir: &Path, may_exist: bool) -> Result<(), CliError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if may_exist && e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(CliError::io(format!("make the directory {}", dir.display()))),
    }
}

/// Names and paths in a directory; nothing if it cannot be read.
fn list(dir: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut out: Vec<(String, PathBuf)> =
        entries.map(|e| (e.file_name().to_string_lossy().into_owned(), e.path())).collect();
    out.sort();
    out
}

impl Entry {
    pub(crate) fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    /// The pins of one part: name and path.
    pub(crate) fn pins(&self, part: &str) -> Vec<(String, PathBuf)> {
        list(&self.dir.join(part))
    }

    /// The path for a pin, in a directory that exists. bpffs takes no dots in names, so `.rodata` and
    /// `eth0.5` get an underscore.
    pub(crate) fn pin(&self, part: &str, name: &str) -> Result<PathBuf, CliError> {
        let dir = self.dir.join(part);
        make_dir(&dir, true)?;
        Ok(dir.join(name.replace(['.', '/'], "_")))
    }

    /// Detaches what is attached and removes all pins, then the directories. Goes on after a failure and
    /// returns the first.
    pub(crate) fn remove(&self) -> Result<Removed, CliError> {
        let mut removed = Removed::default();
        let mut first = None;
        let mut note = |result: Result<(), CliError>| {
            if let (Err(e), None) = (result, &first) {
                first = Some(e);
            }
        };
        for (name, path) in self.pins(LINKS) {
            // The pin may be all that holds the link, or not: detach it whoever holds it.
            note(detach(&path));
            note(unpin(&path));
            removed.links.push(name);
        }
        for (part, names) in [(PROGS, &mut removed.programs), (MAPS, &mut removed.maps)] {
            for (name, path) in self.pins(part) {
                note(unpin(&path));
                names.push(name);
            }
        }
        for dir in [LINKS, PROGS, MAPS].map(|part| self.dir.join(part)).iter().chain([&self.dir]) {
            match fs::remove_dir(dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => note(other.map_err(CliError::io(format!("remove the directory {}", dir.display())))),
            }
        }
        // The last one out removes the common directory; while there are others it is not empty.
        if let Some(root) = self.dir.parent() {
            let _ = fs::remove_dir(root);
        }
        first.map_or(Ok(removed), Err)
    }
}

/// What was removed, by name.
#[derive(Debug, Default, serde::Serialize)]
pub(crate) struct Removed {
    pub(crate) links: Vec<String>,
    pub(crate) programs: Vec<String>,
    pub(crate) maps: Vec<String>,
}

fn detach(path: &Path) -> Result<(), CliError> {
    let doing = format!("detach {}", path.display());
    match Link::open_pin(path).map_err(CliError::sys(doing.clone()))?.detach() {
        // Links of perf events and raw tracepoints end with their last pin and descriptor instead, and a
        // link whose interface is gone is detached already.
        Err(e) if [Errno::EOPNOTSUPP, Errno::ENOTSUPP, Errno::ENODEV, Errno::EINVAL].contains(&e.errno) => {
            Ok(())
        }
        other => other.map_err(CliError::sys(doing)),
    }
}

fn unpin(path: &Path) -> Result<(), CliError> {
    fs::remove_file(path).map_err(CliError::io(format!("remove the pin {}", path.display())))
}
