// SPDX-License-Identifier: MIT OR Apache-2.0
// Counts packets in both directions. The section says which: `rawbpf load tc_count.o --tc eth0` attaches both.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} tc_count_map SEC(".maps");

static __always_inline int count(__u32 direction)
{
	__u64 *packets = bpf_map_lookup_elem(&tc_count_map, &direction);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	return TC_ACT_OK;
}

SEC("tc/ingress")
int count_in(struct __sk_buff *skb)
{
	return count(0);
}

SEC("tc/egress")
int count_out(struct __sk_buff *skb)
{
	return count(1);
}

char _license[] SEC("license") = "Dual MIT/GPL";
