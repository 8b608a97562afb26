// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr is used before anything made it. Linux 5.19.
#include "rejected.h"

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	struct bpf_dynptr text;
	__u32 word = 0;

	bpf_dynptr_read(&word, sizeof(word), &text, 0, 0);
	return word;
}

struct { ARRAY_OF(__u8[16], 1); } texts SEC(".maps");

SEC("tc")
int mended(struct __sk_buff *skb)
{
	struct bpf_dynptr text;
	__u32 word = 0, key = 0;
	void *bytes = bpf_map_lookup_elem(&texts, &key);

	if (!bytes)
		return TC_ACT_OK;
	bpf_dynptr_from_mem(bytes, 16, 0, &text);
	bpf_dynptr_read(&word, sizeof(word), &text, 0, 0);
	return word;
}
