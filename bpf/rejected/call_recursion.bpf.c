// SPDX-License-Identifier: MIT OR Apache-2.0
// A function that calls itself: the call stack has eight frames.
#include "rejected.h"

static __noinline int paths(struct xdp_md *ctx, int n)
{
	opaque(n);
	if (n <= 1)
		return 1;
	return paths(ctx, n - 1) + paths(ctx, n - 2);
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	return paths(ctx, ctx->rx_queue_index) > 100 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	int n = ctx->rx_queue_index, a = 1, b = 1;

	for (int i = 1; i < 20 && i < n; i++) {
		b += a;
		a = b - a;
	}
	return b > 100 ? XDP_DROP : XDP_PASS;
}
