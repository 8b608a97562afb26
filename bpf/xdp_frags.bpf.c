// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet longer than a page lies in several buffers. A program that says it can cope (xdp.frags) may run on an
// interface with a large MTU; data_end is the end of the first buffer, bpf_xdp_get_buff_len() knows the whole.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} longest_map SEC(".maps");

SEC("xdp.frags")
int longest(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *most = bpf_map_lookup_elem(&longest_map, &key);
	__u64 length = bpf_xdp_get_buff_len(ctx);

	if (most && length > *most)
		*most = length;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
