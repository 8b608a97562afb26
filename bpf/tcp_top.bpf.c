// SPDX-License-Identifier: MIT OR Apache-2.0
// How many bytes each TCP connection sends and receives.
//
// tcp_sendmsg() returns how many bytes it took, so it is looked at where it returns. tcp_cleanup_rbuf() is called
// whenever a reader has taken bytes out, with their number; peeking does not count. Each comes as a program for fentry
// and as one for kprobes, where the return of a function no longer knows its arguments: they are noted at the entry.
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
	__u32 pid; // who moved the first bytes
	__u32 closed;
	char command[16];
};

// A connection of this machine with itself has two elements: each end is a socket of its own. The user side takes out
// what is closed.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ends);
	__type(value, struct traffic);
} connections SEC(".maps");

static __always_inline struct traffic *traffic_of(const struct ends *ends)
{
	struct traffic *found = bpf_map_lookup_elem(&connections, ends);
	struct traffic fresh = { .pid = bpf_get_current_pid_tgid() >> 32 };

	if (found || (only_pid && only_pid != fresh.pid))
		return found;
	bpf_get_current_comm(fresh.command, sizeof(fresh.command));
	bpf_map_update_elem(&connections, ends, &fresh, BPF_NOEXIST);
	found = bpf_map_lookup_elem(&connections, ends);
	if (!found)
		__sync_fetch_and_add(&lost, 1);
	return found;
}

static __always_inline int moved(struct sock *sk, long sent, long received)
{
	struct traffic *traffic;
	struct ends ends;

	if ((sent <= 0 && received <= 0) || !read_ends(&ends, sk))
		return 0;
	if (only_port && only_port != ends.local_port && only_port != ends.remote_port)
		return 0;
	traffic = traffic_of(&ends);
	if (!traffic)
		return 0;
	if (sent > 0)
		__sync_fetch_and_add(&traffic->sent, sent);
	if (received > 0)
		__sync_fetch_and_add(&traffic->received, received);
	// The addresses and ports of a closed one may come again.
	traffic->closed = 0;
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
	return moved(sk, ret, 0);
}

SEC("fentry/tcp_cleanup_rbuf")
int BPF_PROG(cleanup_fentry, struct sock *sk, int copied)
{
	return moved(sk, 0, copied);
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
	moved((struct sock *)*sk, (int)PT_REGS_RC(ctx), 0);
	bpf_map_delete_elem(&sending, &thread);
	return 0;
}

SEC("kprobe/tcp_cleanup_rbuf")
int cleanup_kprobe(struct pt_regs *ctx)
{
	return moved((struct sock *)PT_REGS_PARM1(ctx), 0, (int)PT_REGS_PARM2(ctx));
}

SEC("kprobe/tcp_close")
int close_kprobe(struct pt_regs *ctx)
{
	return closes((struct sock *)PT_REGS_PARM1(ctx));
}

char _license[] SEC("license") = "GPL";
