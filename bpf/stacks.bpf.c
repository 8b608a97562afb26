// SPDX-License-Identifier: MIT OR Apache-2.0
// Takes stack traces of the kernel and of the process that runs it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 127 * sizeof(__u64));
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);	// ids: the kernel's stack, the process's stack
	__type(key, __u32);
	__type(value, __s64);
} stack_ids SEC(".maps");

SEC("raw_tp/sched_switch")
int take_stacks(void *ctx)
{
	__u32 key = 0;
	__s64 id = bpf_get_stackid(ctx, &stacks, 0);

	bpf_map_update_elem(&stack_ids, &key, &id, BPF_ANY);
	key = 1;
	id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	bpf_map_update_elem(&stack_ids, &key, &id, BPF_ANY);
	return 0;
}

char _license[] SEC("license") = "GPL";
