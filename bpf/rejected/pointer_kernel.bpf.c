// SPDX-License-Identifier: MIT OR Apache-2.0
// An address from the kernel is a number here: reading there takes a helper.
#include "rejected.h"

struct task { int pid; };

SEC("raw_tp/sched_process_exit")
int rejected(struct bpf_raw_tracepoint_args *ctx)
{
	struct task *task = (void *)ctx->args[0];

	return task->pid;
}

SEC("raw_tp/sched_process_exit")
int mended(struct bpf_raw_tracepoint_args *ctx)
{
	struct task *task = (void *)ctx->args[0];
	int pid = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid), &task->pid);
	return pid;
}
