//! Memory that is not behind a packet's pointer: registers, the stack, the context, maps, the kernel's structs.

use super::rule::Follow::{Nothing, Operand, Reg, Size};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "uninitialised-register",
        messages: &["R{reg} !read_ok"],
        title: "{reg} is read, and nothing was ever put there",
        rule: "a register must be written on every path before it is read",
        help: &["give the variable a value where it is declared"],
        follow: Reg,
    },
    Rule {
        id: "stack-index",
        messages: &[
            "invalid variable-offset {x} stack",
            "variable stack access",
            "R{reg} variable stack access",
        ],
        title: "the index into an array on the stack is not bounded by the array's size",
        rule: "every access must lie within its memory, for every value that an index may have",
        help: &["compare the index with the array's size: if (i >= sizeof(array)) return ...;"],
        follow: Operand,
    },
    Rule {
        id: "stack-uninitialised",
        messages: &[
            "invalid read from stack R{reg} off {off}+",
            "invalid indirect read from stack R{reg} off {off}+",
            "invalid read from stack off {off}+",
            "invalid indirect read from stack off {off}+",
        ],
        title: "bytes of the stack are read that were never written",
        rule: "stack memory must be written before it is read, padding between members included",
        help: &["clear it first: __builtin_memset(&variable, 0, sizeof(variable));"],
        follow: Nothing,
    },
    Rule {
        id: "stack-bounds",
        messages: &[
            "invalid write to stack R{reg} off={off} size={size}",
            "invalid read from stack R{reg} off={off} size={size}",
            "invalid indirect access to stack R{reg} off={off} size={size}",
            "invalid stack type R{reg} off={off} access_size={size}",
            "invalid stack off={off} size={size}",
        ],
        title: "{size} bytes at r10{off} do not lie within the stack",
        rule: "a program has the 512 bytes below r10, and what helpers read and write must lie within them",
        help: &[],
        follow: Size,
    },
    Rule {
        id: "misaligned",
        messages: &[
            "misaligned stack access off {x}+{y}+{off} size {size}",
            "misaligned {x} access off {y} size {size}",
        ],
        title: "{size} bytes are accessed at an address that is no multiple of {size}",
        rule: "memory is accessed at multiples of the access's size",
        help: &["align the variable, or access it in smaller pieces"],
        follow: Nothing,
    },
    Rule {
        id: "stack-size",
        messages: &[
            "combined stack size of {n} calls is {size}. Too large",
            "stack frame size {size} exceed",
        ],
        title: "the functions that call each other need more than 512 bytes of stack together",
        rule: "a function and what it calls have 512 bytes of stack together",
        help: &[
            "keep large variables in a per-CPU array map of one element, or make the functions static inline",
        ],
        follow: Nothing,
    },
    Rule {
        id: "context-field",
        messages: &["invalid bpf_context access off={off} size={size}"],
        title: "the context has nothing at {span} that this program may {verb}",
        rule: "each program type sees its own fields of the context; few of them can be written",
        help: &[
            "look up which fields this program type may use, and whether their whole size must be accessed at once",
        ],
        follow: Nothing,
    },
    Rule {
        id: "context-moved",
        messages: &[
            "dereference of modified ctx ptr R{reg} off={off} disallowed",
            "variable ctx access var_off",
        ],
        title: "the context is accessed through a pointer that was added to",
        rule: "the context is accessed by its own pointer and a fixed offset in the instruction",
        help: &["write ctx->field; in assembly: *(u32 *)(r1 + offset)"],
        follow: Reg,
    },
    Rule {
        id: "map-as-memory",
        messages: &["only read from {x} is supported", "R{reg} map_ptr access"],
        title: "the map itself is written as if it were its value",
        rule: "a map's elements are reached by bpf_map_lookup_elem(), not by the map's address",
        help: &["look the element up, test the result, and write through that"],
        follow: Nothing,
    },
    Rule {
        id: "map-read-only",
        messages: &["write into map forbidden", "write to change key", "R{reg} cannot write into rdonly_mem"],
        title: "a constant, or a map that programs may only read, is written",
        rule: "constants (.rodata) and maps with BPF_F_RDONLY_PROG are read only",
        help: &["leave away the const, so that the variable goes to .data"],
        follow: Nothing,
    },
    Rule {
        id: "map-wrong-type",
        messages: &["cannot pass map_type {n} into func {func}"],
        title: "{call} does not work on {map_type} maps",
        rule: "each helper works on some types of maps",
        help: &["change the map's type, or use the helper for it"],
        follow: Nothing,
    },
    Rule {
        id: "kernel-struct-end",
        messages: &[
            "access beyond struct {struct} at off {off} size {size}",
            "access beyond the end of member",
        ],
        title: "{span} lies behind the end of struct {struct}",
        rule: "a pointer to a kernel structure reaches the structure's members only",
        help: &["take the offset from a member (CO-RE: preserve_access_index), not from a number"],
        follow: Nothing,
    },
    Rule {
        id: "kernel-struct-write",
        messages: &["only read is supported"],
        title: "a kernel structure is written",
        rule: "kernel structures can be read through their pointers, not written",
        help: &[
            "use a helper or a kernel function that changes it, or a struct_ops program for members it may write",
        ],
        follow: Nothing,
    },
];
