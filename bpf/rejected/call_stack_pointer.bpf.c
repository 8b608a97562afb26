// SPDX-License-Identifier: MIT OR Apache-2.0
// A function returns the address of its own variable.
#include "rejected.h"

static __noinline char *text(struct xdp_md *ctx)
{
	volatile char local[8] = "hello";
	char *p = (char *)local;

	opaque(p);
	return p;
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	return *text(ctx) ? XDP_DROP : XDP_PASS;
}

static __noinline void fill(char *to)
{
	to[0] = 'h';
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	char local[8] = {};

	fill(local);
	return local[0] ? XDP_DROP : XDP_PASS;
}
