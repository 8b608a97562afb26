// SPDX-License-Identifier: MIT OR Apache-2.0
// Two pointers cannot be added.
#include "rejected.h"

struct { ARRAY_OF(__u64, 1); } counts SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *a = bpf_map_lookup_elem(&counts, &key);
	__u64 sum;

	if (!a)
		return XDP_PASS;
	sum = (__u64)a;
	sum += (__u64)&key;
	opaque(sum);
	return sum & 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *a = bpf_map_lookup_elem(&counts, &key);
	__u64 sum;

	if (!a)
		return XDP_PASS;
	sum = *a;
	sum += key;
	opaque(sum);
	return sum & 1 ? XDP_DROP : XDP_PASS;
}
