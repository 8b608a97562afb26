// SPDX-License-Identifier: MIT OR Apache-2.0
// Replaces the kernel's search for addresses and ports in a packet; this one only counts, and finds nothing.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} dissected_map SEC(".maps");

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&dissected_map, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	return BPF_DROP; // not understood: there are no keys
}

char _license[] SEC("license") = "GPL";
