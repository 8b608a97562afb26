// SPDX-License-Identifier: MIT OR Apache-2.0
// One program at many functions of a file, by one link. Linux 6.6.
#include "seen.h"

SEC("uprobe.multi//proc/self/exe:rawbpf_test_*")
int entries(void *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = bpf_get_attach_cookie(ctx);
	}
	return 0;
}

SEC("uretprobe.multi//proc/self/exe:rawbpf_test_function")
int exits(void *ctx)
{
	if (is_mine())
		count(2);
	return 0;
}
