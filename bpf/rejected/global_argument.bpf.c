// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function is verified on its own: its pointer argument may be NULL.
#include "rejected.h"

struct sample { __u64 a, b; };

__noinline int sum(struct sample *s)
{
	return s->a + s->b;
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	struct sample s = { 1, ctx->rx_queue_index };

	return sum(&s) ? XDP_DROP : XDP_PASS;
}

__noinline int checked_sum(struct sample *s)
{
	if (!s)
		return 0;
	return s->a + s->b;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	struct sample s = { 1, ctx->rx_queue_index };

	return checked_sum(&s) ? XDP_DROP : XDP_PASS;
}
