// SPDX-License-Identifier: MIT OR Apache-2.0
// Kernel structures can be read, not written.
#include "rejected.h"

struct task_struct { int pid; } __attribute__((preserve_access_index));

SEC("tp_btf/sched_process_exit")
int rejected(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	task->pid = 1;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int mended(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	return task->pid == 1;
}
