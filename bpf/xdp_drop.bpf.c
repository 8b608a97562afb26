// SPDX-License-Identifier: MIT OR Apache-2.0
// Drops every packet that an interface receives, and counts what it dropped.
//
// XDP runs in the driver, before the kernel has made a socket buffer for the packet: nothing in Linux can drop
// one earlier, and nothing is cheaper.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct dropped {
	__u64 packets;
	__u64 bytes;
};

// Each CPU has a value of its own, so that none waits for another; user space adds them up.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dropped);
} dropped SEC(".maps");

SEC("xdp")
int drop_all(struct xdp_md *ctx)
{
	__u32 key = 0;
	struct dropped *count = bpf_map_lookup_elem(&dropped, &key);

	if (count) {
		count->packets++;
		count->bytes += ctx->data_end - ctx->data;
	}
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
