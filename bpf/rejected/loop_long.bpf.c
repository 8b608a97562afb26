// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop that ends, after more steps than the verifier follows.
#include "rejected.h"

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 1000000; i++) {
		sum += i;
		opaque(sum);
	}
	return sum ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 1000; i++) {
		sum += i;
		opaque(sum);
	}
	return sum ? XDP_DROP : XDP_PASS;
}
