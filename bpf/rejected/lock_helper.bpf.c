// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing may be called while a lock is held.
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
	account->balance = bpf_ktime_get_ns();
	bpf_spin_unlock(&account->lock);
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct account *account = bpf_map_lookup_elem(&accounts, &key);
	__u64 now = bpf_ktime_get_ns();

	if (!account)
		return TC_ACT_OK;
	bpf_spin_lock(&account->lock);
	account->balance = now;
	bpf_spin_unlock(&account->lock);
	return TC_ACT_OK;
}
