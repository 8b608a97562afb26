// SPDX-License-Identifier: MIT OR Apache-2.0
// The context has no such field for this type of program.
#include "rejected.h"

SEC("socket")
int rejected(struct __sk_buff *skb)
{
	return skb->tstamp ? 1 : 0;
}

SEC("socket")
int mended(struct __sk_buff *skb)
{
	return skb->len ? 1 : 0;
}
