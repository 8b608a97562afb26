//! The ledger of the kernels: what the guests' raw output becomes (tests/kernels/ledger.awk and table.awk).
//!
//! The one mistake that must not happen here is a test that did not run and counts as a pass.

use std::fs;
use std::process::Command;

use crate::gate::{HOST, require};

/// The rows `test kernel status feature reason` that the ledger makes of these guests' outputs.
fn ledger(guests: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory for the outputs");
    let mut awk = Command::new("awk");
    awk.arg("-f").arg(script("ledger.awk"));
    for (kernel, output) in guests {
        let path = dir.path().join(kernel);
        fs::write(&path, output).expect("the output is written");
        awk.arg(format!("kernel={kernel}")).arg(path);
    }
    lines(awk)
}

fn script(name: &str) -> String {
    format!("{}/tests/kernels/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn lines(mut command: Command) -> Vec<String> {
    let out = command.output().expect("awk runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).lines().map(String::from).collect()
}

const NAMES: &str = "@@name\ta::one: test\n@@name\tb::two: test\n@@name\t\n@@name\t2 tests, 0 benchmarks\n";

#[test]
fn what_libtest_says_is_the_verdict() {
    require!(HOST);
    let output = format!("{NAMES}\nrunning 2 tests\ntest a::one ... ok\ntest b::two ... FAILED\n");
    assert_eq!(ledger(&[("6.1", &output)]), ["a::one\t6.1\tpass\t\t", "b::two\t6.1\tfail\t\t"]);
}

#[test]
fn a_skip_is_not_a_pass() {
    require!(HOST);
    let output = format!(
        "{NAMES}test a::one ... ok\ntest b::two ... ok\n@@ledger\tskip\tb::two\tarena\tInvalid argument\n@@ledger\tanswer\ta::one\tx\ty\n"
    );
    assert_eq!(
        ledger(&[("6.1", &output)]),
        ["a::one\t6.1\tpass\t\t", "b::two\t6.1\tskip\tarena\tInvalid argument"]
    );
}

#[test]
fn a_failure_after_a_skip_stays_a_failure() {
    require!(HOST);
    let output =
        format!("{NAMES}test a::one ... ok\ntest b::two ... FAILED\n@@ledger\tskip\tb::two\tarena\tno\n");
    assert_eq!(ledger(&[("6.1", &output)])[1], "b::two\t6.1\tfail\t\t");
}

#[test]
fn a_guest_that_dies_leaves_failures() {
    require!(HOST);
    let output = format!("{NAMES}test a::one ... some words of the test's");
    assert_eq!(
        ledger(&[("6.1", &output)]),
        [
            "a::one\t6.1\tfail\t\tthe guest died or was stopped in this test",
            "b::two\t6.1\tfail\t\tdid not run: the guest had died"
        ]
    );
}

#[test]
fn a_guest_without_output_misses_what_another_has() {
    require!(HOST);
    let good = format!("{NAMES}test a::one ... ok\ntest b::two ... ok\n");
    let rows = ledger(&[("5.10", ""), ("6.1", &good)]);
    assert_eq!(rows[0], "a::one\t5.10\tfail\t\tdid not run: the guest had died");
    assert_eq!(rows[1], "a::one\t6.1\tpass\t\t");
}

#[test]
fn words_of_a_test_between_the_dots_and_the_verdict_do_no_harm() {
    require!(HOST);
    let output =
        format!("{NAMES}test a::one ... look\nat the book\nmore\nok\ntest b::two - should panic ... ok\n");
    assert_eq!(ledger(&[("6.1", &output)]), ["a::one\t6.1\tpass\t\t", "b::two\t6.1\tpass\t\t"]);
}

#[test]
fn a_test_of_the_host_is_no_kernels_matter() {
    require!(HOST);
    let output = format!(
        "{NAMES}test a::one ... ok\ntest b::two ... ignored, slow\n@@ledger\tskip\ta::one\thost\trun make test\n"
    );
    assert_eq!(
        ledger(&[("6.1", &output)]),
        ["a::one\t6.1\thost\thost\trun make test", "b::two\t6.1\tignored\t\t"]
    );
}

#[test]
fn the_brief_table_names_what_no_kernel_passed() {
    require!(HOST);
    let dir = tempfile::tempdir().expect("a directory");
    let rows = dir.path().join("rows");
    fs::write(
        &rows,
        "a\t5.10\tpass\t\t\na\t6.1\tpass\t\t\nb\t5.10\tskip\tarena\tno\nb\t6.1\tskip\tarena\tno\n",
    )
    .expect("the rows are written");
    let mut awk = Command::new("awk");
    awk.args(["-v", "brief=1", "-f"]).arg(script("table.awk")).arg(rows);
    let text = lines(awk).join("\n");
    for want in [
        "| test | 5.10 | 6.1 |",
        "| b | skip: arena | skip: arena |",
        "1 tests passed on every one",
        "* skip: arena: no (5.10 6.1)",
        "Passed on none of these kernels:\n\n* b",
    ] {
        assert!(text.contains(want), "no {want:?} in\n{text}");
    }
    assert!(!text.contains("| a |"), "{text}");
}
