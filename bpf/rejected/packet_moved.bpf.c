// SPDX-License-Identifier: MIT OR Apache-2.0
// Changing the packet's head makes every pointer into it stale.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA(ctx);

	if ((void *)(eth + 1) > DATA_END(ctx))
		return XDP_DROP;
	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_DROP;
	eth->h_proto = bpf_htons(ETH_P_8021Q);
	return XDP_TX;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	struct ethhdr *eth;

	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_DROP;
	eth = DATA(ctx);
	if ((void *)(eth + 1) > DATA_END(ctx))
		return XDP_DROP;
	eth->h_proto = bpf_htons(ETH_P_8021Q);
	return XDP_TX;
}
