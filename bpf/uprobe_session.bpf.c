// SPDX-License-Identifier: MIT OR Apache-2.0
// A session of a user function: entry and return in one program. Linux 6.13.
#include "seen.h"

SEC("uprobe.session//proc/self/exe:rawbpf_test_function")
int session(void *ctx)
{
	if (is_mine())
		count(0);
	return 0;
}
