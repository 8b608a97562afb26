// SPDX-License-Identifier: MIT OR Apache-2.0
// A read-side critical section that one path leaves open. Linux 6.2.
#include "rejected.h"

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

SEC("tp_btf/sched_process_exit")
int rejected(__u64 *ctx)
{
	bpf_rcu_read_lock();
	if (bpf_get_smp_processor_id() == 0)
		return 0;
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tp_btf/sched_process_exit")
int mended(__u64 *ctx)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}
