// SPDX-License-Identifier: MIT OR Apache-2.0
// The pointer waits on the stack while a helper runs; nobody tests it.
#include "rejected.h"

struct { ARRAY_OF(__u64, 1); } counts SEC(".maps");

static __always_inline __u64 *lookup(__u32 key)
{
	return bpf_map_lookup_elem(&counts, &key);
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u64 *volatile count = lookup(ctx->rx_queue_index);
	__u64 now = bpf_ktime_get_ns();

	*count = now;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u64 *volatile count = lookup(ctx->rx_queue_index);
	__u64 now = bpf_ktime_get_ns();
	__u64 *p = count;

	if (!p)
		return XDP_PASS;
	*p = now;
	return XDP_PASS;
}
