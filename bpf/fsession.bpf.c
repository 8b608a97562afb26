// SPDX-License-Identifier: MIT OR Apache-2.0
// fsession: fentry and fexit of a call in one program. Linux 7.0.
#include "seen.h"

SEC("fsession/bpf_fentry_test1")
int both_ends(void *ctx)
{
	if (is_mine())
		count(0);
	return 0;
}
