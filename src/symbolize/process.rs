//! Addresses of a process.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Frame;
use super::elf::ElfSymbols;
use crate::maps::BuildIdFrame;

/// A process whose memory cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read /proc/{pid}/maps, which says what is where in process {pid}")]
pub struct SymbolizeError {
    /// The process.
    pub pid: u32,
    /// Why not.
    pub source: io::Error,
}

/// One line of `/proc/PID/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Region {
    start: u64,
    end: u64,
    /// Offset of `start` in the file.
    offset: u64,
    /// As the process sees it, or `[vdso]` and its kin, or nothing.
    path: String,
}

/// What is where in a process, as it was when this was made. Files are read when an address in them is asked for.
#[derive(Debug)]
pub struct ProcessSymbols {
    pid: u32,
    regions: Vec<Region>,
    files: HashMap<String, ElfSymbols>,
    /// Functions that a run-time compiler wrote into `/tmp/perf-PID.map`: address, length, name.
    compiled: Vec<(u64, u64, String)>,
}

impl ProcessSymbols {
    /// Looks at a process. Needs to be root, or its user.
    ///
    /// # Errors
    /// There is no such process, or it may not be looked at.
    pub fn of(pid: u32) -> Result<ProcessSymbols, SymbolizeError> {
        let text = fs::read_to_string(format!("/proc/{pid}/maps"))
            .map_err(|source| SymbolizeError { pid, source })?;
        let regions = text.lines().filter_map(region).collect();
        let compiled = fs::read_to_string(format!("/proc/{pid}/root/tmp/perf-{pid}.map")).unwrap_or_default();
        let mut compiled: Vec<_> = compiled.lines().filter_map(compiled_function).collect();
        compiled.sort();
        Ok(ProcessSymbols { pid, regions, files: HashMap::new(), compiled })
    }

    /// What is at an address.
    pub fn frame(&mut self, address: u64) -> Frame {
        let inside = |r: &&Region| (r.start..r.end).contains(&address);
        let Some(region) = self.regions.iter().find(inside).cloned() else { return Frame::unknown(address) };
        if !region.path.starts_with('/') {
            let symbol = self.compiled_at(address);
            let name = if region.path.is_empty() { "[anonymous]" } else { &region.path };
            let file = Some((name.to_string(), address.saturating_sub(region.start)));
            return Frame { address, symbol, file };
        }
        let offset = address.saturating_sub(region.start).saturating_add(region.offset);
        let symbol = self.file(&region).at(offset);
        Frame { address, symbol, file: Some((short(&region.path), offset)) }
    }

    /// What is at an offset of the file with this build id, if the process has that file mapped.
    pub fn build_id_frame(&mut self, frame: &BuildIdFrame) -> Frame {
        let mut regions = self.regions.clone();
        regions.retain(|r| r.path.starts_with('/'));
        regions.dedup_by(|a, b| a.path == b.path);
        for region in regions {
            let symbols = self.file(&region);
            let id = &symbols.build_id;
            if !id.is_empty() && frame.build_id.starts_with(id.get(..20).unwrap_or(id)) {
                let symbol = symbols.at(frame.at);
                return Frame { address: frame.at, symbol, file: Some((short(&region.path), frame.at)) };
            }
        }
        let id: String = frame.build_id.iter().map(|b| format!("{b:02x}")).collect();
        Frame { address: frame.at, symbol: None, file: Some((format!("build-id:{id}"), frame.at)) }
    }

    fn file(&mut self, region: &Region) -> &ElfSymbols {
        let pid = self.pid;
        self.files.entry(region.path.clone()).or_insert_with(|| ElfSymbols::read(&reachable(pid, region)))
    }

    fn compiled_at(&self, address: u64) -> Option<(String, u64)> {
        let after = self.compiled.partition_point(|(at, ..)| *at <= address);
        let (start, len, name) = self.compiled.get(after.checked_sub(1)?)?;
        let into = address.checked_sub(*start)?;
        (into < *len).then(|| (name.clone(), into))
    }
}

/// The file as this process can reach it: through the other's root directory, or, if it was deleted, through its
/// mapping.
fn reachable(pid: u32, region: &Region) -> PathBuf {
    let direct = PathBuf::from(format!("/proc/{pid}/root{}", region.path));
    match direct.exists() {
        true => direct,
        false => PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", region.start, region.end)),
    }
}

fn short(path: &str) -> String {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    Path::new(path).file_name().map_or_else(|| path.to_string(), |name| name.to_string_lossy().into_owned())
}

/// `7f30c1990000-7f30c1b15000 r-xp 00026000 fd:01 1234   /usr/lib/libc.so.6`
fn region(line: &str) -> Option<Region> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let mut words = rest.split_whitespace();
    let offset = words.nth(1)?;
    // After the device and the inode; it may have blanks in it.
    words.nth(1)?;
    let path =
        words.next().and_then(|first| rest.find(first).and_then(|at| rest.get(at..))).unwrap_or_default();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    Some(Region {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        path: path.trim_end().to_string(),
    })
}

/// `7f0010 2c name`
fn compiled_function(line: &str) -> Option<(u64, u64, String)> {
    let mut words = line.splitn(3, ' ');
    let mut hex = || u64::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok();
    let (start, len) = (hex()?, hex()?);
    Some((start, len, words.next()?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let r = region(
            "7f30c1990000-7f30c1b15000 r-xp 00026000 fd:01 1234                   /usr/lib/a b.so (deleted)",
        );
        let r = r.expect("a region");
        assert_eq!((r.start, r.end, r.offset), (0x7f30_c199_0000, 0x7f30_c1b1_5000, 0x26000));
        assert_eq!((r.path.as_str(), short(&r.path).as_str()), ("/usr/lib/a b.so (deleted)", "a b.so"));
        assert_eq!(region("00400000-00401000 rw-p 00000000 00:00 0 ").map(|r| r.path), Some(String::new()));
        assert_eq!(region("7ffe-7fff r-xp 00000000 00:00 0 [vdso]").map(|r| r.path), Some("[vdso]".into()));
        assert_eq!(region("rubbish"), None);
        assert_eq!(
            compiled_function("7f0010 2c Foo::bar baz"),
            Some((0x7f0010, 0x2c, "Foo::bar baz".into()))
        );
    }
}
