//! The offsets of contexts and headers against the C headers of this machine.

use rawbpf::insn::{Layout, layouts};
use std::process::Command;

/// Where each `struct` is declared, for those that the C headers of a distribution have.
const HEADERS: &str = "\
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
";

/// The fields that C names otherwise, or that are parts of one: checked by their neighbours.
const NOT_IN_C: &[&str] = &["iphdr.version_ihl", "ipv6hdr.flow", "tcphdr.doff", "tcphdr.flags"];

/// Structures that are in no C header of user space.
const NO_HEADER: &[&str] =
    &["vlan_hdr", "arphdr", "icmphdr", "pt_regs_x86_64", "pt_regs_arm64", "pt_regs_riscv64"];

#[test]
fn offsets_and_sizes_are_those_of_c() {
    crate::gate::require!(crate::gate::HOST);
    let dir = tempfile::tempdir().unwrap();
    let mut known = 0;
    for layout in layouts().filter(|l| !NO_HEADER.contains(&l.name)) {
        let in_c = |field: &str| !NOT_IN_C.contains(&&*format!("{}.{field}", layout.name));
        let checks: Vec<(String, String)> = layout
            .fields
            .iter()
            .filter(|f| in_c(f.0))
            .map(|(field, off, bytes)| {
                let size = format!("sizeof(((struct {} *)0)->{field})", layout.name);
                let place = format!("offsetof(struct {}, {field}) == {off}", layout.name);
                (
                    format!("_Static_assert({place} && {size} == {bytes}, \"\");\n"),
                    format!("int x = {size};\n"),
                )
            })
            .collect();
        let all: String = checks.iter().map(|(check, _)| check.as_str()).collect();
        match compiles(dir.path(), &all) {
            None => panic!("clang-19 is installed by `make deps`"),
            Some(true) => known += checks.len(),
            // A header that is older than a field does not know it; one that does must agree.
            Some(false) => {
                for (check, mention) in checks {
                    match compiles(dir.path(), &check) {
                        Some(true) => known += 1,
                        _ => assert_eq!(compiles(dir.path(), &mention), Some(false), "{check}"),
                    }
                }
            }
        }
    }
    println!("{known} fields agree");
    assert!(known > 150);
}

fn compiles(dir: &std::path::Path, code: &str) -> Option<bool> {
    let source = dir.join("a.c");
    std::fs::write(&source, format!("{HEADERS}{code}")).unwrap();
    let done = Command::new("clang-19").args(["-fsyntax-only", "-w"]).arg(&source).output().ok()?;
    Some(done.status.success())
}

#[test]
fn fields_lie_inside_and_do_not_overlap_by_mistake() {
    for Layout { name, bytes, fields } in layouts() {
        for (field, off, size) in *fields {
            assert!(*off as usize + size <= *bytes as usize, "{name}.{field}");
            assert!(*size > 8 || off % (*size as i16).min(2) == 0 || *size == 6, "{name}.{field}");
        }
    }
}
