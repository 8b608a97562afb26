//! One integration binary: it runs as it is on this machine and in every guest kernel.

mod btf;
mod gate;
mod harness;
mod insn;
mod insn_forms;
mod insn_layout;
mod insn_llvm;
mod insn_run;
mod insn_text;
mod live_maps;
mod smoke;
