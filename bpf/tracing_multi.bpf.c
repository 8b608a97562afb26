// SPDX-License-Identifier: MIT OR Apache-2.0
// One fentry program at many functions, by one link. Linux 7.2.
#include "seen.h"

SEC("fentry.multi/bpf_fentry_test?")
int entries(void *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = bpf_get_attach_cookie(ctx);
	}
	return 0;
}
