// SPDX-License-Identifier: MIT OR Apache-2.0
// Several programs at one tc hook: each adds its digit to the trace, so that the trace shows who ran in which order.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} order_map SEC(".maps");

static __always_inline int saw(__u64 digit)
{
	__u32 key = 0;
	__u64 *trace = bpf_map_lookup_elem(&order_map, &key);

	if (trace)
		*trace = *trace * 10 + digit;
	return TC_ACT_UNSPEC; // no verdict: the next program is asked
}

SEC("tc")
int one(struct __sk_buff *skb)
{
	return saw(1);
}

SEC("tc")
int two(struct __sk_buff *skb)
{
	return saw(2);
}

SEC("tc")
int three(struct __sk_buff *skb)
{
	return saw(3);
}

char _license[] SEC("license") = "Dual MIT/GPL";
