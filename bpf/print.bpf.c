// SPDX-License-Identifier: MIT OR Apache-2.0
// Prints to the kernel's trace: the quickest way to see that a program runs, and not meant for more.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int print_hello(struct xdp_md *ctx)
{
	bpf_printk("hello from %d bytes", ctx->data_end - ctx->data);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
