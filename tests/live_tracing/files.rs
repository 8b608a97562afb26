//! Finding functions in files of this machine: by library name, by version, stripped, and without a base.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::gate::{HOST, ROOT, UPROBE, require};

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn libraries_by_name_and_functions_by_version() {
    require!(HOST);
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("uprobe", &["anywhere"]).expect("it loads");
        let at = |hook: &str| attach(&loaded, "anywhere", hook);
        drop(require!(UPROBE, at("uprobe/libc.so.6:getpgid")));
        drop(at("uprobe/libc:getpgid").expect("whatever its version"));
        // A static test binary does not use it; another program does.
        let link = at("uprobe/libc.so.6:getenv").expect("it attaches");
        run("ls", &["/"]);
        assert!(seen(&loaded, 4) > 0);
        drop(link);
        let old = at("uprobe/libc.so.6:memcpy@GLIBC_2.2.5").expect("the older one");
        let new = at("uprobe/libc.so.6:memcpy@@GLIBC_2.14").expect("the newer one");
        let note = "memcpy@@GLIBC_2.14 is chosen when the program starts: attached to the function that chooses, not to the chosen one";
        assert_eq!(new.note(), Some(note));
        drop((old, new));
        // Without a version it is that which programs of today call.
        let any = at("uprobe/libc.so.6:memcpy").expect("whatever its version");
        assert!(any.note().is_some_and(|n| n.starts_with("memcpy is chosen when the program starts")));
        drop(any);
        let e = at("uprobe/libc.so.6:memcpy@GLIBC_9").expect_err("no such version").to_string();
        assert!(e.contains("there is no function `memcpy@GLIBC_9` in /"), "{e}");
        drop(at("uprobe/bash:main").or_else(|_| at("uprobe/bash:readline")).expect("a program in $PATH"));
    });
}

const SOURCE: &str = "#include <stdio.h>\n__attribute__((noinline)) static int hidden_function(int a) { __asm__ volatile(\"\"); return a + 1; }\nint main(int argc, char **argv) { return hidden_function(argc) - 2; }\n";

#[test]
fn the_compressed_symbols_of_a_stripped_program() {
    require!(HOST);
    require!(ROOT);
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("a.c"), SOURCE).expect("it is written");
    for (name, kind) in [("pie", "-pie"), ("no_pie", "-no-pie"), ("static", "-static")] {
        let (exe, symbols) = (path(name), path("symbols"));
        run("gcc", &["-O1", "-fno-ipa-cp", kind, "-o", &exe, &path("a.c")]);
        run("objcopy", &["--only-keep-debug", &exe, &symbols]);
        run("strip", &[&exe]);
        leaves_nothing(|| {
            let loaded = load("uprobe", &["anywhere"]).expect("it loads");
            let hook = format!("uprobe/{exe}:hidden_function");
            let stripped = attach(&loaded, "anywhere", &hook).expect_err("the name is gone").to_string();
            assert!(stripped.contains("there is no function `hidden_function`"), "{stripped}");
            run("xz", &["-f", "-k", &symbols]);
            run("objcopy", &["--add-section", &format!(".gnu_debugdata={symbols}.xz"), &exe]);
            let link = require!(UPROBE, attach(&loaded, "anywhere", &hook));
            run(&exe, &[]);
            assert_eq!(seen(&loaded, 4), 1, "{name}");
            drop(link);
        });
    }
}

#[test]
fn a_damaged_file_is_an_error_and_no_more() {
    require!(ROOT);
    let loaded = load("uprobe", &["anywhere"]).expect("it loads");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("damaged");
    let whole = fs::read(env!("CARGO_BIN_EXE_rawbpf")).expect("it is read");
    let whole = &whole[..whole.len().min(1 << 16)];
    let mut cut: Vec<usize> = (0..200).chain([1000, 4096, 65535]).collect();
    cut.retain(|&n| n < whole.len());
    for n in cut {
        fs::write(&file, &whole[..n]).expect("it is written");
        let hook = format!("uprobe/{}:main", file.display());
        let e = attach(&loaded, "anywhere", &hook).expect_err("it is cut short").to_string();
        assert!(e.starts_with("cannot attach `anywhere` to uprobe/"), "{n}: {e}");
    }
    // Every byte of the header as it must not be.
    for n in 0..64 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[n] = value;
            fs::write(&file, &bytes).expect("it is written");
            drop(attach(&loaded, "anywhere", &format!("uprobe/{}:no_such", file.display())));
        }
    }
    assert!(Path::new(&file).exists());
}
