//! Calls that are not allowed here, results, and the rest.

use super::rule::Follow::{Nothing, Result};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "helper-not-here",
        messages: &[
            "program of this type cannot use helper {func}",
            "unknown func {func}",
            "helper call is not allowed in",
        ],
        title: "a program of this type cannot call {call} on this kernel",
        rule: "each program type has its own set of helpers",
        help: &["use a helper that this type has, or another program type"],
        follow: Nothing,
    },
    Rule {
        id: "helper-license",
        messages: &[
            "cannot call GPL-restricted function from non-GPL compatible program",
            "cannot call GPL only function",
        ],
        title: "{call} can be called by programs under a GPL-compatible license only",
        rule: "some helpers are for GPL-compatible programs",
        help: &["say so in the object: char LICENSE[] SEC(\"license\") = \"GPL\";"],
        follow: Nothing,
    },
    Rule {
        id: "sleeps",
        messages: &[
            "helper call might sleep in a non-sleepable prog",
            "sleepable helper {func} in non-sleepable prog",
            "global functions that may sleep are not allowed",
            "{x} might sleep",
        ],
        title: "{call} may sleep, and this program may not",
        rule: "only programs that are loaded as sleepable may call what waits",
        help: &[
            "use a sleepable section (lsm.s/, fentry.s/, uprobe.s/, iter.s/), or a helper that does not wait",
        ],
        follow: Nothing,
    },
    Rule {
        id: "kfunc-not-here",
        messages: &[
            "calling kernel function {func} is not allowed",
            "calling kernel functions are not allowed",
            "kernel function call",
        ],
        title: "a program of this type cannot call {call}",
        rule: "each kernel function is open to some program types",
        help: &["use a program type that it is open to; the kernel's documentation of it says which"],
        follow: Nothing,
    },
    Rule {
        id: "returns-stack",
        messages: &["cannot return stack pointer to the caller"],
        title: "a function returns the address of its own variable",
        rule: "the stack of a function is gone when it returns",
        help: &["let the caller pass a pointer to its own variable"],
        follow: Result,
    },
    Rule {
        id: "callback-result",
        messages: &["At callback return the register R{reg} "],
        title: "a callback returns {what}, which is no answer",
        rule: "a callback returns 0 (go on) or 1 (stop)",
        help: &["return 0 or 1"],
        follow: Result,
    },
    Rule {
        id: "return-value",
        messages: &["At program exit the register R{reg} ", "At async callback return the register R{reg} "],
        title: "the program returns {what}, which its type does not allow",
        rule: "the results of a program type have meanings; only those are allowed",
        help: &["allowed is {allowed}"],
        follow: Result,
    },
    Rule {
        id: "dynptr-unset",
        messages: &["Expected an initialized dynptr as "],
        title: "a dynptr is used that was never made",
        rule: "a dynptr is made by bpf_dynptr_from_...() or bpf_ringbuf_reserve_dynptr() before its use",
        help: &["make it first, on every path"],
        follow: Nothing,
    },
    Rule {
        id: "frame-pointer",
        messages: &["frame pointer is read only"],
        title: "r10 is written",
        rule: "r10 points to the top of the stack, and stays there",
        help: &["copy it: r2 = r10; r2 += -8"],
        follow: Nothing,
    },
    Rule {
        id: "shift",
        messages: &["invalid shift {n}"],
        title: "a register is shifted by {n} bits",
        rule: "a shift is by less bits than the register has (64 or 32)",
        help: &["shift by less, or set the register to 0"],
        follow: Nothing,
    },
    Rule {
        id: "division",
        messages: &["div by zero"],
        title: "a number is divided by the constant 0",
        rule: "a constant divisor is not 0; a divisor in a register may be (the result is then 0)",
        help: &["divide by another number"],
        follow: Nothing,
    },
    Rule {
        id: "function-argument",
        messages: &["Arg#{n} type {type} in {func}() is not supported yet", "arg#{n} "],
        title: "a global function has a parameter of a type that this kernel does not follow",
        rule: "a function that is not static is verified alone, by the types of its parameters",
        help: &["make the function static, so that it is verified with its callers"],
        follow: Nothing,
    },
    Rule {
        id: "function-reference",
        messages: &["number of funcs in func_info doesn't match number of subprogs"],
        title: "this kernel does not follow a reference to a function (a callback)",
        rule: "functions can be passed to helpers since Linux 5.13",
        help: &[
            "do without callbacks on this kernel: bpf_for_each_map_elem, bpf_loop and timers need a newer one",
        ],
        follow: Nothing,
    },
];
