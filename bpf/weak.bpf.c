// SPDX-License-Identifier: MIT OR Apache-2.0
// A weak function: the linker takes another of its name if there is one (override.bpf.c). What was replaced stays
// in .text as instructions that belong to no function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__weak __attribute__((noinline)) int answer(void)
{
	volatile int weak = 1;

	return weak;
}

SEC("xdp")
int ask(struct xdp_md *ctx)
{
	return answer();
}

char _license[] SEC("license") = "Dual MIT/GPL";
