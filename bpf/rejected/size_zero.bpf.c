// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that must be given at least one byte is given what may be none.
#include "rejected.h"

struct { ARRAY_OF(char[64], 1); } texts SEC(".maps");

SEC("raw_tp/sys_enter")
int rejected(void *ctx)
{
	__u32 key = 0;
	char *text = bpf_map_lookup_elem(&texts, &key);

	if (!text)
		return 0;
	bpf_get_current_comm(text, text[0] & 31);
	return 0;
}

SEC("raw_tp/sys_enter")
int mended(void *ctx)
{
	__u32 key = 0;
	char *text = bpf_map_lookup_elem(&texts, &key);
	__u32 n;

	if (!text)
		return 0;
	n = (text[0] & 31) + 1;
	bpf_get_current_comm(text, n);
	return 0;
}
