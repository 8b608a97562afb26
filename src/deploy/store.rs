//! The bpffs directory of each name: its pins, its record, and the lock of all.
//!
//! ```text
//!   /sys/fs/bpf/rawbpf/packet_count/       mode 0700
//!       progs/count_packets
//!       maps/packet_count_map
//!       links/xdp_eth0                     as long as this file is there, the program is attached
//!       direct/tc_ingress_eth1             a second name of the program, which a hook keeps by itself
//!       record.0 -> ...                    a symbolic link to nowhere: what was wanted, as text (see `record`)
//! ```
//!
//! There is no other state: what is not in the bpffs is not deployed. The names of pins are for people. Which hook a
//! link is at, the kernel says; which hooks keep a program without a link is found by the program's id.
//!
//! One command at a time changes what is there: it holds a lock on the directory of all names, which the kernel lets go
//! of when the process ends, however it ends. A directory that cannot be read is an error and never an empty one:
//! whoever takes "cannot read" for "nothing there" removes what he does not know.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::{DeployError, Result};
use crate::progs::Program;
use crate::sys;

/// The directory of all names.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The directory of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadEntry {
    /// The name.
    pub name: String,
    /// The directory.
    pub dir: PathBuf,
}

/// A part of an entry: a directory of pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinPart {
    /// Programs.
    Programs,
    /// Maps.
    Maps,
    /// Links: each keeps a program attached.
    Links,
    /// Programs that hooks keep without a link.
    Linkless,
    /// While a replacement is under way: the program that a link or hook had before, under the name of its pin.
    Before,
}

impl PinPart {
    /// All parts, in the order in which they are removed.
    pub const ALL: [PinPart; 5] =
        [PinPart::Links, PinPart::Linkless, PinPart::Before, PinPart::Programs, PinPart::Maps];

    /// The name of its directory.
    pub fn dir(self) -> &'static str {
        match self {
            PinPart::Programs => "progs",
            PinPart::Maps => "maps",
            PinPart::Links => "links",
            PinPart::Linkless => "direct",
            PinPart::Before => "before",
        }
    }
}

/// A pin: its name and its path.
pub type Pin = (String, PathBuf);

/// Stands in the names of entries that are about to replace others or to be replaced; no name can have it.
const UNFINISHED: char = '~';

/// Held by whoever changes what is deployed.
#[derive(Debug)]
pub struct Lock {
    /// The lock goes with the descriptor; nothing is asked of the kernel that could fail.
    _dir: File,
}

impl Store {
    /// The store of this machine: in the bpffs at [`BPFFS`](super::BPFFS), whether one is mounted there or not.
    pub fn of_machine() -> Store {
        Store::new(Path::new(super::bpffs::BPFFS))
    }

    /// The store in a bpffs.
    pub fn new(bpffs: &Path) -> Store {
        Store { root: bpffs.join("rawbpf") }
    }

    /// The directory of all names.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// True if something is deployed, or is about to be.
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// All entries that are whole, sorted by name.
    pub fn entries(&self) -> Result<Vec<LoadEntry>> {
        let all = list(&self.root)?.into_iter().filter(|(name, _)| !name.contains(UNFINISHED));
        Ok(all.map(|(name, dir)| LoadEntry { name, dir }).collect())
    }

    /// The names that are deployed.
    pub fn names(&self) -> Result<Vec<String>> {
        Ok(self.entries()?.into_iter().map(|e| e.name).collect())
    }

    /// What interrupted replacements left.
    pub fn unfinished(&self) -> Result<Vec<LoadEntry>> {
        let all = list(&self.root)?.into_iter().filter(|(name, _)| name.contains(UNFINISHED));
        Ok(all.map(|(name, dir)| LoadEntry { name, dir }).collect())
    }

    /// The names of which a replacement is under way, or was cut short.
    pub fn unsettled(&self) -> Result<Vec<String>> {
        let base = |e: &LoadEntry| e.name.split(UNFINISHED).next().unwrap_or_default().to_string();
        let mut names: Vec<String> = self.unfinished()?.iter().map(base).collect();
        names.dedup();
        Ok(names)
    }

    /// The entry of this name, whether it exists or not.
    pub fn entry(&self, name: &str) -> Result<LoadEntry> {
        if name.is_empty() || name.contains(['.', '/', '\0', UNFINISHED]) || name.len() > 200 {
            return Err(DeployError::BadName { name: name.into() });
        }
        Ok(LoadEntry { name: name.into(), dir: self.root.join(name) })
    }

    /// The entry of this name, which has to exist.
    pub fn existing(&self, name: &str) -> Result<LoadEntry> {
        let entry = self.entry(name)?;
        if entry.exists()? {
            return Ok(entry);
        }
        let names = self.names()?;
        let known = if names.is_empty() { "none".into() } else { names.join(", ") };
        Err(DeployError::NotLoaded { name: name.into(), known })
    }

