// SPDX-License-Identifier: MIT OR Apache-2.0
// An exception: bpf_throw ends the program from wherever it is, and the function that its program names in a tag
// says what it returns. Nobody calls that function, so it is found by the tag alone. Linux 6.7.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_throw(__u64 cookie) __ksym;

__attribute__((noinline)) int caught(__u64 cookie)
{
	return cookie + 100;
}

static __attribute__((noinline)) int checked(int n)
{
	if (n > 20)
		bpf_throw(n);
	return n;
}

SEC("xdp")
__attribute__((btf_decl_tag("exception_callback:caught")))
int at_most_20(struct xdp_md *ctx)
{
	return checked(ctx->data_end - ctx->data);
}

char _license[] SEC("license") = "Dual MIT/GPL";
