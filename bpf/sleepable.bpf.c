// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that may sleep (`.s`): it may touch memory of user space that is not there yet, and waits until it is.
// Linux 6.0 for uprobes.
#include "seen.h"

// Where to look, in the process that counts.
const volatile __u64 where = 0;

// 0 how often, 1 what is there, 2 the error.
SEC("uprobe.s//proc/self/exe:rawbpf_lesson_sleep")
int read_memory(void *ctx)
{
	if (is_mine()) {
		count(0);
		seen[2] = -bpf_copy_from_user(&seen[1], sizeof(seen[1]), (void *)where);
	}
	return 0;
}
