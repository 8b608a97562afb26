//! What must be given back: references, locks, sections.

use super::rule::Follow::{Acquired, Held, Nothing};
use super::rule::Rule;

pub(super) static RULES: &[Rule] = &[
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
];
