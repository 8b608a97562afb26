// SPDX-License-Identifier: MIT OR Apache-2.0
// A program among the rules of iptables: drops what it is told to drop, and counts.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} netfilter_map SEC(".maps"); // 0: packets seen, 1: drop them if not zero

SEC("netfilter")
int gate(void *ctx)
{
	__u32 seen_key = 0, drop_key = 1;
	__u64 *seen = bpf_map_lookup_elem(&netfilter_map, &seen_key);
	__u64 *drop = bpf_map_lookup_elem(&netfilter_map, &drop_key);

	if (seen)
		__sync_fetch_and_add(seen, 1);
	return drop && *drop ? 0 /* NF_DROP */ : 1 /* NF_ACCEPT */;
}

char _license[] SEC("license") = "GPL";
