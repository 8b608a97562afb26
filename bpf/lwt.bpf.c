// SPDX-License-Identifier: MIT OR Apache-2.0
// Packets of one route: counted as they leave, or dropped.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} lwt_map SEC(".maps"); // 0: in, 1: out, 2: xmit

static __always_inline void count(__u32 which)
{
	__u64 *packets = bpf_map_lookup_elem(&lwt_map, &which);

	if (packets)
		__sync_fetch_and_add(packets, 1);
}

SEC("lwt_in")
int count_arriving(struct __sk_buff *skb)
{
	count(0);
	return BPF_OK;
}

SEC("lwt_out")
int count_leaving(struct __sk_buff *skb)
{
	count(1);
	return BPF_OK;
}

SEC("lwt_xmit")
int drop_at_device(struct __sk_buff *skb)
{
	count(2);
	return BPF_DROP;
}

SEC("lwt_seg6local")
int end_here(struct __sk_buff *skb)
{
	return BPF_OK;
}

char _license[] SEC("license") = "GPL";
