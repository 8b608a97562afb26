// SPDX-License-Identifier: MIT OR Apache-2.0
// After parttimenerd/ebpf-verifier-errors issue 3: counting by the name of the process, without asking whether it has
// an entry.
#include "rejected.h"

struct comm { char text[16]; };
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct comm);
	__type(value, __u32);
} calls SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	struct comm comm = {};
	__u32 *count;

	bpf_get_current_comm(&comm, sizeof(comm));
	count = bpf_map_lookup_elem(&calls, &comm);
	*count = *count + 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	struct comm comm = {};
	__u32 *count, one = 1;

	bpf_get_current_comm(&comm, sizeof(comm));
	count = bpf_map_lookup_elem(&calls, &comm);
	if (count)
		*count = *count + 1;
	else
		bpf_map_update_elem(&calls, &comm, &one, BPF_ANY);
	return 0;
}
