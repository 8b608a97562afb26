//! Against `bpftool btf dump`, line by line.

use super::{run, small, vmlinux, vmlinux_path};
use rawbpf::btf::Btf;
use std::fmt::Write;

fn dump(btf: &Btf) -> String {
    let mut out = String::new();
    for ty in btf.iter() {
        writeln!(out, "{}", btf.raw(ty.expect("every type can be read"))).expect("a String takes everything");
    }
    out
}

fn compare(ours: &str, theirs: &str) {
    for (nth, (a, b)) in ours.lines().zip(theirs.lines()).enumerate() {
        assert_eq!(a, b, "line {}", nth + 1);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[test]
fn vmlinux_reads_as_in_bpftool() {
    let Some(btf) = vmlinux() else { return };
    let Some(theirs) = run("bpftool", &["btf", "dump", "file", &vmlinux_path()]) else { return };
    compare(&dump(btf), &theirs);
}

#[test]
fn objects_of_both_byte_orders_read_as_in_bpftool() {
    let Some(both) = small() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    for btf in &both {
        let file = dir.path().join("btf");
        std::fs::write(&file, btf.bytes()).expect("the BTF is written");
        let Some(theirs) = run("bpftool", &["btf", "dump", "file", file.to_str().expect("a path")]) else {
            return;
        };
        compare(&dump(btf), &theirs);
    }
}
