// SPDX-License-Identifier: MIT OR Apache-2.0
// A cgroup_skb program may look at the packet, not change it.
#include "rejected.h"

SEC("cgroup_skb/ingress")
int rejected(struct __sk_buff *skb)
{
	struct iphdr *ip = DATA(skb);

	if ((void *)(ip + 1) > DATA_END(skb))
		return 1;
	ip->tos = 0;
	return 1;
}

SEC("cgroup_skb/ingress")
int mended(struct __sk_buff *skb)
{
	struct iphdr *ip = DATA(skb);

	if ((void *)(ip + 1) > DATA_END(skb))
		return 1;
	return ip->tos == 0;
}
