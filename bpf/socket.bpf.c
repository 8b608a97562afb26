// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs of one socket. The filter lets the first four bytes of a datagram's UDP header and data through; the other
// program always chooses the socket that is second in the map.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} choices_map SEC(".maps");

SEC("socket")
int shorten(struct __sk_buff *skb)
{
	return 8 + 4; // the UDP header, and four bytes
}

SEC("sk_reuseport")
int choose_second(struct sk_reuseport_md *md)
{
	__u32 second = 1;

	return bpf_sk_select_reuseport(md, &choices_map, &second, 0) ? SK_DROP : SK_PASS;
}

char _license[] SEC("license") = "GPL";
