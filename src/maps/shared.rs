//! Maps that other processes can open by a path while this one runs, and not longer.
//!
//! A pin keeps a map alive when its process ends. That is what `rawbpf load` wants; a tool that runs until Ctrl-C
//! wants its maps to be readable by others while it runs, and nothing to be left afterwards. A [`SharedMaps`] is a directory
//! of pins in the place and the order in which `rawbpf` keeps what it has loaded:
//!
//! ```text
//!   /sys/fs/bpf/rawbpf/NAME/maps/MAP       locked while the value lives, removed with it
//! ```
//!
//! So `rawbpf map` finds the maps by their full names, too. A process that is killed cannot remove its pins, but it
//! lets go of the lock: the next one that takes the same name knows by this that they are left over, and clears them.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::statfs;

use super::{Map, MapError};

const BPFFS: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC`
const MAGIC: u64 = 0xcafe_4a11;
/// Where `rawbpf` keeps what it has loaded.
const ROOT: &str = "/sys/fs/bpf/rawbpf";

/// `S_ISVTX`: marks a directory of shared maps. What `rawbpf load` makes does not have it.
const MARK: u32 = 0o1000;

/// A directory of pinned maps that ends with this value.
///
/// ```no_run
/// use rawbpf::maps::{Map, SharedMaps};
/// # fn map() -> Map { unreachable!() }
/// let shared = SharedMaps::take("my_tool")?;
/// println!("rawbpf map dump {}", shared.pin(&map())?.display());
/// // In another process, as long as this one runs:
/// let counts = SharedMaps::open("my_tool", "counts")?;
/// # Ok::<(), rawbpf::maps::MapError>(())
/// ```
#[derive(Debug)]
#[doc(alias = "Shelf")]
pub struct SharedMaps {
    dir: PathBuf,
    // Let go of after `drop` has removed the directory.
    lock: Flock<File>,
}

impl SharedMaps {
    /// Takes a name. Needs a bpffs at /sys/fs/bpf (Linux 4.4) and the right to write there.
    ///
    /// # Errors
    /// [`MapError::Taken`] if another process has the name, or an object is loaded under it; [`MapError::Shared`] if
    /// there is no bpffs, or the directory cannot be made.
    pub fn take(name: &str) -> Result<SharedMaps, MapError> {
        let dir = dir(name)?;
        let fail = |doing| failed(doing, &dir);
        if !statfs(BPFFS).is_ok_and(|s| s.filesystem_type().0 as u64 & 0xffff_ffff == MAGIC) {
            let none = "no bpffs is mounted there; mount one: mount -t bpf bpf /sys/fs/bpf";
            let none = io::Error::new(ErrorKind::Unsupported, none);
            return Err(failed("pin maps in", Path::new(BPFFS))(none));
        }
        let taken = |by| MapError::Taken { name: name.into(), path: dir.clone(), by };
        let _root = lock_root().map_err(failed("lock the directory", Path::new(ROOT)))?;
        make_dir(&dir, 0o700 | MARK).map_err(fail("make the directory"))?;
        let open = File::open(&dir).map_err(fail("open the directory"))?;
        let marked = open.metadata().map_err(fail("look at the directory"))?.mode() & MARK != 0;
        let Ok(lock) = Flock::lock(open, FlockArg::LockExclusiveNonblock) else {
            return Err(taken("a process that is running"));
        };
        // An object that was loaded has no lock either: only what shared maps left may be cleared.
        if !marked {
            return Err(taken("a loaded object"));
        }
        clear(&dir).map_err(fail("clear the directory"))?;
        Ok(SharedMaps { dir, lock })
    }

    /// Pins a map under its own name; others can open it by the path.
    ///
    /// # Errors
    /// The map cannot be pinned: two maps have the same name, or the name has a dot in it (`EPERM`).
    pub fn pin(&self, map: &Map) -> Result<PathBuf, MapError> {
        let maps = self.dir.join("maps");
        make_dir(&maps, 0o700).map_err(failed("make the directory", &maps))?;
        let path = maps.join(map.name());
        map.pin(&path).map_err(MapError::sys(map, "pin"))?;
        Ok(path)
    }

    /// Opens a map that another process shares.
    ///
    /// # Errors
    /// [`MapError::Shared`] if nothing is shared under the name, or no such map.
    pub fn open(name: &str, map: &str) -> Result<Map, MapError> {
        let path = dir(name)?.join("maps").join(map);
        Map::open_pin(&path)
            .map_err(|e| failed("open the map", &path)(io::Error::from_raw_os_error(e.errno.0)))
    }
}

impl Drop for SharedMaps {
    fn drop(&mut self) {
        let _root = lock_root();
        // The name may be another's by now, if somebody unloaded this one.
        let inode = |at: io::Result<fs::Metadata>| at.map(|m| m.ino()).ok();
        if inode(self.lock.metadata()) == inode(fs::metadata(&self.dir)) {
            let _ = clear(&self.dir);
            let _ = fs::remove_dir(&self.dir);
        }
        // The last one out removes the common directory; while there are others it is not empty.
        let _ = fs::remove_dir(ROOT);
    }
}

fn dir(name: &str) -> Result<PathBuf, MapError> {
    let dir = Path::new(ROOT).join(name);
    if name.is_empty() || name.contains(['.', '/', '\0', '~']) || name.len() > 200 {
        let problem = io::Error::new(ErrorKind::InvalidInput, "no name may have a dot, a slash or `~` in it");
        return Err(failed("make the directory", &dir)(problem));
    }
    Ok(dir)
}

/// Keeps whoever else makes or removes directories there out as long as it lives: other shelves, and `rawbpf`.
fn lock_root() -> io::Result<Flock<File>> {
    loop {
        make_dir(Path::new(ROOT), 0o700)?;
        let root = match File::open(ROOT) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        let inode = root.metadata()?.ino();
        let lock = Flock::lock(root, FlockArg::LockExclusive).map_err(|(_, e)| io::Error::from(e))?;
        // Who had it before may have removed the directory.
        if fs::metadata(ROOT).is_ok_and(|now| now.ino() == inode) {
            return Ok(lock);
        }
    }
}

/// Removes the pins.
fn clear(dir: &Path) -> io::Result<()> {
    let maps = dir.join("maps");
    match fs::read_dir(&maps) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?.into_iter().try_for_each(|entry| fs::remove_file(entry?.path()))?,
    }
    fs::remove_dir(&maps)
}

/// Makes a directory that may exist already.
fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MapError {
    let path = path.to_path_buf();
    move |source| MapError::Shared { doing, path, source }
}
