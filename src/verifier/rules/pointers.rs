//! Pointers: NULL, packets, sizes and offsets, arithmetic.

use super::rule::Follow::{Operand, Packet, Reg};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "null-pointer",
        messages: &[
            "R{reg} invalid mem access '{type}_or_null",
            "R{reg} type={type}_or_null expected=",
            "R{reg} type={type}_or_null, expected=",
            "Possibly NULL pointer passed to trusted arg{n}",
            "Possibly NULL pointer passed to trusted R{reg}",
        ],
        title: "{reg} may be NULL where it is used",
        rule: "a pointer that may be NULL must be compared with NULL on the way to its use",
        help: &["test it before its first use: if (!pointer) return 0;"],
        follow: Reg,
    },
    Rule {
        id: "null-arithmetic",
        messages: &["R{reg} pointer arithmetic on {type}_or_null prohibited"],
        title: "something is added to {reg}, which may be NULL",
        rule: "a pointer that may be NULL must be compared with NULL before anything is added to it",
        help: &["test the pointer itself first, and compute the address of its member behind the test"],
        follow: Reg,
    },
    Rule {
        id: "packet-end",
        messages: &["R{reg} invalid mem access 'pkt_end'"],
        title: "the end of the packet is used as a pointer to data",
        rule: "data_end is only there to be compared with",
        help: &["start from ctx->data, and compare with data_end before reading"],
        follow: Reg,
    },
    Rule {
        id: "not-a-pointer",
        messages: &["R{reg} invalid mem access 'scalar'", "R{reg} invalid mem access 'inv'"],
        title: "{reg} is a number, and is used as a pointer",
        rule: "memory is reached only through pointers that the verifier has followed from where they were made",
        help: &[
            "if it is an address in the kernel, read it with bpf_probe_read_kernel() or BPF_CORE_READ(); a tp_btf or \
             fentry program gets its arguments as pointers that can be read through",
        ],
        follow: Reg,
    },
    Rule {
        id: "wrong-memory",
        messages: &["R{reg} invalid mem access '{type}'"],
        title: "{reg} is {what}, which cannot be read or written so",
        rule: "each kind of pointer allows its own kinds of access",
        help: &[],
        follow: Reg,
    },
    Rule {
        id: "packet-bounds",
        messages: &[
            "invalid access to packet, off={off} size={size}, R{reg}(",
            "R{reg} offset is outside of the packet",
        ],
        title: "the packet may end before what is read here",
        rule: "every byte of the packet must be compared with data_end on the way to its use",
        help: &["compare first: if ((void *)(pointer + 1) > data_end) return ...;"],
        follow: Packet,
    },
    Rule {
        id: "packet-read-only",
        messages: &["cannot write into packet"],
        title: "a program of this type may read the packet, not write it",
        rule: "only some program types may write to the packet directly",
        help: &["use bpf_skb_store_bytes(), or a program type that may write (tc, xdp)"],
        follow: Reg,
    },
    Rule {
        id: "packet-write-atomic",
        messages: &[
            "BPF_ATOMIC stores into R{reg} {type} is not allowed",
            "BPF_XADD stores into R{reg} {type} is not allowed",
        ],
        title: "an atomic operation on {what} is not allowed",
        rule: "atomic operations work on maps' values, on the stack and in arenas",
        help: &["read, change and write the value, or count in a map"],
        follow: Reg,
    },
    Rule {
        id: "size-unbounded",
        messages: &["R{reg} unbounded memory access, use 'var &= const' or 'if (var < const)'"],
        title: "the size in {reg} has no upper bound",
        rule: "a size that a helper gets must be proved to fit the memory that it goes with",
        help: &["compare it with the size of the buffer: if (size > sizeof(buffer)) size = sizeof(buffer);"],
        follow: Reg,
    },
    Rule {
        id: "size-negative",
        messages: &["R{reg} min value is negative, either use unsigned or 'var &= const'"],
        title: "the size in {reg} may be negative",
        rule: "a size that a helper gets must be proved to be neither negative nor too large",
        help: &["make the variable unsigned, and compare it with the size of the buffer"],
        follow: Reg,
    },
    Rule {
        id: "size-zero",
        messages: &[
            "R{reg} invalid zero-sized read",
            "invalid access to map value, value_size={vs} off={off} size=0",
        ],
        title: "the size in {reg} may be 0",
        rule: "this helper does not take a size of 0",
        help: &[
            "make it at least 1: size = (n & 31) + 1; kernels before 6.8 do not follow `if (size == 0) return`",
        ],
        follow: Reg,
    },
    Rule {
        id: "offset-unbounded",
        messages: &[
            "R{reg} unbounded memory access",
            "R{reg} min value is negative, either use unsigned index",
            "math between {type} pointer and register with unbounded min value is not allowed",
            "value {n} makes {type} pointer be out of bounds",
            "R{reg} unbounded indirect variable offset",
        ],
        title: "the offset that is added to a pointer is not bounded",
        rule: "a number that is added to a pointer needs a lower and an upper bound that keep it in its memory",
        help: &[],
        follow: Operand,
    },
    Rule {
        id: "memory-bounds",
        messages: &[
            "invalid access to map value, value_size={vs} off={off} size={size}",
            "invalid access to memory, mem_size={vs} off={off} size={size}",
            "invalid access to map key, key_size={vs} off={off} size={size}",
            "R{reg} min value is outside of the allowed memory range",
            "R{reg} max value is outside of the allowed memory range",
        ],
        title: "an access beyond the end: {span} of {vs}, counted from 0",
        rule: "every access must lie within its memory, for every value that an index may have",
        help: &[],
        follow: Operand,
    },
    Rule {
        id: "pointer-operator",
        messages: &[
            "R{reg} bitwise operator {op} on pointer prohibited",
            "R{reg} pointer arithmetic with {op} operator prohibited",
            "R{reg} 32-bit pointer arithmetic prohibited",
            "math between {type} pointer and {n} is not allowed",
        ],
        title: "a pointer is computed with in a way that loses it",
        rule: "to a pointer a 64-bit number can be added, or subtracted from it; nothing else",
        help: &["compute with an offset, and add the offset to the pointer at the end"],
        follow: Reg,
    },
    Rule {
        id: "perfmon",
        messages: &[
            "R{reg} pointer -= pointer prohibited",
            "R{reg} pointer comparison prohibited",
            "R{reg} leaks addr {where}",
            "R{reg} {words} prohibited for !root",
        ],
        title: "only who has CAP_PERFMON may load this: it could tell where the kernel's memory is",
        rule: "without CAP_PERFMON no program may take two pointers from one another, store a pointer in a map, or move a \
               pointer by bounds that differ between paths",
        help: &[
            "load it with CAP_PERFMON as well (Linux 5.8; CAP_SYS_ADMIN before): setcap cap_bpf,cap_perfmon+ep FILE",
            "or do without: compare `data + n > data_end` instead of computing `data_end - data`",
        ],
        follow: Reg,
    },
    Rule {
        id: "pointer-sum",
        messages: &["R{reg} pointer {op} pointer prohibited"],
        title: "two pointers are added",
        rule: "to a pointer a 64-bit number can be added, or subtracted from it; nothing else",
        help: &["add what the pointer points to, or an offset"],
        follow: Reg,
    },
    Rule {
        id: "pointer-fixed",
        messages: &["R{reg} pointer arithmetic on {type} prohibited"],
        title: "nothing can be added to {what}",
        rule: "some pointers are only there to be compared or passed on",
        help: &["to look at the last bytes, compare `data + n > data_end` and read at data + n - 1"],
        follow: Reg,
    },
];
