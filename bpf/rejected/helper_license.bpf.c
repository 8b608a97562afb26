// SPDX-License-Identifier: MIT OR Apache-2.0
// Some helpers are for programs under the GPL only.
#define LICENSE "Proprietary"
#include "rejected.h"

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), (void *)0);
	return word;
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	return bpf_get_current_pid_tgid() >> 32 ? 1 : 0;
}
