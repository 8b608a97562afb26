// SPDX-License-Identifier: MIT OR Apache-2.0
// The lock is still held at the end of one path.
#include "rejected.h"
#include "lock.h"

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &key);

	if (!account)
		return TC_ACT_OK;
	bpf_spin_lock(&account->lock);
	if (account->balance == 0)
		return TC_ACT_SHOT;
	account->balance -= 1;
	bpf_spin_unlock(&account->lock);
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &key);
	int action = TC_ACT_OK;

	if (!account)
		return TC_ACT_OK;
	bpf_spin_lock(&account->lock);
	if (account->balance == 0)
		action = TC_ACT_SHOT;
	else
		account->balance -= 1;
	bpf_spin_unlock(&account->lock);
	return action;
}
