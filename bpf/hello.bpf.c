// SPDX-License-Identifier: MIT OR Apache-2.0
// Hello, world, from two places in the kernel: where packets come in, and where processes are made.
//
// bpf_printk() writes a line into the kernel's trace, a log that all programs of the machine share. It is the
// quickest way to see that a program runs, and meant for nothing more. `examples/hello.rs` reads the lines back.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// XDP: runs for each packet as the driver has received it. data and data_end are where its bytes begin and end.
SEC("xdp")
int hello_packet(struct xdp_md *ctx)
{
	bpf_printk("hello, packet of %d bytes", ctx->data_end - ctx->data);
	return XDP_PASS; // let it go on as if we were not there
}

// ksyscall: at the entry of a system call, here of the one that makes processes and threads. The function behind
// it is named differently on each architecture (__x64_sys_clone ...); the loader finds the name.
SEC("ksyscall/clone")
int hello_clone(void *ctx)
{
	// The upper half is what user space calls the process, the lower half the thread.
	bpf_printk("hello, clone by process %d", bpf_get_current_pid_tgid() >> 32);
	return 0;
}

// Some helpers, bpf_trace_printk among them, are for programs under the GPL only.
char _license[] SEC("license") = "GPL";
