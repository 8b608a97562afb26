// SPDX-License-Identifier: MIT OR Apache-2.0
// A map is not its contents.
#include "rejected.h"

struct { ARRAY_OF(__u32, 4); } slots SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	*(volatile __u32 *)&slots = 1;
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0, one = 1;

	bpf_map_update_elem(&slots, &key, &one, BPF_ANY);
	return XDP_PASS;
}
