//! What must not compile: each file of tests/compile_fail/ is a program of safe Rust that would break a promise of the
//! library's, and beside it stands what the compiler says.
//!
//! `TRYBUILD=overwrite cargo test --all-features --test it compile_fail` writes the `.stderr` files; `git diff` shows
//! what changed. What the compiler says differs by its version, so the words are compared with the toolchain's that
//! wrote them alone; with another one it is enough that a file does not compile.

use std::path::Path;
use std::process::Command;

use crate::gate::{HOST, require};

/// The compiler whose words stand in the `.stderr` files.
const WORDS_OF: &str = "rustc 1.95.";

#[test]
fn what_must_not_compile() {
    require!(HOST);
    let rustc = Command::new("rustc").arg("--version").output().expect("rustc is there");
    let rustc = String::from_utf8_lossy(&rustc.stdout).into_owned();
    require!(
        HOST,
        rustc.starts_with(WORDS_OF).then_some(()).ok_or(format!("{rustc}: the words are of {WORDS_OF}"))
    );
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let count = std::fs::read_dir(dir)
        .expect("the folder")
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|x| x == "rs"))
        .count();
    assert!(count > 5, "{count} files");
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
