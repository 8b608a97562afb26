// SPDX-License-Identifier: MIT OR Apache-2.0
// What the sockets of a map send and receive: counts, and lets a word through or not.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sockets_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} sockmap_count_map SEC(".maps"); // bytes: 0 sent, 1 parsed, 2 judged by stream_verdict, 3 by verdict

static __always_inline void add(__u32 which, __u64 bytes)
{
	__u64 *sum = bpf_map_lookup_elem(&sockmap_count_map, &which);

	if (sum)
		__sync_fetch_and_add(sum, bytes);
}

SEC("sk_msg")
int on_send(struct sk_msg_md *msg)
{
	add(0, msg->size);
	return SK_PASS;
}

SEC("sk_skb/stream_parser")
int parse(struct __sk_buff *skb)
{
	add(1, skb->len);
	return skb->len; // what came in at once is one message
}

SEC("sk_skb/stream_verdict")
int judge_message(struct __sk_buff *skb)
{
	add(2, skb->len);
	return SK_PASS;
}

SEC("sk_skb/verdict")
int judge_packet(struct __sk_buff *skb)
{
	add(3, skb->len);
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
