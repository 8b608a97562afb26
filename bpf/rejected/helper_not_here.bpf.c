// SPDX-License-Identifier: MIT OR Apache-2.0
// Not every type of program has every helper.
#include "rejected.h"

SEC("socket")
int rejected(struct __sk_buff *skb)
{
	return bpf_redirect(1, 0);
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	return bpf_redirect(1, 0);
}
