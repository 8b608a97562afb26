// SPDX-License-Identifier: MIT OR Apache-2.0
// A hook of the security framework, for the processes of one cgroup: they may make no unix sockets.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("lsm_cgroup/socket_create")
int no_unix_sockets(unsigned long long *ctx)
{
	int family = (int)ctx[0];

	return family != 1; // AF_UNIX
}

char _license[] SEC("license") = "GPL";
