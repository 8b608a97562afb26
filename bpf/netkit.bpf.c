// SPDX-License-Identifier: MIT OR Apache-2.0
// Both ends of a netkit pair: what leaves the primary device is counted, what leaves its peer is dropped if so told.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} netkit_map SEC(".maps"); // 0: packets from the primary device, 1: from the peer, 2: drop those if not zero

static __always_inline void count(__u32 which)
{
	__u64 *packets = bpf_map_lookup_elem(&netkit_map, &which);

	if (packets)
		__sync_fetch_and_add(packets, 1);
}

SEC("netkit/primary")
int from_primary(struct __sk_buff *skb)
{
	count(0);
	return -1; // NETKIT_NEXT
}

SEC("netkit/peer")
int from_peer(struct __sk_buff *skb)
{
	__u32 key = 2;
	__u64 *drop = bpf_map_lookup_elem(&netkit_map, &key);

	count(1);
	return drop && *drop ? 2 /* NETKIT_DROP */ : -1;
}

char _license[] SEC("license") = "GPL";
