//! What is told by what happened before, not by its message: see `reason`; and what this kernel lacks.

use super::rule::Follow::{Nothing, Reg};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "packet-moved",
        messages: &[],
        title: "a pointer into the packet is used after a call that may have moved the packet",
        rule: "a helper that changes the packet makes all pointers into it unusable",
        help: &["read ctx->data and ctx->data_end again after the call, and compare them again"],
        follow: Reg,
    },
    Rule {
        id: "used-after-release",
        messages: &[],
        title: "{reg} is used after it was given back",
        rule: "what was released, submitted or discarded belongs to the kernel again",
        help: &["use it before the call that gives it back, and give it back once"],
        follow: Reg,
    },
    Rule {
        id: "pointer-cut",
        messages: &[],
        title: "half of a pointer is used as a pointer",
        rule: "only a copy of all 64 bits of a pointer is a pointer",
        help: &[
            "keep the pointer in a pointer type or a 64-bit integer; do not cast it to a 32-bit one (w-register)",
        ],
        follow: Reg,
    },
    Rule {
        id: "register-clobbered",
        messages: &[],
        title: "{reg} is read after a call, which makes it unreadable",
        rule: "a call leaves nothing in r1 to r5; r6 to r9 keep their values",
        help: &["copy the value to r6 .. r9 or to the stack before the call"],
        follow: Reg,
    },
    Rule {
        id: "no-result",
        messages: &[],
        title: "the program ends without a result in r0",
        rule: "r0 must be set on every path to an exit",
        help: &["return a value on every path"],
        follow: Nothing,
    },
    Rule {
        id: "kernel-lacks",
        messages: &[],
        title: "the program needs what this kernel does not have",
        rule: "what could not be resolved on this kernel may only stand in code that does not run on it",
        help: &[],
        follow: Nothing,
    },
    Rule {
        id: "helper-unknown",
        messages: &["invalid func unknown#{func}"],
        title: "the program calls a helper that this kernel does not have",
        rule: "a helper can be called only where the kernel has it",
        help: &[
            "ask for it first, with bpf_core_enum_value_exists(enum bpf_func_id, ...), or do without on this kernel",
        ],
        follow: Nothing,
    },
];
