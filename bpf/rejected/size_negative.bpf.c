// SPDX-License-Identifier: MIT OR Apache-2.0
// A signed length is tested from above only.
#include "rejected.h"

struct { ARRAY_OF(__s64, 1); } lengths SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u32 key = 0;
	__s64 *length = bpf_map_lookup_elem(&lengths, &key);
	char text[64] = {};
	__s64 n;

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
	__s64 *length = bpf_map_lookup_elem(&lengths, &key);
	char text[64] = {};
	__s64 n;

	if (!length)
		return 0;
	n = *length;
	if (n < 0 || n > 64)
		return 0;
	bpf_probe_read_kernel(text, n, (void *)0);
	return text[0];
}
