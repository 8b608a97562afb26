// SPDX-License-Identifier: MIT OR Apache-2.0
// A number where the helper wants a map.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0;
	void *map = (void *)(long)ctx->rx_queue_index;

	return bpf_map_lookup_elem(map, &key) ? XDP_DROP : XDP_PASS;
}

struct { ARRAY_OF(__u64, 8); } counts SEC(".maps");

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&counts, &key) ? XDP_DROP : XDP_PASS;
}
