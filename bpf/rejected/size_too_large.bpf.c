// SPDX-License-Identifier: MIT OR Apache-2.0
// The limit of the length is larger than the buffer.
#include "rejected.h"

struct { ARRAY_OF(__u64, 1); } lengths SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u32 key = 0;
	__u64 *length = bpf_map_lookup_elem(&lengths, &key);
	char text[32] = {};
	__u64 n;

	if (!length)
		return 0;
	n = *length;
	if (n > 64)
		return 0;
	bpf_probe_read_kernel(text, n, (void *)0);
	return text[0];
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	__u32 key = 0;
	__u64 *length = bpf_map_lookup_elem(&lengths, &key);
	char text[32] = {};
	__u64 n;

	if (!length)
		return 0;
	n = *length;
	if (n > sizeof(text))
		return 0;
	bpf_probe_read_kernel(text, n, (void *)0);
	return text[0];
}
