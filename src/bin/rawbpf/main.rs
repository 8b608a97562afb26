//! The `rawbpf` command.
fn main() {}
