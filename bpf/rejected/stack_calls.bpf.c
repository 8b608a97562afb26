// SPDX-License-Identifier: MIT OR Apache-2.0
// Each function fits into the 512 bytes of stack; the three together do not.
#include "rejected.h"

static __noinline int inner(struct xdp_md *ctx)
{
	volatile char text[240];

	text[ctx->rx_queue_index & 127] = 1;
	return text[0];
}

static __noinline int outer(struct xdp_md *ctx)
{
	volatile char text[200];

	text[ctx->rx_queue_index & 127] = 1;
	return inner(ctx) + text[0];
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	volatile char text[200];

	text[ctx->rx_queue_index & 127] = 1;
	return outer(ctx) + text[0] ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	return outer(ctx) ? XDP_DROP : XDP_PASS;
}
