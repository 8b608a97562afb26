// SPDX-License-Identifier: MIT OR Apache-2.0
// The limit is one too high.
#include "rejected.h"

struct { ARRAY_OF(__u8[16], 1); } slots SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0, queue = ctx->rx_queue_index;
	__u8 *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot || queue > 16)
		return XDP_PASS;
	slot[queue] += 1;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0, queue = ctx->rx_queue_index;
	__u8 *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot || queue >= 16)
		return XDP_PASS;
	slot[queue] += 1;
	return XDP_PASS;
}
