// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer read out of a structure may be stale: a kfunc takes only pointers that are known to be good. Linux 6.2.
#include "rejected.h"

struct task_struct {
	int pid;
	struct task_struct *last_wakee;
} __attribute__((preserve_access_index));

extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;

SEC("tp_btf/task_newtask")
int rejected(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct *wakee = bpf_task_acquire(task->last_wakee);

	if (wakee)
		bpf_task_release(wakee);
	return 0;
}

SEC("tp_btf/task_newtask")
int mended(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_struct *kept = bpf_task_acquire(task);

	if (kept)
		bpf_task_release(kept);
	return 0;
}
