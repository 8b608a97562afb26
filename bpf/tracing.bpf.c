// SPDX-License-Identifier: MIT OR Apache-2.0
// Programs bound to kernel functions by BTF when they are loaded. bpf_fentry_test1(a) returns a + 1; the
// kernel calls it, and others like it, when a tracing program is run by BPF_PROG_TEST_RUN.
#include "seen.h"
#include <bpf/bpf_tracing.h>

// 0 how often, 1 the argument.
SEC("fentry/bpf_fentry_test1")
int BPF_PROG(test1_entry, int a)
{
	if (is_mine()) {
		count(0);
		seen[1] = a;
	}
	return 0;
}

// 2 how often, 3 the result.
SEC("fexit/bpf_fentry_test1")
int BPF_PROG(test1_exit, int a, int ret)
{
	if (is_mine()) {
		count(2);
		seen[3] = ret;
	}
	return 0;
}

// TP_PROTO(struct pt_regs *regs, long id): 4 how often it was getpgid.
SEC("tp_btf/sys_enter")
int BPF_PROG(syscall_entry, void *regs, long id)
{
	if (is_mine() && id == GETPGID)
		count(4);
	return 0;
}
