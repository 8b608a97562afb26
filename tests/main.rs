//! One integration binary: it runs as it is on this machine and in every guest kernel.

mod insn;
mod insn_forms;
mod insn_layout;
mod insn_llvm;
mod insn_macros;
mod insn_run;
mod insn_text;
