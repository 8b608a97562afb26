// SPDX-License-Identifier: MIT OR Apache-2.0
// The context is no memory: a helper cannot read its key from there.
#include "rejected.h"

struct { ARRAY_OF(__u64, 8); } counts SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	return bpf_map_lookup_elem(&counts, &ctx->rx_queue_index) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;

	return bpf_map_lookup_elem(&counts, &key) ? XDP_DROP : XDP_PASS;
}
