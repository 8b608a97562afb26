// SPDX-License-Identifier: MIT OR Apache-2.0
// How much a helper may write must have a limit that the verifier knows.
#include "rejected.h"

struct { ARRAY_OF(__u64, 1); } lengths SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u32 key = 0;
	__u64 *length = bpf_map_lookup_elem(&lengths, &key);
	char text[64] = {};

	if (!length)
		return 0;
	bpf_probe_read_kernel(text, *length, (void *)0);
	return text[0];
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	__u32 key = 0;
	__u64 *length = bpf_map_lookup_elem(&lengths, &key);
	char text[64] = {};
	__u64 n;

	if (!length)
		return 0;
	n = *length;
	if (n > sizeof(text))
		n = sizeof(text);
	bpf_probe_read_kernel(text, n, (void *)0);
	return text[0];
}
