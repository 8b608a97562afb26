// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer is no number to calculate with.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u64 a = (__u64)DATA(ctx);

	a *= 3;
	opaque(a);
	return a & 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u64 a = DATA_END(ctx) - DATA(ctx);

	a *= 3;
	opaque(a);
	return a & 1 ? XDP_DROP : XDP_PASS;
}
