// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler as a struct_ops table (sched_ext, Linux 6.12): this one leaves all decisions to the kernel, for tasks
// that ask for it alone, and counts that it began and ended. Both functions may sleep: struct_ops.s.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct scx_exit_info;

// An excerpt of the kernel's, in another order: members are found by name.
struct sched_ext_ops {
	char name[128];
	__u64 flags;
	__s32 (*init)(void);
	void (*exit)(struct scx_exit_info *info);
};

int begun, ended;

SEC("struct_ops.s")
__s32 BPF_PROG(lesson_init)
{
	__sync_fetch_and_add(&begun, 1);
	return 0;
}

SEC("struct_ops.s")
void BPF_PROG(lesson_exit, struct scx_exit_info *info)
{
	__sync_fetch_and_add(&ended, 1);
}

SEC(".struct_ops.link")
struct sched_ext_ops lesson = {
	.name = "lesson",
	.flags = 1 << 3,	// SCX_OPS_SWITCH_PARTIAL: only tasks of policy SCHED_EXT
	.init = (void *)lesson_init,
	.exit = (void *)lesson_exit,
};

char _license[] SEC("license") = "GPL";
