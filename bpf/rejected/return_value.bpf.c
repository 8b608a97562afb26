// SPDX-License-Identifier: MIT OR Apache-2.0
// A cgroup program answers 0 or 1.
#include "rejected.h"

SEC("cgroup/sock_create")
int rejected(struct bpf_sock *sk)
{
	return 7;
}

SEC("cgroup/sock_create")
int mended(struct bpf_sock *sk)
{
	return 1;
}
