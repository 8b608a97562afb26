//! The processes of the machine, and which of them holds which link, program and perf event: by `/proc/PID/fdinfo`.

use std::collections::HashMap;
use std::{fs, io};

use super::Problem;

/// A process that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The name of its executable, 15 letters at most.
    pub name: String,
}

/// Who holds what, by `/proc/PID/fd`.
#[derive(Debug, Default)]
pub struct Processes {
    /// By id of the link.
    pub links: HashMap<u32, Vec<Holder>>,
    /// By id of the program.
    pub programs: HashMap<u32, Vec<Holder>>,
    /// By id of the map.
    pub maps: HashMap<u32, Vec<Holder>>,
    /// By id of the BTF object.
    pub types: HashMap<u32, Vec<Holder>>,
    /// Perf events: who, and which descriptor.
    pub(super) perf_events: Vec<(Holder, u32)>,
}

/// The ids of all processes. There is at least one, this one, or /proc is not what it should be.
pub(super) fn all() -> io::Result<Vec<u32>> {
    let list = fs::read_dir("/proc")?.flatten();
    let all: Vec<u32> = list.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    if all.is_empty() { Err(io::Error::other("procfs is not mounted at /proc")) } else { Ok(all) }
}

/// Looks at the descriptors of all processes of this process namespace. What could not be looked at is put on
/// `problems`.
pub fn scan(problems: &mut Vec<Problem>) -> Processes {
    let mut out = Processes::default();
    let mut hidden = 0;
    let pids = all().unwrap_or_else(|why| {
        problems.push(Problem { what: "the processes".into(), why: why.to_string() });
        Vec::new()
    });
    for pid in pids {
        match fs::read_dir(format!("/proc/{pid}/fd")) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
            // It has ended.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => problems
                .push(Problem { what: format!("the descriptors of process {pid}"), why: e.to_string() }),
            Ok(list) => {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let holder = Holder { pid, name: name.trim_end().into() };
                for entry in list.flatten() {
                    let fd = entry.file_name().to_str().and_then(|name| name.parse().ok());
                    if let (Some(fd), Ok(target)) = (fd, fs::read_link(entry.path())) {
                        out.note(&holder, fd, &target.to_string_lossy());
                    }
                }
            }
        }
    }
    if hidden > 0 {
        problems.push(Problem {
            what: format!("the descriptors of {hidden} processes"),
            why: "not permitted (CAP_SYS_PTRACE)".into(),
        });
    }
    out
}

impl Processes {
    fn note(&mut self, holder: &Holder, fd: u32, target: &str) {
        let list = match target.strip_prefix("anon_inode:") {
            Some("[perf_event]") => return self.perf_events.push((holder.clone(), fd)),
            Some("bpf_link" | "bpf-link") => "link_id:",
            Some("bpf-prog") => "prog_id:",
            Some("bpf-map") => "map_id:",
            Some("btf") => "btf_id:",
            _ => return,
        };
        let Some(id) = id(&format!("/proc/{}/fdinfo/{fd}", holder.pid), list) else { return };
        let holders = match list {
            "link_id:" => self.links.entry(id).or_default(),
            "map_id:" => self.maps.entry(id).or_default(),
            "btf_id:" => self.types.entry(id).or_default(),
            _ => self.programs.entry(id).or_default(),
        };
        if !holders.contains(holder) {
            holders.push(holder.clone());
        }
    }
}

/// The number behind a word of a `fdinfo` file.
pub(super) fn id(path: &str, word: &str) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}
