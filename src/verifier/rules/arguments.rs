//! Arguments of helpers and kfuncs.

use super::rule::Follow::{Nothing, Reg};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "argument-copy",
        messages: &["R{reg} type=ctx expected=fp"],
        title: "{call} takes memory that can be read, not a part of the context",
        rule: "helpers read their arguments from the stack, maps' values or the packet",
        help: &["copy the field to a variable first: __u32 key = ctx->field; and pass &key"],
        follow: Nothing,
    },
    Rule {
        id: "argument-map",
        messages: &["R{reg} type={type} expected=map_ptr"],
        title: "{call} takes a map, and {reg} is {what}",
        rule: "a map is passed to a helper by its address in the program",
        help: &["pass the map itself: &map; a map of maps gives inner maps by a lookup"],
        follow: Reg,
    },
    Rule {
        id: "argument-constant",
        messages: &["R{reg} type=fp expected=map_value"],
        title: "{call} takes text that the kernel can read now, and {reg} is on the stack",
        rule: "format strings must be constants in read-only data",
        help: &["make it static const: static const char format[] = \"...\";"],
        follow: Nothing,
    },
    Rule {
        id: "argument-type",
        messages: &["R{reg} type={type} expected={expected}", "R{reg} type={type}, expected={expected}"],
        title: "{call} does not take {what} as {reg}",
        rule: "every argument of a helper must be of the kind that the helper takes",
        help: &["it takes: {expected}"],
        follow: Reg,
    },
    Rule {
        id: "untrusted-pointer",
        messages: &[
            "R{reg} must be referenced or trusted",
            "R{reg} must be a rcu pointer",
            "R{reg} must be referenced",
            "{x} must have zero offset when passed",
        ],
        title: "the object behind {reg} may be gone: {call} does not take it",
        rule: "kernel functions take pointers whose object is held: given to the program, acquired, or read under RCU",
        help: &[
            "acquire it first (a function that ends in _acquire or _from_...), or read it in bpf_rcu_read_lock()",
        ],
        follow: Reg,
    },
];
