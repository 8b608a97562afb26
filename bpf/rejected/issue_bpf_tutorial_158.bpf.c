// SPDX-License-Identifier: MIT OR Apache-2.0
// After eunomia-bpf/bpf-developer-tutorial issue 158: a TCP header of variable length is copied into a ring buffer
// byte by byte, and only its fixed part was tested.
#include "rejected.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} headers SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	struct iphdr *ip = DATA(ctx) + sizeof(struct ethhdr);
	unsigned char *tcp, *space;
	int length;

	if ((void *)(ip + 1) > DATA_END(ctx))
		return XDP_PASS;
	length = ip->ihl * 4;
	if (length < sizeof(*ip))
		return XDP_PASS;
	tcp = (void *)ip + length;
	if ((void *)tcp + sizeof(struct tcphdr) > DATA_END(ctx))
		return XDP_PASS;
	space = bpf_ringbuf_reserve(&headers, 32, 0);
	if (!space)
		return XDP_PASS;
	for (int i = 0; i < 32; i++)
		space[i] = tcp[i];
	bpf_ringbuf_submit(space, 0);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	struct iphdr *ip = DATA(ctx) + sizeof(struct ethhdr);
	unsigned char *tcp, *space;
	int length;

	if ((void *)(ip + 1) > DATA_END(ctx))
		return XDP_PASS;
	length = ip->ihl * 4;
	if (length < sizeof(*ip))
		return XDP_PASS;
	tcp = (void *)ip + length;
	if ((void *)tcp + 32 > DATA_END(ctx))
		return XDP_PASS;
	space = bpf_ringbuf_reserve(&headers, 32, 0);
	if (!space)
		return XDP_PASS;
	for (int i = 0; i < 32; i++)
		space[i] = tcp[i];
	bpf_ringbuf_submit(space, 0);
	return XDP_PASS;
}
