//! The network namespaces of the machine: those that processes and threads are in, and those that a file stands for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Problem, Scope};
use crate::links::netns::{self, NetNs, NetNsError, OpenNetNs};
use crate::sys::{Errno, SysError};

/// A network namespace that was visited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode number.
    pub inode: u64,
    /// Names, by the convention of `ip netns`.
    pub names: Vec<String>,
    /// Some process in it, the first that was found.
    pub process: Option<u32>,
    /// True for that of the caller.
    pub is_here: bool,
    /// A file that stands for it.
    pub path: PathBuf,
}

impl Namespace {
    /// What to call it: `here`, its name, a process in it, or its number.
    pub fn label(&self) -> String {
        match (self.names.first(), self.process) {
            _ if self.is_here => "here".into(),
            (Some(name), _) => name.clone(),
            (None, Some(pid)) => format!("of process {pid}"),
            (None, None) => self.inode.to_string(),
        }
    }

    /// Opens it. The file may stand for another by now: a process's number is used again, a thread moves.
    pub(super) fn open(&self) -> Result<OpenNetNs, NetNsError> {
        let open = NetNs::Path(self.path.clone()).open()?;
        if open.inode() == self.inode {
            return Ok(open);
        }
        let source = SysError::other("open of the same network namespace", Errno::ESTALE);
        Err(NetNsError::Open { path: self.path.clone(), source })
    }
}

/// The namespaces of a scope, that of the caller first.
pub(super) fn find(scope: &Scope, problems: &mut Vec<Problem>) -> Vec<Namespace> {
    let here = NetNs::Current.path();
    let mut found = BTreeMap::new();
    match scope {
        Scope::Here => note(&mut found, &here, problems),
        Scope::Of(list) => {
            for netns in list {
                note(&mut found, &netns.path(), problems);
            }
        }
        Scope::Everywhere => {
            note(&mut found, &here, problems);
            for path in mounted() {
                note(&mut found, &path, problems);
            }
            for path in processes() {
                // One that has ended since is no problem.
                if path.exists() {
                    note(&mut found, &path, problems);
                }
            }
        }
    }
    let own = fs::metadata(&here).map(|m| m.ino()).unwrap_or(0);
    for (name, path) in netns::names() {
        let inode = fs::metadata(path).map(|m| m.ino()).unwrap_or(0);
        if let Some(namespace) = found.get_mut(&inode) {
            namespace.names.push(name);
        }
    }
    let mut out: Vec<Namespace> = found.into_values().collect();
    for namespace in &mut out {
        namespace.is_here = namespace.inode == own;
    }
    out.sort_by_key(|n| !n.is_here);
    out
}

fn note(found: &mut BTreeMap<u64, Namespace>, path: &Path, problems: &mut Vec<Problem>) {
    match fs::metadata(path) {
        Err(e) => problems
            .push(Problem { what: format!("the network namespace {}", path.display()), why: e.to_string() }),
        Ok(meta) => {
            let process =
                path.strip_prefix("/proc").ok().and_then(|p| p.iter().next()?.to_str()?.parse().ok());
            let new = || Namespace {
                inode: meta.ino(),
                names: Vec::new(),
                process,
                is_here: false,
                path: path.to_path_buf(),
            };
            let namespace = found.entry(meta.ino()).or_insert_with(new);
            namespace.process = namespace.process.or(process);
        }
    }
}

/// Files that a namespace is mounted on, as `ip netns` and container engines do it.
fn mounted() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    let path = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        words.get(3)?.starts_with("net:[").then_some(())?;
        words.get(4).map(|p| PathBuf::from(p.replace("\\040", " ")))
    };
    mounts.lines().filter_map(path).collect()
}

/// The namespace of each process and thread. Threads that have moved are few, but XDP may be what they moved for.
fn processes() -> Vec<PathBuf> {
    let mut out = Vec::new();
    for process in super::processes::all().unwrap_or_default() {
        let base = PathBuf::from(format!("/proc/{process}"));
        out.push(base.join("ns/net"));
        let threads = fs::read_dir(base.join("task")).into_iter().flatten().flatten();
        let other = threads.filter(|t| t.file_name().to_string_lossy() != process.to_string());
        out.extend(other.map(|t| t.path().join("ns/net")));
    }
    out
}
