//! The names of links, programs and maps in every bpffs that is mounted here.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Problem;
use super::processes::id;
use crate::sys;

/// Names in a bpffs, by id.
#[derive(Debug, Default)]
pub struct Pins {
    /// Those of links.
    pub links: HashMap<u32, Vec<PathBuf>>,
    /// Those of programs.
    pub programs: HashMap<u32, Vec<PathBuf>>,
    /// Those of maps.
    pub maps: HashMap<u32, Vec<PathBuf>>,
}

/// The most files that are looked at.
const MOST: usize = 100_000;

/// Walks the bpffs mounts of this mount namespace. What could not be looked at is put on `problems`.
pub fn scan(problems: &mut Vec<Problem>) -> Pins {
    let mut out = Pins::default();
    let mut left = MOST;
    let roots = mounts().unwrap_or_else(|why| {
        let what = "the pins, as the mounts cannot be listed (/proc/thread-self/mounts)".into();
        problems.push(Problem { what, why: why.to_string() });
        Vec::new()
    });
    for root in roots {
        out.walk(root, &mut left, problems);
    }
    if left == 0 {
        problems.push(Problem { what: "all pins".into(), why: format!("there are more than {MOST}") });
    }
    out
}

fn mounts() -> io::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/thread-self/mounts")?;
    let path = |line: &str| {
        let mut words = line.split(' ');
        let path = words.nth(1)?.replace("\\040", " ");
        (words.next()? == "bpf").then(|| PathBuf::from(path))
    };
    let mut out: Vec<PathBuf> = text.lines().filter_map(path).collect();
    out.sort();
    out.dedup();
    Ok(out)
}

impl Pins {
    fn walk(&mut self, root: PathBuf, left: &mut usize, problems: &mut Vec<Problem>) {
        let mut todo = vec![root];
        while let Some(dir) = todo.pop() {
            let list = match fs::read_dir(&dir) {
                Ok(list) => list,
                Err(e) => {
                    problems
                        .push(Problem { what: format!("the pins in {}", dir.display()), why: e.to_string() });
                    continue;
                }
            };
            for entry in list.flatten() {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                    Ok(kind) if kind.is_file() => self.note(&entry.path()),
                    _ => {}
                }
            }
        }
    }

    /// Opens a pin to see what it is. Some cannot be opened (`maps.debug`); they are none of these.
    fn note(&mut self, path: &Path) {
        let Ok(fd) = sys::obj_get(path, 0) else { return };
        let info = format!("/proc/thread-self/fdinfo/{}", fd.as_raw_fd());
        if let Some(link) = id(&info, "link_id:") {
            self.links.entry(link).or_default().push(path.into());
        } else if let Some(program) = id(&info, "prog_id:") {
            self.programs.entry(program).or_default().push(path.into());
        } else if let Some(map) = id(&info, "map_id:") {
            self.maps.entry(map).or_default().push(path.into());
        }
    }
}
