// SPDX-License-Identifier: MIT OR Apache-2.0
// A tail call does not return, so what is held would never be given back.
#include "rejected.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, 0);

	if (!sk)
		return TC_ACT_OK;
	bpf_tail_call(skb, &next, 0);
	bpf_sk_release(sk);
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, 0);

	if (!sk)
		return TC_ACT_OK;
	bpf_sk_release(sk);
	bpf_tail_call(skb, &next, 0);
	return TC_ACT_OK;
}
