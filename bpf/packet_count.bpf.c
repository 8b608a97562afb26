// SPDX-License-Identifier: MIT OR Apache-2.0
// Counts packets: one XDP program and one map. The smallest program that does something worth doing.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// One counter for each CPU would need no atomic addition; one for all is easier to read.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packet_count_map SEC(".maps");

SEC("xdp")
int count_packets(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&packet_count_map, &key);

	// The verifier insists: a lookup may find nothing, and then there is nothing to add to.
	if (count)
		__sync_fetch_and_add(count, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
