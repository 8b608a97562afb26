// SPDX-License-Identifier: MIT OR Apache-2.0
// struct_ops with a link: in .struct_ops.link a table is registered by BPF_LINK_CREATE, and another can take its
// place without a moment in which there is none. Linux 6.4.
#include "cc.h"

SEC(".struct_ops.link")
struct tcp_congestion_ops linked = {
	.init = (void *)cc_init,
	.ssthresh = (void *)cc_ssthresh,
	.cong_avoid = (void *)cc_cong_avoid,
	.undo_cwnd = (void *)cc_undo_cwnd,
	.name = "bpf_linked",
};