    /// Keeps others that change what is deployed out, as long as it lives; a process that is killed lets go of it.
    pub fn lock(&self) -> Result<Lock> {
        let doing = || format!("lock the directory {}", self.root.display());
        loop {
            make_dir(&self.root, true)?;
            let dir = match File::open(&self.root) {
                // Whoever had it last has removed it.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                other => other.map_err(DeployError::io(doing()))?,
            };
            let inode = dir.metadata().map_err(DeployError::io(doing()))?.ino();
            sys::lock_exclusive(&dir).map_err(DeployError::sys(doing()))?;
            if fs::metadata(&self.root).is_ok_and(|m| m.ino() == inode) {
                return Ok(Lock { _dir: dir });
            }
        }
    }

    /// Removes the common directory, if nothing is in it.
    pub fn tidy(&self) {
        let _ = fs::remove_dir(&self.root);
    }
}

fn make_dir(dir: &Path, may_exist: bool) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if may_exist && e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(DeployError::io(format!("make the directory {}", dir.display()))),
    }
}

/// Names and paths in a directory, sorted; none if it is not there.
fn list(dir: &Path) -> Result<Vec<Pin>> {
    let doing = || format!("read the directory {}", dir.display());
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(DeployError::io(doing()))?,
    };
    let one =
        |e: io::Result<fs::DirEntry>| e.map(|e| (e.file_name().to_string_lossy().into_owned(), e.path()));
    let mut out = entries.map(one).collect::<io::Result<Vec<Pin>>>().map_err(DeployError::io(doing()))?;
    out.sort();
    Ok(out)
}

impl LoadEntry {
    /// True if its directory is there.
    pub fn exists(&self) -> Result<bool> {
        match fs::symlink_metadata(&self.dir) {
            Ok(found) => Ok(found.is_dir()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(DeployError::io(format!("look at the directory {}", self.dir.display()))(e)),
        }
    }

    /// True if it belongs to a process that runs, or ran, and shares its maps there: such a directory is marked.
    pub fn is_shared(&self) -> bool {
        /// `S_ISVTX`
        const MARK: u32 = 0o1000;
        fs::symlink_metadata(&self.dir).is_ok_and(|found| found.mode() & MARK != 0)
    }

    pub(super) fn make(&self) -> Result<()> {
        make_dir(&self.dir, false)
    }

    /// The entry that is to replace this one.
    pub(super) fn successor(&self) -> LoadEntry {
        self.called(format!("{}{UNFINISHED}", self.name))
    }

    /// This one, when it has been replaced.
    pub(super) fn outgoing(&self) -> LoadEntry {
        self.called(format!("{}{UNFINISHED}old", self.name))
    }

    fn called(&self, name: String) -> LoadEntry {
        LoadEntry { dir: self.dir.with_file_name(&name), name }
    }

    /// The pins of one part.
    pub fn pins(&self, part: PinPart) -> Result<Vec<Pin>> {
        list(&self.dir.join(part.dir()))
    }

    /// The path of a pin, whether it exists or not. bpffs takes no dots in names, so `.rodata` and `eth0.5` get an
    /// underscore.
    pub fn path(&self, part: PinPart, name: &str) -> PathBuf {
        self.dir.join(part.dir()).join(name.replace(['.', '/'], "_"))
    }

    /// The path for a new pin, in a directory that exists.
    pub(super) fn pin(&self, part: PinPart, name: &str) -> Result<PathBuf> {
        make_dir(&self.dir.join(part.dir()), true)?;
        Ok(self.path(part, name))
    }

    /// Writes down that a hook is about to keep a program by itself.
    pub(super) fn note_linkless(&self, name: &str, program: &Program) -> Result<()> {
        let path = self.pin(PinPart::Linkless, name)?;
        program.pin(&path).map_err(DeployError::sys(format!("record that `{}` is attached", program.name())))
    }

    /// It does not, or not any more.
    pub(super) fn forget_linkless(&self, name: &str) -> Result<()> {
        unpin(&self.path(PinPart::Linkless, name))?;
        // Only if it was the last.
        let _ = fs::remove_dir(self.dir.join(PinPart::Linkless.dir()));
        Ok(())
    }

    /// Removes the directories, which have no pins any more.
    pub(super) fn remove_dirs(&self) -> Result<()> {
        for dir in PinPart::ALL.map(|part| self.dir.join(part.dir())).iter().chain([&self.dir]) {
            match fs::remove_dir(dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => other.map_err(DeployError::io(format!("remove the directory {}", dir.display())))?,
            }
        }
        Ok(())
    }

    /// Gives it the name of another one.
    pub(super) fn rename_to(&self, other: &LoadEntry) -> Result<()> {
        rename(&self.dir, &other.dir)
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(DeployError::io(format!("rename {}", from.display())))
}

/// Removes a pin.
pub(super) fn unpin(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(DeployError::io(format!("remove the pin {}", path.display()))),
    }
}
