// SPDX-License-Identifier: MIT OR Apache-2.0
// Rounding a pointer down to a multiple of four is no addition.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u64 p = (__u64)DATA(ctx);

	p &= ~3ULL;
	if ((void *)p + 4 > DATA_END(ctx))
		return XDP_PASS;
	return *(__u32 *)p ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 *p = DATA(ctx);

	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_PASS;
	return *p ? XDP_DROP : XDP_PASS;
}
