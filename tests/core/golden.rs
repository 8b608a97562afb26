//! Against libbpf: random pairs of types, random programs over them, and what libbpf makes of each.
//!
//! A file of `golden/core` has the C of a program and of a kernel, and libbpf 1.8-dev's outcome of each
//! relocation in the short form of this module, or `error` where libbpf refuses the program. The numbers are
//! libbpf's own: they were read from the instructions that it would have given to the kernel.

use super::{compile, kernel_of, outcome, plan};
use crate::gate::{HOST, require};
use rawbpf::bytes::Endian;
use rawbpf::elf::Object;
use std::path::Path;

/// The wrong outcomes of one file, and how many there are in all.
fn differences(path: &Path) -> (Vec<String>, usize) {
    let text = std::fs::read_to_string(path).expect("the file is there");
    let (head, rest) = text.split_once("\n=== program\n").expect("a head");
    let (program, rest) = rest.split_once("=== kernel\n").expect("a program");
    let (kernel, outcomes) = rest.split_once("=== outcomes\n").expect("a kernel and outcomes");
    let (target, cpu) = head.split_once(' ').expect("a target and a processor version");
    let endian = if target == "bpfeb" { Endian::Big } else { Endian::Little };
    let read =
        |source: &str| Object::parse("t", &compile(source, endian, cpu)).expect("clang's object is read");
    let (object, kernel) = (read(program), kernel_of(read(kernel).btf.expect("it has types")));
    let mut wrong = Vec::new();
    for line in outcomes.lines() {
        let (name, want) = line.split_once(':').expect("a program and its outcomes");
        let want = want.trim();
        let got = outcome(&object, name, &kernel);
        let same = match want {
            "error" => plan(&object, name, &kernel).is_err(),
            _ => got == want,
        };
        if !same {
            wrong.push(format!("{} {name}: {got}, where libbpf has {want}", path.display()));
        }
    }
    (wrong, outcomes.lines().count())
}

#[test]
fn libbpf_comes_to_the_same() {
    require!(HOST);
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/core");
    let files = std::fs::read_dir(dir).expect("the directory is there");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files {
        let (differ, of) = differences(&file.expect("an entry").path());
        wrong.extend(differ);
        count += of;
    }
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 600, "only {count} programs were compared");
}
