//! Where loaded objects are kept: a directory of pins for each.
//!
//! ```text
//!   /sys/fs/bpf/rawbpf/packet_count/       mode 0700
//!       progs/count_packets
//!       maps/packet_count_map
//!       links/xdp_eth0                     as long as this file is there, the program is attached
//!       direct/tc_ingress_eth1             a second name of the program, which a hook keeps by itself
//! ```
//!
//! There is no other state: what is not in the bpffs is not loaded. To make the directory is to take the
//! name, so two loads of the same name cannot both succeed; and one command at a time changes what is there.
//!
//! Some hooks have no link objects, or had none in older kernels: a tc filter, a program attached to a cgroup by the
//! old call. Such an attachment has no descriptor and cannot be pinned; the hook keeps the program until somebody takes
//! it away. What it does have is the id of its program, unique as long as that lives, and it lives as long as its pin.
//! So the record of such an attachment is one more pin of the *program*, made before it is attached and named after
//! the hook for people to read. To undo it is to look through the hooks of the machine (`rawbpf attachments`) for what
//! has a program of this id and no link, wherever it is by then. Whoever attaches a pinned program somewhere else by
//! hand, without a link, has that undone too.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use rawbpf::links::{Scope, inventory, struct_ops};
use rawbpf::maps::{StructOps, StructOpsState};
use rawbpf::sys::Errno;
use rawbpf::sys::map::flags;
use rawbpf::uapi::MapType;
use rawbpf::{Link, Map, Program};

use crate::ui::error::CliError;

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
/// Programs that hooks keep without a link.
pub(crate) const DIRECT: &str = "direct";

/// Stands in the names of entries that are about to replace others or to be replaced; no object can be called so.
const UNFINISHED: char = '~';

impl Store {
    pub(crate) fn new(bpffs: &Path) -> Store {
        Store { root: bpffs.join("rawbpf") }
    }

    /// True if something is loaded, or is about to be.
    pub(crate) fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// The names that are loaded.
    pub(crate) fn names(&self) -> Vec<String> {
        list(&self.root).into_iter().map(|(name, _)| name).filter(|name| !name.contains(UNFINISHED)).collect()
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

    /// Keeps other commands that load and unload out, as long as it lives; a process that is killed lets go of it.
    pub(crate) fn lock(&self) -> Result<Flock<File>, CliError> {
        let doing = || format!("lock the directory {}", self.root.display());
        loop {
            make_dir(&self.root, true)?;
            let dir = File::open(&self.root).map_err(CliError::io(doing()))?;
            let inode = dir.metadata().map_err(CliError::io(doing()))?.ino();
            let lock = Flock::lock(dir, FlockArg::LockExclusive)
                .map_err(|(_, e)| CliError::io(doing())(e.into()))?;
            // Who had it before may have removed the directory.
            if fs::metadata(&self.root).is_ok_and(|m| m.ino() == inode) {
                return Ok(lock);
            }
        }
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

    pub(crate) fn make(&self) -> Result<(), CliError> {
        make_dir(&self.dir, false)
    }

    /// The entry that is to replace this one.
    pub(crate) fn successor(&self) -> Entry {
        self.called(format!("{}{UNFINISHED}", self.name))
    }

    /// This one, when it has been replaced.
    pub(crate) fn outgoing(&self) -> Entry {
        self.called(format!("{}{UNFINISHED}old", self.name))
    }

    fn called(&self, name: String) -> Entry {
        Entry { dir: self.dir.with_file_name(&name), name }
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

    /// Pins a map, if that is not done.
    pub(crate) fn pin_map(&self, map: &Map) -> Result<(), CliError> {
        let path = self.pin(MAPS, map.name())?;
        if path.exists() {
            return Ok(());
        }
        map.pin(&path).map_err(CliError::sys(format!("pin map `{}`", map.name())))
    }

    /// Writes down that a hook is about to keep a program by itself.
    pub(crate) fn record(&self, name: &str, program: &Program) -> Result<(), CliError> {
        let path = self.pin(DIRECT, name)?;
        program.pin(&path).map_err(CliError::sys(format!("record that `{}` is attached", program.name())))
    }

    /// It does not: the attachment has a link.
    pub(crate) fn forget(&self, name: &str) -> Result<(), CliError> {
        unpin(&self.pin(DIRECT, name)?)?;
        // Only if it was the last.
        let _ = fs::remove_dir(self.dir.join(DIRECT));
        Ok(())
    }

    /// Takes programs away from the hooks that keep them.
    fn end_direct(&self) -> Vec<Result<(), CliError>> {
        let records = self.pins(DIRECT);
        let mut ids: Vec<u32> = Vec::new();
        let mut out = Vec::new();
        for (_, path) in &records {
            match Program::open_pin(path).and_then(|p| p.info()) {
                Ok(info) => ids.push(info.id),
                Err(e) => out.push(Err(CliError::sys(format!("open the program {}", path.display()))(e))),
            }
        }
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            let (_, problems) = inventory(&Scope::Everywhere).end_without_link(&ids);
            out.extend(problems.into_iter().map(|p| Err(CliError::Option(format!("{p}")))));
        }
        out.extend(records.iter().map(|(_, path)| unpin(path)));
        out
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
        removed.direct = self.pins(DIRECT).into_iter().map(|(name, _)| name).collect();
        self.end_direct().into_iter().for_each(&mut note);
        for (name, path) in self.pins(MAPS) {
            match unregister(&path) {
                Ok(true) => removed.links.push(name),
                other => note(other.map(drop)),
            }
        }
        for (part, names) in [(PROGS, &mut removed.programs), (MAPS, &mut removed.maps)] {
            for (name, path) in self.pins(part) {
                note(unpin(&path));
                names.push(name);
            }
        }
        for dir in [LINKS, DIRECT, PROGS, MAPS].map(|part| self.dir.join(part)).iter().chain([&self.dir]) {
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
    /// Attachments without links.
    pub(crate) direct: Vec<String>,
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

/// Unregisters the table in a pinned map, if it is one that was registered by writing it. True if it was.
fn unregister(pin: &Path) -> Result<bool, CliError> {
    let Some(map) = registered(pin) else { return Ok(false) };
    let doing = format!("unregister the functions of struct_ops map `{}`", map.name());
    struct_ops::unregister(&map).map_err(CliError::sys(doing))?;
    Ok(true)
}

/// The map behind a pin, if it is a table that is registered without a link.
pub(crate) fn registered(pin: &Path) -> Option<Map> {
    let map = Map::open_pin(pin).ok().filter(|m| m.info().map_type == MapType::StructOps)?;
    if map.info().flags & flags::LINK != 0 {
        return None;
    }
    let in_use = StructOps::try_from(map.clone()).ok()?.state().ok()? == StructOpsState::InUse;
    in_use.then_some(map)
}
