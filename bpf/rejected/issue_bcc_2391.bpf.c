// SPDX-License-Identifier: MIT OR Apache-2.0
// After iovisor/bcc issue 2391: the message's length is a signed `int`, so it may be negative.
#include "rejected.h"

struct message { __u64 base, length; };
struct event { char text[256]; };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} heap SEC(".maps");
struct { ARRAY_OF(struct message, 1); } messages SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&heap, &key);
	struct message *m = bpf_map_lookup_elem(&messages, &key);
	int length;

	if (!event || !m)
		return 0;
	length = m->length;
	if (length > (int)sizeof(event->text))
		length = sizeof(event->text);
	bpf_probe_read_kernel(event->text, length, (void *)m->base);
	return 0;
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	__u32 key = 0;
	struct event *event = bpf_map_lookup_elem(&heap, &key);
	struct message *m = bpf_map_lookup_elem(&messages, &key);
	__u64 length;

	if (!event || !m)
		return 0;
	length = m->length;
	if (length > sizeof(event->text))
		length = sizeof(event->text);
	bpf_probe_read_kernel(event->text, length, (void *)m->base);
	return 0;
}
