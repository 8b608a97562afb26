//! Why the verifier refused a program, on one screen.
//!
//! Before the kernel runs a program it walks through it, branch by branch, and keeps for every register and every
//! eight bytes of the stack what it may hold: a pointer to a map's value, a number from 0 to 255, nothing yet. An
//! instruction that could do harm for any of those values ends the walk. What is left is a *log*: each instruction
//! on the way with what is known after it, and a last line that names the harm.
//!
//! ```text
//!   ; __u64 *count = bpf_map_lookup_elem(&counts, &key); @ count.bpf.c:11      a line of the source
//!   6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,ks=4,vs=8) an instruction, what it leaves
//!   ; *count += 1; @ count.bpf.c:13
//!   7: (79) r1 = *(u64 *)(r0 +0)                                                  where the walk ended
//!   R0 invalid mem access 'map_value_or_null'                                     why
//! ```
//!
//! The log is written for those who wrote the verifier: the fault is at its end, its cause somewhere above, and
//! the words are registers'. Here it is read, and told again in the terms of the program:
//!
//! ```text
//!   log ──line──► Line ──path──► Path: the way to the fault, with states ──┐
//!   program, line_info ──code──► CodeLines: instructions, source lines ────┼─diagnosis─► Diagnosis ─screen─► text
//!   rules: message ──► rule, advice, whose history to follow ──────────────┘    ▲
//!                                           trace: where that register's value comes from
//! ```
//!
//! * [`Line`] is one line of the log. Kernels from 5.10 to 7.3 write in their own ways (`inv` and `scalar`, states
//!   behind instructions or before them, 7.3's own explanation); a line that is none of the known is a message.
//! * [`Path`] is the way that the verifier took. At log level 1 the log is that way.
//! * [`RegValue`] is what a register holds, and prints it in plain words, the same for every kernel.
//! * [`RULES`] is a table: by which messages a rule is told, what it says, what usually mends it.
//! * [`Diagnosis`] joins them: the rule, the place, the instruction, the history of the value that matters.
//!   A message that no row knows still gets its place, its instruction and what its registers hold.
//! * [`Screen`] prints it as compilers print their errors.
//!
//! The source lines come from the program's `.BTF.ext`, so they are there without the file, and are those that
//! were compiled. The log itself is never hidden: whoever shows a screen says where the log is.

mod code;
mod diagnosis;
mod line;
mod path;
mod pattern;
mod phrases;
mod reason;
mod rules;
mod screen;
mod trace;
mod value;

pub use code::{CodeLines, LineAt};
pub use diagnosis::{CodePlace, Diagnosis, Happened};
pub use line::Line;
pub use path::{Path, PathStep};
pub use rules::{RULES, Rule};
pub use screen::Screen;
pub use trace::EventKind;
pub use value::{Range, RegState, RegValue, StateSlot};
