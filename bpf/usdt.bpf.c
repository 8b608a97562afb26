// SPDX-License-Identifier: MIT OR Apache-2.0
// USDT: a probe that a program's developers placed in it, and its arguments, wherever they are at that
// moment. Compiled with the header of libbpf 1.1; usdt_sib.o is the same with that of 1.7, whose specs have
// another layout and can say "base + index * scale".
#include <asm/ptrace.h>
#include <stdbool.h>
#include <asm/errno.h>
#include "seen.h"
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

static __always_inline void see(struct pt_regs *ctx, int n)
{
	long value = 0;

	seen[4 + n] = bpf_usdt_arg(ctx, n, &value) ? 0xbad : value;
}

// 0 how often, 1 how many arguments, 2 the cookie, 4 and on the arguments.
SEC("usdt//proc/self/exe:rawbpf_test:args")
int on_args(struct pt_regs *ctx)
{
	if (!is_mine())
		return 0;
	count(0);
	seen[1] = bpf_usdt_arg_cnt(ctx);
	seen[2] = bpf_usdt_cookie(ctx);
	see(ctx, 0);
	see(ctx, 1);
	see(ctx, 2);
	see(ctx, 3);
	see(ctx, 4);
	see(ctx, 5);
	return 0;
}
