// SPDX-License-Identifier: MIT OR Apache-2.0
// The IP header's length is in the packet: what lies behind it must be tested anew.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	struct iphdr *ip = DATA(ctx) + sizeof(struct ethhdr);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) + sizeof(*tcp) > DATA_END(ctx))
		return XDP_DROP;
	tcp = (void *)ip + ip->ihl * 4;
	return tcp->dest == bpf_htons(22) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	struct iphdr *ip = DATA(ctx) + sizeof(struct ethhdr);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > DATA_END(ctx))
		return XDP_DROP;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > DATA_END(ctx))
		return XDP_DROP;
	return tcp->dest == bpf_htons(22) ? XDP_DROP : XDP_PASS;
}
