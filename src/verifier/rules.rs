//! The verifier's rules, and by which messages each is told: a table.
//!
//! A row has the messages of every kernel since 5.10 for the same fault, so that the explanation is the same on
//! all of them. The first row that fits any line of the message wins; special rows stand before general ones.
//! In titles and advice, `{reg}` is the register (`r0`), `{call}` the function that is called, `{what}` what the
//! register holds, and the other names are holes of the patterns.

/// A rule of the verifier.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// A name that does not change.
    pub id: &'static str,
    /// How kernels say that it was broken; see [`matches`](super::pattern::matches).
    pub(super) messages: &'static [&'static str],
    /// What was done, in a line.
    pub(super) title: &'static str,
    /// The rule in plain words.
    pub rule: &'static str,
    /// What usually mends it.
    pub(super) help: &'static [&'static str],
    /// Whose history tells more.
    pub(super) follow: Follow,
}

/// Whose history tells why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// Nobody's.
    Nothing,
    /// The register that the message names, or that the instruction reads memory through.
    Reg,
    /// What the instruction adds to its result.
    Operand,
    /// The packet pointer of the message, and the last comparison with the packet's end.
    Packet,
    /// `r0`, at the end of a function.
    Result,
    /// What was acquired, and the way out.
    Acquired,
    /// The size that goes with the memory in the register that the message names.
    Size,
    /// The call with this in its name, which has no counterpart on the path.
    Held(&'static str),
    /// The lines that the path goes through again and again.
    Loop,
}

/// The row of this name.
pub(super) fn by_id(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.id == id)
}

use Follow::*;

/// All rules.
pub static RULES: &[Rule] = &[
    // What is told apart by what happened before, not by its message: see `diagnosis::refine`.
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
    Rule {
        id: "not-released",
        messages: &[
            "Unreleased reference id={id} alloc_insn={insn}",
            "Owned resource (id={id}) was acquired at instruction {insn} and",
            "{x} would lead to reference leak",
        ],
        title: "what was acquired is not given back on every path",
        rule: "what a helper hands out (sockets, ring buffer records, tasks) must be given back before the program ends",
        help: &[
            "give it back on the path that is marked, with the function that goes with the one that acquired it",
        ],
        follow: Acquired,
    },
    Rule {
        id: "lock-unlocked",
        messages: &["bpf_spin_unlock without taking a lock"],
        title: "a lock is released that is not held",
        rule: "bpf_spin_unlock() follows bpf_spin_lock() of the same lock, on every path",
        help: &["take the lock first: bpf_spin_lock(&value->lock);"],
        follow: Nothing,
    },
    Rule {
        id: "lock-touched",
        messages: &[
            "bpf_spin_lock cannot be accessed directly by load/store",
            "bpf_{x} cannot be accessed directly by load/store",
        ],
        title: "a member that only helpers may use is read or written directly",
        rule: "locks, timers and the like belong to the kernel",
        help: &["use bpf_spin_lock() and bpf_spin_unlock(); a new value starts unlocked"],
        follow: Nothing,
    },
    Rule {
        id: "rcu-held",
        messages: &[
            "{x} cannot be used inside bpf_rcu_read_lock-ed region",
            "bpf_rcu_read_unlock is missing",
        ],
        title: "the program may end inside bpf_rcu_read_lock()",
        rule: "what a program locks or disables it must undo on every path",
        help: &["call bpf_rcu_read_unlock() before this return as well"],
        follow: Held("rcu_read_lock"),
    },
    Rule {
        id: "preempt-held",
        messages: &[
            "{x} cannot be used inside bpf_preempt_disable-ed region",
            "{n} bpf_preempt_enable{x} missing",
        ],
        title: "the program may end with preemption disabled",
        rule: "what a program locks or disables it must undo on every path",
        help: &["call bpf_preempt_enable() before this return as well"],
        follow: Held("preempt_disable"),
    },
    Rule {
        id: "lock-call",
        messages: &[
            "function calls are not allowed while holding a lock",
            "Locking two bpf_spin_locks are not allowed",
        ],
        title: "{call} is called while a lock is held",
        rule: "between bpf_spin_lock() and bpf_spin_unlock() nothing may be called, and no second lock be taken",
        help: &["call it before the lock is taken, and keep the result in a variable"],
        follow: Held("spin_lock"),
    },
    Rule {
        id: "lock-held",
        messages: &["{x} cannot be used inside bpf_spin_lock-ed region", "bpf_spin_unlock is missing"],
        title: "the program may end with a lock held",
        rule: "what a program locks or disables it must undo on every path",
        help: &["call bpf_spin_unlock() before this return as well"],
        follow: Held("spin_lock"),
    },
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
