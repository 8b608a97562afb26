// SPDX-License-Identifier: MIT OR Apache-2.0
// A cookie is a number that an attachment brings along, so that one program can tell its hooks apart.
#include "seen.h"

SEC("kprobe")
int probe_cookie(void *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("tracepoint")
int tracepoint_cookie(void *ctx)
{
	if (is_mine()) {
		count(2);
		seen[3] = bpf_get_attach_cookie(ctx);
	}
	return 0;
}
