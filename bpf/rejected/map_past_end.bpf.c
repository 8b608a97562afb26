// SPDX-License-Identifier: MIT OR Apache-2.0
// A value of 8 bytes, read as one of 16.
#include "rejected.h"

struct pair { __u64 a, b; };
struct { ARRAY_OF(__u64, 1); } numbers SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct pair *pair = bpf_map_lookup_elem(&numbers, &key);

	return pair && pair->b ? XDP_DROP : XDP_PASS;
}

struct { ARRAY_OF(struct pair, 1); } pairs SEC(".maps");

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct pair *pair = bpf_map_lookup_elem(&pairs, &key);

	return pair && pair->b ? XDP_DROP : XDP_PASS;
}
