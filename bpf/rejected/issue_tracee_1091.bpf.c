// SPDX-License-Identifier: MIT OR Apache-2.0
// After aquasecurity/tracee issue 1091: the offset into a buffer is tested, then read from memory again, and the
// second value is another as far as anybody knows.
#include "rejected.h"

#define SIZE 32768
struct buffer { __u8 bytes[SIZE]; };
struct { ARRAY_OF(struct buffer, 1); } buffers SEC(".maps");
struct { ARRAY_OF(__u32, 1); } offsets SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u32 key = 0;
	struct buffer *buffer = bpf_map_lookup_elem(&buffers, &key);
	volatile __u32 *offset = bpf_map_lookup_elem(&offsets, &key);

	if (!buffer || !offset)
		return 0;
	if (*offset >= SIZE)
		return 0;
	buffer->bytes[*offset] = 1;
	return 0;
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	__u32 key = 0, at;
	struct buffer *buffer = bpf_map_lookup_elem(&buffers, &key);
	volatile __u32 *offset = bpf_map_lookup_elem(&offsets, &key);

	if (!buffer || !offset)
		return 0;
	at = *offset;
	if (at >= SIZE)
		return 0;
	buffer->bytes[at] = 1;
	return 0;
}
