// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that came with Linux 5.17.
#include "rejected.h"

static long step(__u32 i, void *data)
{
	return 0;
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	bpf_loop(8, step, (void *)0, 0);
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	for (__u32 i = 0; i < 8; i++)
		step(i, (void *)0);
	return XDP_PASS;
}
