// SPDX-License-Identifier: MIT OR Apache-2.0
// freplace: a program that takes the place of one function of another program.
#include "seen.h"

SEC("?xdp")
int target(struct xdp_md *ctx);

// The function to be replaced: global, so that it is verified by itself.
__attribute__((noinline)) int verdict(struct xdp_md *ctx)
{
	volatile int drop = XDP_DROP;
	return drop;
}

int target(struct xdp_md *ctx)
{
	return verdict(ctx);
}
