// SPDX-License-Identifier: MIT OR Apache-2.0
// Elements that are set in the file: maps in a map, and programs in a program array.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} one SEC(".maps"), other SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct inner);
} maps SEC(".maps") = {
	.values = { [1] = &one, [3] = &other },
};

// The value in slot (length of the packet - 14) of the outer map, or -1.
SEC("xdp")
int value_of(struct xdp_md *ctx)
{
	__u32 slot = ctx->data_end - ctx->data - 14, zero = 0;
	void *map = bpf_map_lookup_elem(&maps, &slot);
	__u32 *value = map ? bpf_map_lookup_elem(map, &zero) : 0;

	return value ? *value : -1;
}

int end(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, int(void *));
} next SEC(".maps") = {
	.values = { [2] = (void *)&end },
};

SEC("xdp")
int jump(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &next, ctx->data_end - ctx->data - 14);
	return -1;
}

SEC("xdp")
int end(struct xdp_md *ctx)
{
	return 77;
}

char _license[] SEC("license") = "Dual MIT/GPL";
