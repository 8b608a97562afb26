// SPDX-License-Identifier: MIT OR Apache-2.0
// Symbols of the kernel: an address without a type from /proc/kallsyms, a variable with its type from BTF (one of
// each CPU's, as only those are in it), and the same again for names that no kernel has: weak, so they are 0.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const void schedule __ksym;
extern const void no_such_address __ksym __weak;
extern const int bpf_prog_active __ksym;
extern const int no_such_variable __ksym __weak;

__u64 address;
__u64 lost;
int active = -1;
int cpu_found;

SEC("raw_tp")
int look(void *ctx)
{
	const int *here = bpf_per_cpu_ptr(&bpf_prog_active, 0);

	address = (__u64)&schedule;
	lost = (__u64)&no_such_address + (__u64)&no_such_variable;
	cpu_found = here != 0;
	if (here)
		active = *here;
	return 0;
}

char _license[] SEC("license") = "GPL";
