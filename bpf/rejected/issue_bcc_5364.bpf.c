// SPDX-License-Identifier: MIT OR Apache-2.0
// After iovisor/bcc pull request 5364 (opensnoop): a filter returns between reserving an event and submitting it.
#include "rejected.h"

struct event { __u64 id; char comm[16]; };
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

const volatile __u32 only_uid = 1000;

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return 0;
	event->id = bpf_get_current_pid_tgid();
	if ((__u32)bpf_get_current_uid_gid() != only_uid)
		return 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	struct event *event;

	if ((__u32)bpf_get_current_uid_gid() != only_uid)
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 0;
	event->id = bpf_get_current_pid_tgid();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}
