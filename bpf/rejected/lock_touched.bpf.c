// SPDX-License-Identifier: MIT OR Apache-2.0
// The lock is the kernel's: programs may not read or write it.
#include "rejected.h"
#include "lock.h"

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &key);

	if (!account)
		return TC_ACT_OK;
	account->lock.val = 0;
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &key);

	if (!account)
		return TC_ACT_OK;
	account->balance = 0;
	return TC_ACT_OK;
}
