//! What numbers of the kernel are called: interfaces and cgroups.
//!
//! Neither needs a privilege. The id of a cgroup is the inode of its directory, so the tree of directories is the
//! table; it is walked only when a number comes that is not in it yet.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the tree of cgroups is walked at most.
const AGAIN: Duration = Duration::from_secs(1);
/// More cgroups than that are not remembered.
const MOST: usize = 100_000;

/// Names that were looked up.
pub(super) struct Names {
    root: PathBuf,
    cgroups: HashMap<u64, String>,
    walked: Option<Instant>,
    /// Interfaces are renamed and come anew: these are of one scrape.
    interfaces: HashMap<u32, String>,
}

impl Names {
    pub(super) fn new(root: PathBuf) -> Names {
        Names { root, cgroups: HashMap::new(), walked: None, interfaces: HashMap::new() }
    }

    /// A scrape begins.
    pub(super) fn begin(&mut self) {
        self.interfaces.clear();
    }

    /// The name of an interface of this network namespace; its number if there is none.
    pub(super) fn interface(&mut self, index: u32) -> String {
        let name = |index: &u32| {
            let name = nix::net::if_::if_indextoname(*index).ok();
            name.map_or_else(|| index.to_string(), |name| name.to_string_lossy().into_owned())
        };
        self.interfaces.entry(index).or_insert_with_key(name).clone()
    }

    /// The path of a cgroup, `/` for the root; its number if there is none.
    pub(super) fn cgroup(&mut self, id: u64) -> String {
        let may_walk = self.walked.is_none_or(|at| at.elapsed() >= AGAIN);
        if !self.cgroups.contains_key(&id) && may_walk {
            self.walk();
        }
        self.cgroups.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// Reads the tree anew. What has gone meanwhile keeps its name as long as there is room: maps speak of it still.
    fn walk(&mut self) {
        self.walked = Some(Instant::now());
        if self.cgroups.len() >= MOST {
            self.cgroups.clear();
        }
        let mut todo = vec![self.root.clone()];
        while let Some(dir) = todo.pop() {
            let Ok(meta) = fs::symlink_metadata(&dir) else { continue };
            if !meta.is_dir() || self.cgroups.len() >= MOST {
                continue;
            }
            let below = dir.strip_prefix(&self.root).unwrap_or(Path::new(""));
            self.cgroups.insert(meta.ino(), format!("/{}", below.display()));
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            todo.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
    }
}
