// SPDX-License-Identifier: MIT OR Apache-2.0
// An index into an array on the stack has no limit that fits.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	char seen[16] = {};
	__u32 queue = ctx->rx_queue_index;

	if (queue > 31)
		return XDP_PASS;
	seen[queue] = 1;
	opaque(queue);
	return seen[queue & 15] ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	char seen[16] = {};
	__u32 queue = ctx->rx_queue_index;

	if (queue > 15)
		return XDP_PASS;
	seen[queue] = 1;
	opaque(queue);
	return seen[queue & 15] ? XDP_DROP : XDP_PASS;
}
