// SPDX-License-Identifier: MIT OR Apache-2.0
// Tables that are not made unless they are asked for: the section begins with `?`, and that counts for both. Their
// programs are left out with them. The second has a member that no kernel has; it is zero, so that is fine.
#include "cc.h"

struct tcp_congestion_ops___newer {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	__u64 not_invented_yet;
	char name[16];
};

SEC("?.struct_ops")
struct tcp_congestion_ops first = {
	.init = (void *)cc_init,
	.ssthresh = (void *)cc_ssthresh,
	.cong_avoid = (void *)cc_cong_avoid,
	.undo_cwnd = (void *)cc_undo_cwnd,
	.name = "bpf_first",
};

SEC("?.struct_ops")
struct tcp_congestion_ops___newer second = {
	.ssthresh = (void *)cc_ssthresh,
	.cong_avoid = (void *)cc_cong_avoid,
	.undo_cwnd = (void *)cc_undo_cwnd,
	.name = "bpf_second",
};
