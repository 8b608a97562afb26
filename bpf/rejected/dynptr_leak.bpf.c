// SPDX-License-Identifier: MIT OR Apache-2.0
// A ring buffer record behind a dynptr is neither submitted nor discarded. Linux 5.19.
#include "rejected.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	struct bpf_dynptr event;
	__u32 length = skb->len;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &event);
	bpf_dynptr_write(&event, 0, &length, sizeof(length), 0);
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	struct bpf_dynptr event;
	__u32 length = skb->len;

	bpf_ringbuf_reserve_dynptr(&events, 8, 0, &event);
	bpf_dynptr_write(&event, 0, &length, sizeof(length), 0);
	bpf_ringbuf_submit_dynptr(&event, 0);
	return TC_ACT_OK;
}
