// SPDX-License-Identifier: MIT OR Apache-2.0
// The compiler took `__builtin_unreachable` at its word: the function ends with a call, not with an exit.
#include "rejected.h"

static __noinline int never(void)
{
	bpf_ktime_get_ns();
	__builtin_unreachable();
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	return never();
}

static __noinline int always(void)
{
	bpf_ktime_get_ns();
	return XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	return always();
}
