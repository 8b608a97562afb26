// SPDX-License-Identifier: MIT OR Apache-2.0
// A signed index is tested from above only.
#include "rejected.h"

struct { ARRAY_OF(__s64, 1); } numbers SEC(".maps");
struct { ARRAY_OF(__u8[16], 1); } slots SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0;
	__s64 *number = bpf_map_lookup_elem(&numbers, &key);
	__u8 *slot = bpf_map_lookup_elem(&slots, &key);
	__s64 i;

	if (!slot || !number)
		return XDP_PASS;
	i = *number;
	if (i < 16)
		slot[i] += 1;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0;
	__s64 *number = bpf_map_lookup_elem(&numbers, &key);
	__u8 *slot = bpf_map_lookup_elem(&slots, &key);
	__s64 i;

	if (!slot || !number)
		return XDP_PASS;
	i = *number;
	if (i >= 0 && i < 16)
		slot[i] += 1;
	return XDP_PASS;
}
