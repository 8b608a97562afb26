//! One integration binary: it runs as it is on this machine and in every guest kernel.

mod btf;
mod core;
mod gate;
mod harness;
mod smoke;
mod insn;
mod insn_forms;
mod insn_llvm;
mod insn_run;
