// SPDX-License-Identifier: MIT OR Apache-2.0
// What the processes of a cgroup do with the network: make sockets, bind, connect, send and receive.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} cgroup_map SEC(".maps"); // how often each program ran, in the order of this file

static __always_inline void count(__u32 which)
{
	__u64 *runs = bpf_map_lookup_elem(&cgroup_map, &which);

	if (runs)
		__sync_fetch_and_add(runs, 1);
}

SEC("cgroup_skb/ingress")
int see_in(struct __sk_buff *skb)
{
	count(0);
	return 1;
}

// 1 lets a packet pass, 0 drops it.
SEC("cgroup_skb/egress")
int no_port_9(struct __sk_buff *skb)
{
	__be16 port;

	count(1);
	// An IPv4 header without options, and the destination port of UDP or TCP behind it.
	if (bpf_skb_load_bytes(skb, 20 + 2, &port, sizeof(port)))
		return 1;
	return port != bpf_htons(9);
}

SEC("cgroup/sock_create")
int no_raw_sockets(struct bpf_sock *sk)
{
	count(2);
	return sk->type != 3; // SOCK_RAW
}

SEC("cgroup/bind4")
int bind_elsewhere(struct bpf_sock_addr *ctx)
{
	count(3);
	if (ctx->user_port == bpf_htons(4000))
		ctx->user_port = bpf_htons(4001);
	return 1;
}

SEC("cgroup/connect4")
int connect_elsewhere(struct bpf_sock_addr *ctx)
{
	count(4);
	if (ctx->user_port == bpf_htons(81))
		return 0; // denied
	if (ctx->user_port == bpf_htons(80))
		ctx->user_port = bpf_htons(8080);
	return 1;
}

SEC("cgroup/sendmsg4")
int no_datagrams_to_81(struct bpf_sock_addr *ctx)
{
	count(5);
	return ctx->user_port != bpf_htons(81);
}

SEC("cgroup/getsockname4")
int look_like_80(struct bpf_sock_addr *ctx)
{
	count(6);
	ctx->user_port = bpf_htons(80);
	return 1;
}

SEC("sockops")
int see_tcp(struct bpf_sock_ops *ops)
{
	if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		count(7);
	return 1;
}

SEC("cgroup/post_bind4")
int not_4444(struct bpf_sock *sk)
{
	count(8);
	return sk->src_port != 4444;
}

char _license[] SEC("license") = "GPL";
