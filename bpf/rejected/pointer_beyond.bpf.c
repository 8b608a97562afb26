// SPDX-License-Identifier: MIT OR Apache-2.0
// Past the end of a kernel structure.
#include "rejected.h"

struct task_struct { int pid; } __attribute__((preserve_access_index));

SEC("tp_btf/sched_process_exit")
int rejected(__u64 *ctx)
{
	char *task = (char *)ctx[0];

	return *(volatile int *)(task + 32000);
}

SEC("tp_btf/sched_process_exit")
int mended(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	return task->pid;
}
