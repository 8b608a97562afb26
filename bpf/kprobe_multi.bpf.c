// SPDX-License-Identifier: MIT OR Apache-2.0
// One program at many functions, by one link; and one that sees entry and return of a call as one session.
#include "seen.h"

// 0 how often, 1 the last cookie. The functions are those that fentry's self-test calls.
SEC("kprobe.multi/bpf_fentry_test*")
int entries(void *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("kretprobe.multi/bpf_fentry_test?")
int exits(void *ctx)
{
	if (is_mine())
		count(2);
	return 0;
}

// For as many functions as are wanted.
SEC("?kprobe.multi")
int many(void *ctx)
{
	count(3);
	return 0;
}
