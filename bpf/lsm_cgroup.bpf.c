// SPDX-License-Identifier: MIT OR Apache-2.0
// A security module's hook for the processes of one cgroup. Here 1 means yes and 0 means no.
#include "seen.h"
#include <bpf/bpf_tracing.h>

SEC("lsm_cgroup/socket_create")
int BPF_PROG(no_raw_sockets, int family, int type, int protocol, int kern)
{
	if (kern || type != 3 /* SOCK_RAW */)
		return 1;
	count(0);
	return 0;
}
