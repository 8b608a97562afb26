// SPDX-License-Identifier: MIT OR Apache-2.0
// What the processes of a cgroup do with the machine: open devices, write sysctls, set socket options.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("cgroup/dev")
int no_dev_zero(struct bpf_cgroup_dev_ctx *ctx)
{
	return !(ctx->major == 1 && ctx->minor == 5);
}

SEC("cgroup/sysctl")
int read_only(struct bpf_sysctl *ctx)
{
	return !ctx->write;
}

SEC("cgroup/setsockopt")
int no_priority(struct bpf_sockopt *ctx)
{
	if (ctx->level == 1 /* SOL_SOCKET */ && ctx->optname == 12 /* SO_PRIORITY */)
		return 0;
	ctx->optlen = 0; // as the caller set it
	return 1;
}

SEC("cgroup/getsockopt")
int always_seven(struct bpf_sockopt *ctx)
{
	int *value = ctx->optval;

	if (ctx->level != 1 || ctx->optname != 12 || (void *)(value + 1) > ctx->optval_end)
		return 1;
	*value = 7;
	ctx->retval = 0;
	return 1;
}

char _license[] SEC("license") = "GPL";
