//! The flow of the program: jumps, exits, recursion, loops, size.

use super::rule::Follow::{Loop, Nothing};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "unreachable",
        messages: &["unreachable insn {insn}"],
        title: "no path leads to this instruction",
        rule: "every instruction must be reachable",
        help: &["remove it, or jump to it"],
        follow: Nothing,
    },
    Rule {
        id: "jump-out",
        messages: &["jump out of range from insn {insn} to {to}"],
        title: "a jump leads out of its function, to instruction {to}",
        rule: "jumps stay within their function",
        help: &["jump to a label; functions are called"],
        follow: Nothing,
    },
    Rule {
        id: "no-exit",
        messages: &["last insn is not an exit or jmp"],
        title: "{function_end}",
        rule: "every function ends with a return (or an endless jump)",
        help: &[
            "the compiler drops code that it knows to be undefined (a loop without end, a value never set, a panic): \
             look for its warnings, and for `unreachable` in the code before",
        ],
        follow: Nothing,
    },
    Rule {
        id: "call-recursion",
        messages: &[
            "the call stack of {n} frames is too deep",
            "recursive call from",
            "Subprogram {n} calls itself",
            "This bpf2bpf call would make the subprogram call graph recursive",
        ],
        title: "functions call each other deeper than the verifier follows",
        rule: "a function may not call itself, and calls go at most 8 deep",
        help: &["write it as a loop with a bound"],
        follow: Nothing,
    },
    Rule {
        id: "loop-endless",
        messages: &["infinite loop detected at insn {insn}", "back-edge from insn {insn} to {to}"],
        title: "a loop may go on for ever",
        rule: "a loop must come nearer to its end each time, in a way that the verifier can follow",
        help: &[
            "count the turns: for (int i = 0; i < 100 && condition; i++); or use bpf_loop() (Linux 5.17)",
        ],
        follow: Loop,
    },
    Rule {
        id: "too-complex",
        messages: &[
            "BPF program is too large. Processed {n} insn",
            "The sequence of {n} jumps is too complex",
            "processed {n} insns (limit",
        ],
        title: "the verifier gave up: there is too much to look at",
        rule: "the verifier walks through at most 1,000,000 instructions, each turn of a loop and each branch anew",
        help: &[
            "lower the bound of the loop, take its body out into bpf_loop() (Linux 5.17), or a global function",
        ],
        follow: Loop,
    },
];
