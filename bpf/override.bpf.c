// SPDX-License-Identifier: MIT OR Apache-2.0
// The function that takes the place of the weak one in weak.bpf.c.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__attribute__((noinline)) int answer(void)
{
	volatile int strong = 2;

	return strong;
}

char _license[] SEC("license") = "Dual MIT/GPL";
