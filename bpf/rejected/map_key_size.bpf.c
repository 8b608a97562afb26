// SPDX-License-Identifier: MIT OR Apache-2.0
// The map's keys have 8 bytes, the key on the stack has 4.
#include "rejected.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u64);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;

	return bpf_map_lookup_elem(&flows, &key) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u64 key = ctx->ingress_ifindex;

	return bpf_map_lookup_elem(&flows, &key) ? XDP_DROP : XDP_PASS;
}
