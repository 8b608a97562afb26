// SPDX-License-Identifier: MIT OR Apache-2.0
// A congestion control that only counts what it is asked; for cc*.bpf.c.
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	char name[16];
};

// How many connections began, and how many acknowledgements came.
__u64 begun, acked;

SEC("struct_ops")
void BPF_PROG(cc_init, struct sock *sk)
{
	__sync_fetch_and_add(&begun, 1);
}

SEC("struct_ops")
__u32 BPF_PROG(cc_ssthresh, struct sock *sk)
{
	return 2;
}

SEC("struct_ops")
void BPF_PROG(cc_cong_avoid, struct sock *sk, __u32 ack, __u32 count)
{
	__sync_fetch_and_add(&acked, count);
}

SEC("struct_ops")
__u32 BPF_PROG(cc_undo_cwnd, struct sock *sk)
{
	return 10;
}

char _license[] SEC("license") = "GPL";
