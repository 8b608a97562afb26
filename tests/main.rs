//! One integration binary: it runs as it is on this machine and in every guest kernel.

mod attr;
mod btf;
mod cli;
mod core;
mod elf;
mod gate;
mod harness;
mod insn;
mod insn_forms;
mod insn_layout;
mod insn_llvm;
mod insn_macros;
mod insn_run;
mod insn_text;
mod layers;
mod live_cause;
mod live_load;
mod live_maps;
mod live_net;
mod live_rejected;
mod live_tracing;
mod net;
mod plan;
mod smoke;
mod verifier_log;
mod zz_lockdown;
