// SPDX-License-Identifier: MIT OR Apache-2.0
// CO-RE on the running kernel's types: where a field is, how big a type is, what there is and what there is not. The
// structs are excerpts, and what follows `___` is not part of a name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int tgid;
	struct task_struct *group_leader;
	int no_such_member;
} __attribute__((preserve_access_index));

struct task_struct___flavour {
	int pid;
} __attribute__((preserve_access_index));

struct no_such_struct {
	int x;
} __attribute__((preserve_access_index));

struct list_head {
	struct list_head *next, *prev;
};

enum bpf_map_type___here {
	BPF_MAP_TYPE_ARRAY___here = 1000,
	BPF_MAP_TYPE_NO_SUCH___here,
};

// 0 the process, 1 the thread, 2 the leader's process, 3 the size of a list head, 4 a value, 5 and 6 what there is
int found[7];

SEC("raw_tp")
int look(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct___flavour *same = (void *)task;

	found[0] = BPF_CORE_READ(task, tgid);
	found[1] = BPF_CORE_READ(same, pid);
	found[2] = BPF_CORE_READ(task, group_leader, tgid);
	found[3] = bpf_core_type_size(struct list_head);
	found[4] = bpf_core_enum_value(enum bpf_map_type___here, BPF_MAP_TYPE_ARRAY___here);
	found[5] = bpf_core_field_exists(task->tgid) + 2 * bpf_core_type_exists(struct list_head) +
		   4 * bpf_core_enum_value_exists(enum bpf_map_type___here, BPF_MAP_TYPE_ARRAY___here);
	found[6] = bpf_core_field_exists(task->no_such_member) + bpf_core_type_exists(struct no_such_struct) +
		   bpf_core_enum_value_exists(enum bpf_map_type___here, BPF_MAP_TYPE_NO_SUCH___here);
	// Code that is never reached may name what this kernel does not have.
	if (bpf_core_field_exists(task->no_such_member))
		found[6] = BPF_CORE_READ(task, no_such_member);
	return 0;
}

char _license[] SEC("license") = "GPL";
