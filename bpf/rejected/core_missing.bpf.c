// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel has no such field; CO-RE made the access a call that cannot be made.
#include "rejected.h"

struct task_struct { int pid; int pidd; } __attribute__((preserve_access_index));

SEC("tp_btf/sched_process_exit")
int rejected(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	return task->pidd;
}

SEC("tp_btf/sched_process_exit")
int mended(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];

	if (bpf_core_field_exists(task->pidd))
		return task->pidd;
	return task->pid;
}
