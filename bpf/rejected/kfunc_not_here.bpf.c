// SPDX-License-Identifier: MIT OR Apache-2.0
// A kfunc for iterators over sockets, called from a traffic control program. Linux 6.5.
#include "rejected.h"

struct sock_common { unsigned short skc_family; } __attribute__((preserve_access_index));

extern int bpf_sock_destroy(struct sock_common *sock) __ksym;

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	bpf_sock_destroy((void *)skb);
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}
