// SPDX-License-Identifier: MIT OR Apache-2.0
// Probes on functions of user space, in whatever process runs them.
#include <asm/ptrace.h>
#include "seen.h"
#include <bpf/bpf_tracing.h>

// 0 how often, 1 the first argument.
SEC("uprobe//proc/self/exe:rawbpf_test_function")
int on_entry(struct pt_regs *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = PT_REGS_PARM1(ctx);
	}
	return 0;
}

// 2 how often, 3 the result.
SEC("uretprobe//proc/self/exe:rawbpf_test_function")
int on_return(struct pt_regs *ctx)
{
	if (is_mine()) {
		count(2);
		seen[3] = PT_REGS_RC(ctx);
	}
	return 0;
}

SEC("uprobe")
int anywhere(void *ctx)
{
	count(4);
	return 0;
}
