// SPDX-License-Identifier: MIT OR Apache-2.0
// Global variables: each data section is a map of one element, whatever follows the second dot of its name.
// Constants are frozen, so that the verifier knows them and drops what they rule out.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int scale = 1;
const volatile _Bool broken = 0;
const volatile int limits[2] SEC(".rodata.limits") = { 5, 50 };
int base = 10;
long extra SEC(".data.extra") = 100;
int runs;
struct {
	short low;
	short high;
} range SEC(".bss.range");
static volatile int inner = 3;

SEC("xdp")
int compute(struct xdp_md *ctx)
{
	if (broken)
		return *(volatile int *)0;	// dead code, or the verifier would refuse it
	runs++;
	range.high = base * scale;
	return base * scale + extra + limits[0] + limits[1] + range.low + inner;
}

char _license[] SEC("license") = "Dual MIT/GPL";
