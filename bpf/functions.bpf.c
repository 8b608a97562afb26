// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions: two programs in one section, which call the same functions of .text. A static one is verified with
// each caller; a global one once, by itself, for all arguments; a hidden one is global for the linker only.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __attribute__((noinline)) int square(int x)
{
	return x * x;
}

__attribute__((noinline)) int twice(int x)
{
	return 2 * x;
}

// As a global function it could not know that `p` points to anything.
__hidden __attribute__((noinline)) int first_of(const int *p)
{
	return *p;
}

SEC("xdp")
int length_squared(struct xdp_md *ctx)
{
	return square(ctx->data_end - ctx->data);
}

SEC("xdp")
int length_squared_twice(struct xdp_md *ctx)
{
	int n = ctx->data_end - ctx->data;

	return twice(square(first_of(&n)));
}

// Loaded only when it is asked for: it could not be verified.
SEC("?xdp")
int endless(struct xdp_md *ctx)
{
	volatile int n = 0;

	while (n >= 0)
		n = 0;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
