// SPDX-License-Identifier: MIT OR Apache-2.0
// Probes on kernel functions: at the entry with its arguments, at the return with its result, and on a
// system call by its name.
#include <asm/ptrace.h>
#include "seen.h"
#include <bpf/bpf_tracing.h>

// socket(AF_INET, ...): 0 how often, 1 the last family.
SEC("kprobe/__sys_socket")
int socket_entry(struct pt_regs *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = PT_REGS_PARM1(ctx);
	}
	return 0;
}

// 2 how often, 3 the last result.
SEC("kretprobe/__sys_socket")
int socket_exit(struct pt_regs *ctx)
{
	if (is_mine()) {
		count(2);
		seen[3] = (int)PT_REGS_RC(ctx);
	}
	return 0;
}

SEC("ksyscall/getpgid")
int getpgid_entry(void *ctx)
{
	if (is_mine())
		count(4);
	return 0;
}

SEC("kretsyscall/getpgid")
int getpgid_exit(void *ctx)
{
	if (is_mine())
		count(5);
	return 0;
}

// Not attached by itself: its section names no function.
SEC("kprobe")
int anywhere(void *ctx)
{
	if (is_mine())
		count(6);
	return 0;
}
