// SPDX-License-Identifier: MIT OR Apache-2.0
// An index into an array in a map's value has no upper limit.
#include "rejected.h"

struct { ARRAY_OF(__u32[16], 1); } slots SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0, queue = ctx->rx_queue_index;
	__u32 *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return XDP_PASS;
	slot[queue] += 1;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0, queue = ctx->rx_queue_index;
	__u32 *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot || queue >= 16)
		return XDP_PASS;
	slot[queue] += 1;
	return XDP_PASS;
}
