// SPDX-License-Identifier: MIT OR Apache-2.0
// A cookie for what BTF bound.
#include "seen.h"

SEC("fentry/bpf_fentry_test1")
int with_cookie(void *ctx)
{
	if (is_mine()) {
		count(0);
		seen[1] = bpf_get_attach_cookie(ctx);
	}
	return 0;
}
