// SPDX-License-Identifier: MIT OR Apache-2.0
// The field can be read, not written.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	ctx->ingress_ifindex = 1;
	return XDP_PASS;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	skb->mark = 1;
	return TC_ACT_OK;
}
