// SPDX-License-Identifier: MIT OR Apache-2.0
// Every TCP connection that this machine makes: who, from where, to where, and how long the other end took to answer.
//
// tcp_connect() sends the SYN, in the process that connects; tcp_finish_connect() runs when the answer comes, in
// whatever process the interrupt hit. So the first notes who it was, by the address of the socket, and the second
// looks that up. There are three ways to be called at these two moments; the user side loads one of them.
#include <linux/bpf.h>
#include <asm/ptrace.h>
#include "ends.h"
#include <bpf/bpf_tracing.h>

#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2

// What to look at, set before loading; 0 and the empty name mean all.
const volatile __u32 only_pid;
const volatile __u16 only_port;
const volatile char only_command[16];
// Count attempts instead of reporting connections.
const volatile _Bool counting;

// Connections and attempts that found no room in a map.
__u64 lost;

struct start {
	__u64 at;
	__u32 pid;
	char command[16];
	__u32 pad;
};

// Attempts under way, by the address of their sockets. What never gets an answer is pushed out by what comes later.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct start);
} starts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ends);
	__type(value, __u64);
} attempts SEC(".maps");

struct event {
	__u64 nanoseconds; // from the SYN to its answer
	struct ends ends;
	__u32 pid;
	char command[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static __always_inline int is_wanted(const struct start *who, __u16 port)
{
	if ((only_pid && only_pid != who->pid) || (only_port && only_port != port))
		return 0;
	for (int i = 0; i < 16 && only_command[0]; i++) {
		if (only_command[i] != who->command[i])
			return 0;
		if (!only_command[i])
			break;
	}
	return 1;
}

// A SYN is about to be sent. True if it is one to look at.
static __always_inline int begin(__u64 sk, __u16 port)
{
	struct start who = { .at = bpf_ktime_get_ns(), .pid = bpf_get_current_pid_tgid() >> 32 };

	bpf_get_current_comm(who.command, sizeof(who.command));
	if (!is_wanted(&who, port))
		return 0;
	bpf_map_update_elem(&starts, &sk, &who, BPF_ANY);
	return 1;
}

static __always_inline void count_attempt(const struct ends *ends)
{
	__u64 one = 1, *count = bpf_map_lookup_elem(&attempts, ends);

	if (!count && !bpf_map_update_elem(&attempts, ends, &one, BPF_NOEXIST))
		return;
	// It was there, or another CPU was faster; or the map is full.
	count = count ?: bpf_map_lookup_elem(&attempts, ends);
	__sync_fetch_and_add(count ?: &lost, 1);
}

static __always_inline void report(__u64 sk, const struct ends *ends)
{
	struct start *who = bpf_map_lookup_elem(&starts, &sk);

	if (!who)
		return;
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (event) {
		event->nanoseconds = bpf_ktime_get_ns() - who->at;
		event->ends = *ends;
		event->pid = who->pid;
		__builtin_memcpy(event->command, who->command, sizeof(event->command));
		bpf_ringbuf_submit(event, 0);
	} else {
		__sync_fetch_and_add(&lost, 1);
	}
	bpf_map_delete_elem(&starts, &sk);
}

static __always_inline int connects(struct sock *sk)
{
	struct ends ends;

	if (read_ends(&ends, sk) && begin((__u64)sk, ends.remote_port) && counting)
		count_attempt(&ends);
	return 0;
}

static __always_inline int connected(struct sock *sk)
{
	struct ends ends;

	if (!counting && read_ends(&ends, sk))
		report((__u64)sk, &ends);
	return 0;
}

SEC("fentry/tcp_connect")
int BPF_PROG(connect_fentry, struct sock *sk)
{
	return connects(sk);
}

SEC("fentry/tcp_finish_connect")
int BPF_PROG(finish_fentry, struct sock *sk)
{
	return connected(sk);
}

SEC("kprobe/tcp_connect")
int connect_kprobe(struct pt_regs *ctx)
{
	return connects((struct sock *)PT_REGS_PARM1(ctx));
}

SEC("kprobe/tcp_finish_connect")
int finish_kprobe(struct pt_regs *ctx)
{
	return connected((struct sock *)PT_REGS_PARM1(ctx));
}

struct trace_event_raw_inet_sock_set_state {
	const void *skaddr;
	int oldstate;
	int newstate;
	__u16 sport;
	__u16 dport;
	__u16 protocol;
	__u8 saddr_v6[16];
	__u8 daddr_v6[16];
} __attribute__((preserve_access_index));

// Where the kernel cannot be probed: a tracepoint tells of every change of state. When the state becomes SYN_SENT
// the local port is not chosen yet; so an attempt is counted when it ends, well or not.
SEC("tracepoint/sock/inet_sock_set_state")
int state_changes(struct trace_event_raw_inet_sock_set_state *ctx)
{
	__u64 sk = (__u64)ctx->skaddr;
	struct ends ends = {};

	if (ctx->protocol != IPPROTO_TCP)
		return 0;
	if (ctx->newstate == TCP_SYN_SENT)
		return begin(sk, ctx->dport), 0;
	if (ctx->oldstate != TCP_SYN_SENT)
		return 0;
	ends.local_port = ctx->sport;
	ends.remote_port = ctx->dport;
	// Both families, in the form of IPv6.
	bpf_core_read(ends.local, 16, &ctx->saddr_v6);
	bpf_core_read(ends.remote, 16, &ctx->daddr_v6);
	if (!counting && ctx->newstate == TCP_ESTABLISHED)
		report(sk, &ends);
	else if (counting && bpf_map_lookup_elem(&starts, &sk))
		count_attempt(&ends);
	bpf_map_delete_elem(&starts, &sk);
	return 0;
}

char _license[] SEC("license") = "GPL";
