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
// The objects read the registers of x86-64.
#[cfg(target_arch = "x86_64")]
mod live_tracing;
mod smoke;
#[cfg(target_arch = "x86_64")]
mod zz_lockdown;
