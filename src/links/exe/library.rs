//! From what a person calls a program or a library to its path.
//!
//! ```text
//!   /usr/bin/bash    the file itself; with a process, as that process sees it
//!   libc.so.6        what that process has mapped, or what the loader would take: $LD_LIBRARY_PATH,
//!                    /etc/ld.so.cache, then the usual directories
//!   libc             the same, whatever its version
//!   bash             a program in $PATH
//! ```

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::bytes::{Cursor, Endian, c_str};

/// Finds the file of a program or library, for a process or for anyone. `None` if there is none.
pub(super) fn find(name: &str, pid: Option<u32>) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(pid.and_then(|pid| seen_by(pid, Path::new(name))).unwrap_or_else(|| name.into()));
    }
    if let Some(mapped) = pid.and_then(|pid| mapped(pid, name)) {
        return Some(mapped);
    }
    let looks_like_library = name.ends_with(".so") || name.contains(".so.");
    if looks_like_library {
        return library(name);
    }
    program(name).or_else(|| name.starts_with("lib").then(|| library(name)).flatten())
}

/// The file as another process sees it, if its file system is another one than ours.
fn seen_by(pid: u32, path: &Path) -> Option<PathBuf> {
    let theirs = PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?);
    let (a, b) = (fs::metadata(&theirs).ok()?, fs::metadata(path).ok());
    let same = b.is_some_and(|b| (a.dev(), a.ino()) == (b.dev(), b.ino()));
    (!same).then_some(theirs)
}

/// A file that a process has mapped, by its name.
fn mapped(pid: u32, name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let paths = maps.lines().filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let found = paths
        .map(Path::new)
        .find(|path| path.file_name().is_some_and(|f| is_named(&f.to_string_lossy(), name)))?;
    seen_by(pid, found).or_else(|| Some(found.into()))
}

/// `libc.so.6` by itself, or as `libc` or `libc.so`.
fn is_named(file: &str, name: &str) -> bool {
    match file.strip_prefix(name) {
        Some("") => true,
        Some(rest) if name.contains(".so") => rest.starts_with('.'),
        Some(rest) => rest.starts_with(".so"),
        None => false,
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/bin", "/usr/sbin", "/bin", "/sbin"]).filter(|d| !d.is_empty());
    dirs.map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

fn library(name: &str) -> Option<PathBuf> {
    let path = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let first = path.split(':').filter(|d| !d.is_empty()).find_map(|dir| in_dir(Path::new(dir), name));
    first
        .or_else(|| cached(name))
        .or_else(|| usual_dirs().iter().find_map(|dir| in_dir(Path::new(dir), name)))
}

/// Where libraries are: on Debian below the name of the architecture.
fn usual_dirs() -> Vec<String> {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    ["/lib/", "/usr/lib/"]
        .iter()
        .map(|dir| format!("{dir}{triple}"))
        .chain(["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"].map(String::from))
        .collect()
}

fn in_dir(dir: &Path, name: &str) -> Option<PathBuf> {
    let exact = dir.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    let entries = fs::read_dir(dir).ok()?.flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
        .into_iter()
        .find(|file| is_named(file, name))
        .map(|file| dir.join(file))
        .filter(|path| path.is_file())
}

/// What the loader's cache says.
fn cached(name: &str) -> Option<PathBuf> {
    let bytes = fs::read("/etc/ld.so.cache").ok()?;
    let found = cache_entries(&bytes).into_iter().find(|(file, _)| is_named(file, name));
    found.map(|(_, path)| PathBuf::from(path)).filter(|path| path.is_file())
}

/// The libraries for this machine in a cache in glibc's format: file name and path.
///
/// A header of 48 bytes (a magic text, the number of entries), entries of 24 bytes (flags, where the name
/// is, where the path is, and which processors it is for), then the strings. An older table may precede it.
fn cache_entries(bytes: &[u8]) -> Vec<(String, String)> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    const HEADER: usize = 48;
    let start = bytes.windows(MAGIC.len()).position(|w| w == MAGIC);
    let Some(table) = start.and_then(|at| bytes.get(at..)) else { return Vec::new() };
    let Ok(count) = Cursor::new(table, Endian::NATIVE).at(MAGIC.len()).u32() else { return Vec::new() };
    let text = |at: u32| c_str(table, at as usize).map(|s| String::from_utf8_lossy(s).into_owned());
    let mut entries = Cursor::new(table, Endian::NATIVE).at(HEADER);
    let mut out = Vec::new();
    for _ in 0..count {
        let mut word = || entries.u32().ok();
        let (Some(flags), Some(name), Some(path)) = (word(), word(), word()) else { break };
        let _for_which = (word(), word(), word());
        if let (true, Some(name), Some(path)) = (is_native(flags), text(name), text(path)) {
            out.push((name, path));
        }
    }
    out
}

/// Whether an entry's flags say that the library is for programs like this one (`FLAG_*_LIB*` of glibc).
fn is_native(flags: u32) -> bool {
    const ELF_LIBC6: u32 = 3;
    let wanted = match std::env::consts::ARCH {
        "x86_64" => 0x0300,
        "s390x" => 0x0400,
        "powerpc64" => 0x0500,
        "aarch64" => 0x0a00,
        "riscv64" => 0x1000,
        _ => return flags & 0xff == ELF_LIBC6,
    };
    flags == ELF_LIBC6 | wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut out = b"glibc-ld.so.cache1.1".to_vec();
        out.extend((entries.len() as u32).to_ne_bytes());
        out.resize(48, 0);
        let mut strings = Vec::new();
        let base = 48 + entries.len() * 24;
        for (flags, name, path) in entries {
            let at = |s: &Vec<u8>| ((base + s.len()) as u32).to_ne_bytes();
            out.extend(flags.to_ne_bytes());
            for text in [name, path] {
                out.extend(at(&strings));
                strings.extend(text.bytes());
                strings.push(0);
            }
            out.extend([0; 12]);
        }
        out.extend(strings);
        out
    }

    #[test]
    fn the_cache_is_read_and_other_machines_are_left_out() {
        if std::env::consts::ARCH != "x86_64" {
            return;
        }
        let bytes =
            cache(&[(0x803, "libc.so.6", "/libx32/libc.so.6"), (0x303, "libc.so.6", "/lib/libc.so.6")]);
        assert_eq!(cache_entries(&bytes), [("libc.so.6".into(), "/lib/libc.so.6".into())]);
        for len in 0..bytes.len() {
            cache_entries(&bytes[..len]);
        }
    }

    #[test]
    fn names_of_libraries() {
        assert!(is_named("libc.so.6", "libc"));
        assert!(is_named("libc.so.6", "libc.so"));
        assert!(is_named("libc.so.6", "libc.so.6"));
        assert!(!is_named("libcap.so.2", "libc"));
        assert!(!is_named("libc.so.6.1", "libc.so.61"));
    }
}
