// SPDX-License-Identifier: MIT OR Apache-2.0
// What replaces `verdict` of replace.bpf.c. Which program it is in, the loader has to be told.
#include "seen.h"

SEC("freplace/verdict")
int new_verdict(struct xdp_md *ctx)
{
	count(0);
	return XDP_PASS;
}
