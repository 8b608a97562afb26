// SPDX-License-Identifier: MIT OR Apache-2.0
// A record that was reserved is neither submitted nor discarded on one path.
#include "rejected.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	if (ctx->rx_queue_index > 3)
		return XDP_PASS;
	*event = ctx->rx_queue_index;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	if (ctx->rx_queue_index > 3) {
		bpf_ringbuf_discard(event, 0);
		return XDP_PASS;
	}
	*event = ctx->rx_queue_index;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}
