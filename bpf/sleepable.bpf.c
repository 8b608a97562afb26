// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that may sleep (`.s`): it may touch memory of user space that is not there yet, and waits until it is.
// Linux 6.0 for uprobes. Registers are those of x86-64.
#define __TARGET_ARCH_x86
#include <asm/ptrace.h>
#include "seen.h"
#include <bpf/bpf_tracing.h>

// The first argument is a pointer: 0 how often, 1 what is there, 2 the error.
SEC("uprobe.s//proc/self/exe:rawbpf_lesson_sleep")
int read_argument(struct pt_regs *ctx)
{
	if (is_mine()) {
		count(0);
		seen[2] = -bpf_copy_from_user(&seen[1], sizeof(seen[1]), (void *)PT_REGS_PARM1(ctx));
	}
	return 0;
}
