//! From an object to running programs: decide first, act once.
//!
//! Loading an object takes many decisions: which maps to make, what every reference becomes, where the
//! fields of this kernel's structs are, which types the kernel would refuse. It also takes many actions,
//! each a `bpf(2)` call. Here the two never mix:
//!
//! ```text
//!   Object ──plan(&Kernel, &Options)──► Plan ──run──► Loaded
//!            pure: same input, same plan   │  the only code that acts; undoes all if a step fails
//!                                          └─ `rawbpf plan` prints it: every call before it happens
//! ```
//!
//! What a plan does to a program, in order:
//!
//! 1. `core`: CO-RE. An access to a kernel struct's field gets the field's offset on *this* kernel.
//! 2. `subprog`: the functions that a program calls are copied behind it, and calls get their distances.
//! 3. `reloc`: references to maps, globals, externs and functions become what the kernel wants there. What
//!    cannot be resolved becomes a call that cannot be made ("poison"): code that the verifier never
//!    reaches may contain it.
//! 4. File descriptors do not exist yet. Each slot that will hold one is listed in [`ProgPlan::patches`], and
//!    [`run`](Plan::run) writes them in.

mod code;
mod extern_types;
mod externs;
mod info;
mod jump_table;
mod load_error;
mod loaded;
mod map_plan;
mod options;
mod plan;
mod plan_error;
mod planner;
mod poison;
mod reloc;
mod relocate;
mod run;
mod sanitize;
mod struct_ops;
mod subprog;
mod target;
mod token;

pub use externs::ExternError;
pub use info::Records;
pub use jump_table::JumpTable;
pub use load_error::{LoadError, VerifierLog};
pub use loaded::Loaded;
pub use map_plan::MapPlan;
pub use options::{Options, ProgTarget};
pub use plan::{BtfPlan, FdOf, PartPlan, Patch, Plan, PlanStep, ProgPlan, SkippedProgram};
pub use plan_error::PlanError;
pub use poison::Poison;
pub use relocate::{CoreError, CoreFault, MinimalBtf, MinimalError, minimal_btf};
pub use struct_ops::{StructOpsError, StructOpsPlan};
pub use target::{AttachTarget, TargetError};
pub use token::TokenPlan;
