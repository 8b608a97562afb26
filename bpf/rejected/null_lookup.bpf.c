// SPDX-License-Identifier: MIT OR Apache-2.0
// A lookup may find nothing.
#include "rejected.h"

struct { ARRAY_OF(__u64, 1); } counts SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	*count += 1;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	if (!count)
		return XDP_PASS;
	*count += 1;
	return XDP_PASS;
}
