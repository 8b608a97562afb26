// SPDX-License-Identifier: MIT OR Apache-2.0
// Sections of a project's own: their names say no program type, so whoever loads them must (--type).
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("our/entry")
int entry(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("our/exit")
int leave(struct __sk_buff *skb)
{
	return skb->len;
}

char _license[] SEC("license") = "Dual MIT/GPL";
