// SPDX-License-Identifier: MIT OR Apache-2.0
// An offset of up to 4 GiB: a test against data_end proves nothing beyond 64 KiB.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 offset = ctx->rx_queue_index;
	__u8 *p = DATA(ctx) + offset;

	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_PASS;
	return *p ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 offset = ctx->rx_queue_index & 0x7fff;
	__u8 *p = DATA(ctx) + offset;

	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_PASS;
	return *p ? XDP_DROP : XDP_PASS;
}
