// SPDX-License-Identifier: MIT OR Apache-2.0
// A task that was acquired is not released. Linux 6.2.
#include "rejected.h"

struct task_struct { int pid; } __attribute__((preserve_access_index));

extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;

SEC("tp_btf/task_newtask")
int rejected(__u64 *ctx)
{
	struct task_struct *init = bpf_task_from_pid(1);

	if (!init)
		return 0;
	return init->pid == 1;
}

SEC("tp_btf/task_newtask")
int mended(__u64 *ctx)
{
	struct task_struct *init = bpf_task_from_pid(1);
	int pid;

	if (!init)
		return 0;
	pid = init->pid;
	bpf_task_release(init);
	return pid == 1;
}
