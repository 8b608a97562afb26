// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer that may be NULL is handed to a helper that reads through it.
#include "rejected.h"

struct { ARRAY_OF(__u32, 1); } keys SEC(".maps");
struct { ARRAY_OF(__u64, 8); } counts SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	__u32 *key = bpf_map_lookup_elem(&keys, &queue);

	return bpf_map_lookup_elem(&counts, key) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	__u32 *key = bpf_map_lookup_elem(&keys, &queue);

	if (!key)
		return XDP_PASS;
	return bpf_map_lookup_elem(&counts, key) ? XDP_DROP : XDP_PASS;
}
