// SPDX-License-Identifier: MIT OR Apache-2.0
// Atomic operations work on maps and the stack, not on packets.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u64 *p = DATA(ctx);

	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_DROP;
	__sync_fetch_and_add(p, 1);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u64 *p = DATA(ctx);

	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_DROP;
	*p += 1;
	return XDP_PASS;
}
