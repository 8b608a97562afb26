// SPDX-License-Identifier: MIT OR Apache-2.0
// Two ways to say no to opening a file: a security module's hook, and changing what the hook's function
// returns. Both say -EPERM to one process, and only when it opens for writing with O_APPEND|O_SYNC.
#include "seen.h"
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

struct file {
	unsigned int f_flags;
} __attribute__((preserve_access_index));

#define EPERM 1
#define ODD (02000 | 04010000) // O_APPEND | O_SYNC, as nobody opens by chance

static __always_inline int is_odd(struct file *file)
{
	return is_mine() && (file->f_flags & ODD) == ODD;
}

SEC("lsm/file_open")
int BPF_PROG(deny_open, struct file *file, int ret)
{
	if (ret || !is_odd(file))
		return ret;
	count(0);
	return -EPERM;
}

SEC("?fmod_ret/security_file_open")
int BPF_PROG(change_open, struct file *file, int ret)
{
	if (ret || !is_odd(file))
		return ret;
	count(1);
	return -EPERM;
}
