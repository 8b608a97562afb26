// SPDX-License-Identifier: MIT OR Apache-2.0
// After xdp-project/xdp-tools issue 267: a filter looked at ports before addresses, and the test for the IPv4
// header was taken to cover the longer IPv6 header too.
#include "rejected.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u32);
} blocked SEC(".maps");

static __always_inline int check(__u32 address)
{
	return bpf_map_lookup_elem(&blocked, &address) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA(ctx);
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);

	if ((void *)(ip + 1) > DATA_END(ctx))
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return check(ip->daddr);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return check(ip6->daddr.s6_addr32[3]);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	struct ethhdr *eth = DATA(ctx);
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);

	if ((void *)(ip + 1) > DATA_END(ctx))
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return check(ip->daddr);
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(ip6 + 1) > DATA_END(ctx))
		return XDP_PASS;
	return check(ip6->daddr.s6_addr32[3]);
}
