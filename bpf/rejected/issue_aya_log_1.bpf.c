// SPDX-License-Identifier: MIT OR Apache-2.0
// After aya-rs/aya-log issue 1 and aya-rs/aya issue 1056: logging pulled in a panic handler that never returns, and
// a function that never returns ends without `exit`.
#include "rejected.h"

static __attribute__((noinline, noreturn)) void panic(__u32 line)
{
	bpf_printk("panic in line %d", line);
	__builtin_unreachable();
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	if (ctx->rx_queue_index > 100)
		panic(17);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	if (ctx->rx_queue_index > 100)
		return XDP_ABORTED;
	return XDP_PASS;
}
