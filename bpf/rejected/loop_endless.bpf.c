// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop that nothing ends.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 n = 0;

	while (ctx->ingress_ifindex != 0)
		opaque(n);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	for (int i = 0; i < 100 && ctx->ingress_ifindex != 0; i++)
		opaque(i);
	return XDP_PASS;
}
