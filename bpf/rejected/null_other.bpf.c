// SPDX-License-Identifier: MIT OR Apache-2.0
// Two lookups, and the test is of the wrong one.
#include "rejected.h"

struct { ARRAY_OF(__u64, 2); } counts SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 one = ctx->rx_queue_index, two = one + 1;
	__u64 *a = bpf_map_lookup_elem(&counts, &one);
	__u64 *b = bpf_map_lookup_elem(&counts, &two);

	if (!a)
		return XDP_PASS;
	*a += 1;
	*b += 1;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 one = ctx->rx_queue_index, two = one + 1;
	__u64 *a = bpf_map_lookup_elem(&counts, &one);
	__u64 *b = bpf_map_lookup_elem(&counts, &two);

	if (!a || !b)
		return XDP_PASS;
	*a += 1;
	*b += 1;
	return XDP_PASS;
}
