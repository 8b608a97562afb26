// SPDX-License-Identifier: MIT OR Apache-2.0
// struct_ops: a congestion control whose functions are BPF programs. In .struct_ops a table is registered by
// writing its map. Of the kernel's struct only the members that are set are named here: the loader finds their places.
#include "cc.h"

SEC(".struct_ops")
struct tcp_congestion_ops counting = {
	.init = (void *)cc_init,
	.ssthresh = (void *)cc_ssthresh,
	.cong_avoid = (void *)cc_cong_avoid,
	.undo_cwnd = (void *)cc_undo_cwnd,
	.name = "bpf_counting",
};
