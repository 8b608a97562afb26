// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper for ring buffers, and a map that is none.
#include "rejected.h"

struct { ARRAY_OF(__u32, 4); } slots SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 event = 1;

	bpf_ringbuf_output(&slots, &event, sizeof(event), 0);
	return XDP_PASS;
}

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 event = 1;

	bpf_ringbuf_output(&events, &event, sizeof(event), 0);
	return XDP_PASS;
}
