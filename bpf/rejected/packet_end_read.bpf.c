// SPDX-License-Identifier: MIT OR Apache-2.0
// data_end is a limit to compare with, not a place to read.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u8 *end = DATA_END(ctx);

	return *end ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u8 *first = DATA(ctx);

	if ((void *)(first + 1) > DATA_END(ctx))
		return XDP_PASS;
	return *first ? XDP_DROP : XDP_PASS;
}
