// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop over a global array goes one step too far.
#include "rejected.h"

__u32 table[8];

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 sum = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i <= 8; i++) {
		opaque(i);
		sum += table[i];
	}
	return sum ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 sum = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < 8; i++) {
		opaque(i);
		sum += table[i];
	}
	return sum ? XDP_DROP : XDP_PASS;
}
