// SPDX-License-Identifier: MIT OR Apache-2.0
// Preemption is switched off and never on again. Linux 6.10.
#include "rejected.h"

extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_preempt_enable();
	return TC_ACT_OK;
}
