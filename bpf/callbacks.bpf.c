// SPDX-License-Identifier: MIT OR Apache-2.0
// Callbacks: the address of a function is given to a helper, which calls it for each number (bpf_loop, Linux 5.17)
// or for each element of a map (bpf_for_each_map_elem, Linux 5.13).
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

static long add_index(__u32 index, __u32 *sum)
{
	*sum += index;
	return 0;
}

static long add_value(struct bpf_map *map, __u32 *key, __u32 *value, __u32 *sum)
{
	*sum += *value;
	return 0;
}

SEC("xdp")
int sum_of_indexes(struct xdp_md *ctx)
{
	__u32 sum = 0;

	bpf_loop(10, add_index, &sum, 0);
	return sum;
}

SEC("xdp")
int sum_of_values(struct xdp_md *ctx)
{
	__u32 sum = 0;

	bpf_for_each_map_elem(&numbers, add_value, &sum, 0);
	return sum;
}

char _license[] SEC("license") = "Dual MIT/GPL";
