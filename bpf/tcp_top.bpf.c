// SPDX-License-Identifier: MIT OR Apache-2.0
// How many bytes each TCP connection sends and receives.
//
// tcp_sendmsg() returns how many bytes it took, so it is looked at where it returns. tcp_cleanup_rbuf() is called
// whenever a reader has got bytes, with their number. But it does not say whether the reader took them or only looked
// (MSG_PEEK), and a long read calls it several times. So what counts is how far the socket's position in the stream has
// moved since the last time.
// Each comes as a program for fentry and as one for kprobes, where the return of a function no longer knows its
// arguments: they are noted at the entry.
#include <linux/bpf.h>
#include <asm/ptrace.h>
#include "ends.h"
#include <bpf/bpf_tracing.h>

// What to look at, set before loading; 0 means all. The port is that of either end.
const volatile __u32 only_pid;
const volatile __u16 only_port;

// Moves of bytes that were not counted, as the connection found no room in the map.
__u64 lost;

struct traffic {
	__u64 sent;
	__u64 received;
	__u32 pid; // who used it first
	__u32 closed;
	char command[16];
	__u32 position; // of the reader in the stream, modulo 2^32
	__u32 pad;
};

struct tcp_sock {
	__u32 copied_seq;
	__u32 rcv_nxt;
} __attribute__((preserve_access_index));

#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_CLOSING 11

// A connection of this machine with itself has two elements: each end is a socket of its own. The user side takes out
// what is closed.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ends);
	__type(value, struct traffic);
} connections SEC(".maps");

// How far the reader is in the stream. The end of the stream has a number of its own, but is no byte.
static __always_inline __u32 position_of(struct sock *sk)
{
	__u32 position = BPF_CORE_READ((struct tcp_sock *)sk, copied_seq);
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	int ended = state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;

	return position - (ended && position == BPF_CORE_READ((struct tcp_sock *)sk, rcv_nxt));
}

// The element of a connection; a new one if need be, whose reader was at this position.
static __always_inline struct traffic *traffic_of(struct sock *sk, __u32 position)
{
	struct traffic fresh = { .pid = bpf_get_current_pid_tgid() >> 32, .position = position };
	struct traffic *found;
	struct ends ends;

	if (!read_ends(&ends, sk))
		return 0;
	if (only_port && only_port != ends.local_port && only_port != ends.remote_port)
		return 0;
	found = bpf_map_lookup_elem(&connections, &ends);
	if (found && found->closed) {
		// The addresses and ports of a closed one may come again.
		found->position = position;
		found->closed = 0;
	}
	if (found || (only_pid && only_pid != fresh.pid))
		return found;
	bpf_get_current_comm(fresh.command, sizeof(fresh.command));
	bpf_map_update_elem(&connections, &ends, &fresh, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&connections, &ends);
	if (!found)
		__sync_fetch_and_add(&lost, 1);
	return found;
}

static __always_inline int sends(struct sock *sk, int bytes)
{
	struct traffic *traffic = bytes > 0 ? traffic_of(sk, position_of(sk)) : 0;

	if (traffic)
		__sync_fetch_and_add(&traffic->sent, bytes);
	return 0;
}

// Before a read: notes where it begins.
static __always_inline int reads(struct sock *sk)
{
	traffic_of(sk, position_of(sk));
	return 0;
}

static __always_inline int has_read(struct sock *sk, int bytes)
{
	__u32 now = position_of(sk);
	struct traffic *traffic;

	traffic = bytes > 0 ? traffic_of(sk, now - bytes) : 0;
	if (!traffic)
		return 0;
	__sync_fetch_and_add(&traffic->received, now - traffic->position);
	traffic->position = now;
	return 0;
}

static __always_inline int closes(struct sock *sk)
{
	struct traffic *traffic;
	struct ends ends;

	if (!read_ends(&ends, sk))
		return 0;
	traffic = bpf_map_lookup_elem(&connections, &ends);
	if (traffic)
		traffic->closed = 1;
	return 0;
}

SEC("fexit/tcp_sendmsg")
int BPF_PROG(sendmsg_fexit, struct sock *sk, void *msg, __u64 size, int ret)
{
	return sends(sk, ret);
}

SEC("fentry/tcp_recvmsg")
int BPF_PROG(recvmsg_fentry, struct sock *sk)
{
	return reads(sk);
}

SEC("fentry/tcp_cleanup_rbuf")
int BPF_PROG(cleanup_fentry, struct sock *sk, int copied)
{
	return has_read(sk, copied);
}

SEC("fentry/tcp_close")
int BPF_PROG(close_fentry, struct sock *sk)
{
	return closes(sk);
}

// Sockets that threads are sending by, by the number of the thread.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} sending SEC(".maps");

SEC("kprobe/tcp_sendmsg")
int sendmsg_kprobe(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid(), sk = PT_REGS_PARM1(ctx);

	bpf_map_update_elem(&sending, &thread, &sk, BPF_ANY);
	return 0;
}

SEC("kretprobe/tcp_sendmsg")
int sendmsg_return(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 *sk = bpf_map_lookup_elem(&sending, &thread);

	if (!sk)
		return 0;
	sends((struct sock *)*sk, (int)PT_REGS_RC(ctx));
	bpf_map_delete_elem(&sending, &thread);
	return 0;
}

SEC("kprobe/tcp_recvmsg")
int recvmsg_kprobe(struct pt_regs *ctx)
{
	return reads((struct sock *)PT_REGS_PARM1(ctx));
}

SEC("kprobe/tcp_cleanup_rbuf")
int cleanup_kprobe(struct pt_regs *ctx)
{
	return has_read((struct sock *)PT_REGS_PARM1(ctx), (int)PT_REGS_PARM2(ctx));
}

SEC("kprobe/tcp_close")
int close_kprobe(struct pt_regs *ctx)
{
	return closes((struct sock *)PT_REGS_PARM1(ctx));
}

char _license[] SEC("license") = "GPL";
