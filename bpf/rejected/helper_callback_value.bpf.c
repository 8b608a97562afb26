// SPDX-License-Identifier: MIT OR Apache-2.0
// A callback says 0 (go on) or 1 (stop), nothing else.
#include "rejected.h"

struct bpf_map;

struct { ARRAY_OF(__u64, 8); } counts SEC(".maps");

static long each(struct bpf_map *map, __u32 *key, __u64 *value, void *data)
{
	return 2;
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&counts, each, (void *)0, 0);
	return XDP_PASS;
}

static long first(struct bpf_map *map, __u32 *key, __u64 *value, void *data)
{
	return 1;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&counts, first, (void *)0, 0);
	return XDP_PASS;
}
