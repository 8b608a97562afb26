// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading user memory that may not be there yet means to wait, and this program must not.
#include "rejected.h"

SEC("tp_btf/sys_enter")
int rejected(__u64 *ctx)
{
	__u64 word = 0;

	bpf_copy_from_user(&word, sizeof(word), (void *)8);
	return word != 0;
}

SEC("tp_btf/sys_enter")
int mended(__u64 *ctx)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)8);
	return word != 0;
}
