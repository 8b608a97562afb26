// SPDX-License-Identifier: MIT OR Apache-2.0
// A cgroup program answers 0 or 1, and this one answers whatever the socket has.
#include "rejected.h"

SEC("cgroup/sock_create")
int rejected(struct bpf_sock *sk)
{
	return sk->family;
}

SEC("cgroup/sock_create")
int mended(struct bpf_sock *sk)
{
	return sk->family == 2;
}
