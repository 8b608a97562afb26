// SPDX-License-Identifier: MIT OR Apache-2.0
// The same place twice: as a tracepoint, whose record has named fields, and as a raw tracepoint, which gets
// the arguments as the kernel passes them.
#include "seen.h"

// From /sys/kernel/tracing/events/syscalls/sys_enter_getpgid/format.
struct sys_enter {
	__u64 common;
	long id;
	unsigned long args[6];
};

// 0 how often, 1 the system call's first argument.
SEC("tracepoint/syscalls/sys_enter_getpgid")
int syscall_entry(struct sys_enter *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = ctx->args[0];
	}
	return 0;
}

// TP_PROTO(struct pt_regs *regs, long id): 2 how often it was getpgid.
SEC("raw_tp/sys_enter")
int raw_entry(struct bpf_raw_tracepoint_args *ctx)
{
	if (is_mine() && ctx->args[1] == GETPGID)
		count(2);
	return 0;
}
