//! The fuzzing targets (fuzz/) over their seeds, over what libFuzzer once found, and over seeds with a few bytes
//! changed: so every run on stable Rust repeats what fuzzing has taught.

use std::fs;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _};

#[allow(unreachable_pub, reason = "a library of its own elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// The files of a folder that end so, in order; none if there is no such folder.
fn files(dir: &str, end: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut out: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    out.retain(|path| path.to_string_lossy().ends_with(end));
    out.sort();
    out
}

/// A target's seeds: files, or one section of each object.
fn seeds(kind: &str) -> Vec<Vec<u8>> {
    let read = |path: PathBuf| fs::read(path).expect("it is there");
    if matches!(kind, ".o" | ".s") {
        return files("bpf", kind).into_iter().map(read).collect();
    }
    let section = |bytes: Vec<u8>| {
        let elf = object::File::parse(&*bytes).ok()?;
        Some(elf.section_by_name(kind)?.data().ok()?.to_vec())
    };
    files("bpf", ".o").into_iter().map(read).filter_map(section).collect()
}

#[test]
fn every_target_takes_its_seeds_and_what_was_found() {
    for (name, run, kind) in targets::TARGETS {
        let seeds = seeds(kind);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let found = files(&format!("fuzz/corpus/{name}"), "");
        seeds
            .into_iter()
            .chain(found.iter().map(|path| fs::read(path).expect("it is there")))
            .for_each(|s| run(&s));
    }
}

#[test]
fn every_target_takes_changed_seeds() {
    // Numbers that differ from run to run would make failures that cannot be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % below.max(1)
    };
    for (_, run, kind) in targets::TARGETS {
        let seeds = seeds(kind);
        for _ in 0..60 {
            let mut bytes = seeds[random(seeds.len())].clone();
            for _ in 0..1 + random(8) {
                let at = random(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random(256) as u8][random(6)];
            }
            bytes.truncate(bytes.len() - random(2) * random(bytes.len() / 2));
            run(&bytes);
        }
    }
}
