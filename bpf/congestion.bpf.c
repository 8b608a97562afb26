// SPDX-License-Identifier: MIT OR Apache-2.0
// A congestion control of TCP, as a table of programs: what a connection that chooses it by its name is ruled by. It
// never slows down, and counts how often it was asked.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

// Only what is used of the kernel's own; the rest is matched by name when the object is loaded.
struct sock;
struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

__u64 asked;

SEC("struct_ops/ssthresh")
__u32 BPF_PROG(ssthresh, struct sock *sk)
{
	return 64;
}

SEC("struct_ops/cong_avoid")
void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked)
{
	__sync_fetch_and_add(&asked, 1);
}

SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(undo_cwnd, struct sock *sk)
{
	return 64;
}

// Registered by writing the map: it belongs to the kernel then. congestion_link.bpf.c has it the other way.
#ifndef TABLE
#define TABLE ".struct_ops"
#define NAME "rawbpf_kept"
#endif

SEC(TABLE)
struct tcp_congestion_ops table = {
	.ssthresh = (void *)ssthresh,
	.cong_avoid = (void *)cong_avoid,
	.undo_cwnd = (void *)undo_cwnd,
	.name = NAME,
};

char _license[] SEC("license") = "GPL";
