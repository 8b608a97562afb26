// SPDX-License-Identifier: MIT OR Apache-2.0
// A socket is read after it was released.
#include "rejected.h"

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, 0);

	if (!sk)
		return TC_ACT_OK;
	bpf_sk_release(sk);
	return sk->family == 2 ? TC_ACT_OK : TC_ACT_SHOT;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), -1, 0);
	int family;

	if (!sk)
		return TC_ACT_OK;
	family = sk->family;
	bpf_sk_release(sk);
	return family == 2 ? TC_ACT_OK : TC_ACT_SHOT;
}
