// SPDX-License-Identifier: MIT OR Apache-2.0
// After bpftrace/bpftrace pull request 1810: the first 8 bytes of a tracepoint's record are not for programs.
#include "rejected.h"

struct exec {
	__u16 common_type;
	__u8 common_flags;
	__u8 common_preempt_count;
	__s32 common_pid;
	__u32 filename;
	__s32 pid;
};

SEC("tp/sched/sched_process_exec")
int rejected(struct exec *ctx)
{
	return ctx->common_preempt_count;
}

SEC("tp/sched/sched_process_exec")
int mended(struct exec *ctx)
{
	return ctx->pid;
}
