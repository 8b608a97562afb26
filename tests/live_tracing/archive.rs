//! Libraries that lie in an archive: by function, by pattern, and by an offset alone, for which libbpf goes looking for a
//! file with the name of the entry.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::gate::{HOST, ROOT, UPROBE, UPROBE_MULTI, require};
use rawbpf::links::probes;

#[path = "../../benches/executable.rs"]
#[allow(dead_code)]
mod executable;

/// An entry of an archive.
struct Entry<'a> {
    name: &'a str,
    bytes: &'a [u8],
    method: u16,
    flags: u16,
}

/// A ZIP file with these entries, each from a page on, and a comment. Returns where each begins, too.
fn archive(entries: &[Entry<'_>]) -> (Vec<u8>, Vec<u64>) {
    let (mut out, mut directory, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for Entry { name, bytes, method, flags } in entries {
        let header = out.len() as u32;
        let padding = (out.len() + 30 + name.len()).next_multiple_of(4096) - (out.len() + 30 + name.len());
        let size = (bytes.len() as u32).to_le_bytes();
        let common = [&flags.to_le_bytes()[..], &method.to_le_bytes(), &[0; 8], &size, &size].concat();
        let name_len = (name.len() as u16).to_le_bytes();
        out.extend([b"PK\x03\x04\x14\0", &common[..], &name_len, &(padding as u16).to_le_bytes()].concat());
        out.extend([name.as_bytes(), &vec![0; padding]].concat());
        starts.push(out.len() as u64);
        out.extend(*bytes);
        directory.extend([b"PK\x01\x02\x14\0\x14\0", &common[..], &name_len, &[0; 12]].concat());
        directory.extend([&header.to_le_bytes()[..], name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let at = (out.len() as u32).to_le_bytes();
    let len = (directory.len() as u32).to_le_bytes();
    out.extend(directory);
    out.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &len, &at, b"\x07\0comment"].concat());
    (out, starts)
}

/// What is said of the functions in an entry of the archive.
fn functions(archive: &Path, entry: &str) -> Result<Vec<(String, u64)>, String> {
    let file = probes::find_executable(&format!("{}!/{entry}", archive.display())).ok_or("not found")?;
    let (functions, _) = probes::user_probes(&file, "*")?;
    Ok(functions.into_iter().map(|f| (f.name, f.offset)).collect())
}

#[test]
fn functions_lie_behind_the_archives_own_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (exe, zip) = (dir.path().join("exe"), dir.path().join("a.apk"));
    executable::write(&exe, 2).expect("it is written");
    let bytes = fs::read(&exe).expect("it is read");
    let stored = |name| Entry { name, bytes: &bytes, method: 0, flags: 0 };
    let (whole, starts) = archive(&[
        Entry { name: "classes.dex", bytes: b"dex", method: 0, flags: 0 },
        stored("lib/x86_64/libapp.so"),
        Entry { method: 8, ..stored("lib/packed.so") },
        Entry { flags: 1, ..stored("lib/secret.so") },
    ]);
    fs::write(&zip, &whole).expect("it is written");
    let code = starts[1] + 0x1000;
    let names = [0, 1].map(executable::name);
    assert_eq!(
        functions(&zip, "lib/x86_64/libapp.so"),
        Ok(vec![(names[0].clone(), code), (names[1].clone(), code + 8)])
    );
    let refused = |entry| functions(&zip, entry).expect_err(entry);
    assert_eq!(refused("lib/none.so"), "has no entry `lib/none.so`");
    assert!(refused("lib/packed.so").ends_with(
        "`lib/packed.so` in it is compressed; code is run from an archive only where it is stored as it is"
    ));
    assert!(refused("lib/secret.so").ends_with("is encrypted"));
    assert_eq!(refused("classes.dex"), "is no ELF file, so it has no functions to probe");
    assert_eq!(functions(&exe, "x"), Err("is no archive: it does not end as ZIP files do".into()));
    // Cut off anywhere, and with any byte of its last part changed: an error or an answer, never a panic.
    let small = archive(&[Entry { name: "x", bytes: b"\x7fELF", method: 0, flags: 0 }]).0;
    for n in (0..small.len()).step_by(if small.len() > 8192 { 97 } else { 31 }) {
        fs::write(&zip, &small[..n]).expect("it is written");
        functions(&zip, "x").expect_err("it is cut off");
    }
    for n in small.len() - 90..small.len() {
        let mut bytes = small.clone();
        bytes[n] = 0xff;
        fs::write(&zip, &bytes).expect("it is written");
        functions(&zip, "x").expect_err("there is no code in it");
    }
}

/// Maps part of a file as code, and calls what is there.
const RUNNER: &str = r#"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
    long at = atol(argv[2]), function = atol(argv[3]);
    char *code = mmap(0, 0x4000, PROT_READ | PROT_EXEC, MAP_PRIVATE, open(argv[1], O_RDONLY), at);
    return ((int (*)(int))(code + function))(14) != 42;
}
"#;

#[test]
fn a_function_in_an_archive_is_probed() {
    require!(HOST);
    require!(ROOT);
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("run.c"), RUNNER).expect("it is written");
    fs::write(path("lib.c"), "int times_three(int a) { return a * 3; }").expect("it is written");
    for args in
        [&["-o", &path("run"), &path("run.c")][..], &["-shared", "-o", &path("lib.so"), &path("lib.c")]]
    {
        assert!(Command::new("gcc").args(["-O1", "-w"]).args(args).status().expect("gcc").success());
    }
    let library = fs::read(path("lib.so")).expect("it is read");
    let (_, plain) = probes::user_probes(Path::new(&path("lib.so")), "times_three")
        .map(|(functions, _)| (functions.len(), functions[0].offset))
        .expect("it is there");
    let (zip, starts) = archive(&[
        Entry { name: "assets/a.txt", bytes: b"text", method: 0, flags: 0 },
        Entry { name: "lib/lib.so", bytes: &library, method: 0, flags: 0 },
    ]);
    fs::write(path("a.apk"), zip).expect("it is written");
    let runs = || {
        let args = [path("a.apk"), starts[1].to_string(), plain.to_string()];
        assert!(Command::new(path("run")).args(args).status().expect("it runs").success());
    };
    leaves_nothing(|| {
        let loaded = load("uprobe", &["anywhere"]).expect("it loads");
        let inside = path("a.apk!/lib/lib.so");
        let mut hooks = vec![format!("uprobe/{inside}:times_three"), format!("uprobe/{inside}:{plain:#x}")];
        let mut count = 0;
        for hook in hooks.drain(..) {
            let link = require!(UPROBE, attach(&loaded, "anywhere", &hook));
            runs();
            count += 1;
            assert_eq!(seen(&loaded, 4), count, "{hook}");
            drop(link);
        }
        let loaded = load("uprobe_multi", &["entries"]).expect("it loads");
        let link =
            require!(UPROBE_MULTI, attach(&loaded, "entries", &format!("uprobe.multi/{inside}:times_*")));
        drop(link);
    });
}
