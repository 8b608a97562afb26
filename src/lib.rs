//! The whole user side of eBPF, with nothing between it and the `bpf(2)` system call.

pub mod btf;
pub mod bytes;
pub mod elf;
pub mod insn;
pub mod kernel;
pub mod links;
pub mod loader;
pub mod maps;
pub mod progs;
pub mod sys;
pub mod uapi;
