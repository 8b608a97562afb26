// SPDX-License-Identifier: MIT OR Apache-2.0
// `const` globals are in a map that programs may not write.
#include "rejected.h"

const volatile __u32 limit = 5;

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	*(volatile __u32 *)&limit = 6;
	return XDP_PASS;
}

volatile __u32 level = 5;

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	level = 6;
	return XDP_PASS;
}
