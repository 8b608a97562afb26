// SPDX-License-Identifier: MIT OR Apache-2.0
// A map that objects share by its name in the bpffs: the first load pins it, the next ones take what is pinned.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shared SEC(".maps");

SEC("xdp")
int note(struct xdp_md *ctx)
{
	__u32 key = ctx->data_end - ctx->data;
	__u64 one = 1, *count = bpf_map_lookup_elem(&shared, &key);

	if (count)
		return ++*count;
	bpf_map_update_elem(&shared, &key, &one, 0);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
