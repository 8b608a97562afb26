// SPDX-License-Identifier: MIT OR Apache-2.0
// A service mesh in small: a service is an address that nobody listens at. Connections to it go to one of its backends,
// and where both ends are on this machine their bytes go from socket to socket, past TCP.
//
//   connect()      cgroup/connect4, connect6   the service's address becomes a backend's
//   getpeername()  cgroup/getpeername4, 6      and the client is told the service's
//   established    sockops                     both ends are put into a map of sockets
//   send()         sk_msg                      what one end sends is put into the other's queue
#include <linux/bpf.h>
#include "ends.h"

#define IPPROTO_TCP 6
#define MAX_BACKENDS 16
#define SLOTS 64

struct address {
	__u8 ip[16];
	__u16 port;
	__u16 pad;
};

// A slot holds the number of a backend; a backend has as many slots as it has weight. One element, so that a change of
// backends is one write that no connection sees half of.
struct service {
	__u32 slots;
	__u8 slot[SLOTS];
	struct address backends[MAX_BACKENDS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct address);
	__type(value, struct service);
} services SEC(".maps");

// Which service was asked for, and which backend was taken.
struct route {
	struct address service;
	struct address backend;
};

struct counters {
	__u64 connections;
	__u64 open;
	__u64 sent; // by the clients
	__u64 received; // by the clients, from backends of this machine
	__u64 bypassed; // of both, past TCP
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct route);
	__type(value, struct counters);
} traffic SEC(".maps");

// The routes of clients' sockets, by the cookie of the socket.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct route);
} routes SEC(".maps");

enum way { UNDECIDED, PAST_TCP, BY_TCP };

struct flow {
	struct route route;
	__u32 is_client;
	__u32 way;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct ends);
	__type(value, struct flow);
} flows SEC(".maps");

// The sockets of the flows.
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16384);
	__type(key, struct ends);
	__type(value, __u32);
} sockets SEC(".maps");

static __always_inline void set_ip4(__u8 ip[16], __u32 address)
{
	ip[10] = ip[11] = 0xff;
	__builtin_memcpy(ip + 12, &address, 4);
}

// If the address is that of a service, makes it that of a backend. False if the service has none that lives.
static __always_inline int steer(struct bpf_sock_addr *ctx, struct address *to)
{
	struct service *service = bpf_map_lookup_elem(&services, to);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct route route = {};
	__u32 slot, backend;

	if (!service || ctx->protocol != IPPROTO_TCP) {
		// The socket may have asked for a service before.
		bpf_map_delete_elem(&routes, &cookie);
		return 1;
	}
	if (!service->slots)
		return 0;
	slot = bpf_get_prandom_u32() % service->slots & (SLOTS - 1);
	backend = service->slot[slot] & (MAX_BACKENDS - 1);
	route.service = *to;
	route.backend = *to = service->backends[backend];
	bpf_map_update_elem(&routes, &cookie, &route, BPF_ANY);
	return 1;
}

SEC("cgroup/connect4")
int connect_ip4(struct bpf_sock_addr *ctx)
{
	struct address to = { .port = bpf_ntohs(ctx->user_port) };
	__u32 ip;

	set_ip4(to.ip, ctx->user_ip4);
	if (!steer(ctx, &to))
		return 0;
	__builtin_memcpy(&ip, to.ip + 12, 4);
	ctx->user_ip4 = ip;
	ctx->user_port = bpf_htons(to.port);
	return 1;
}

// ctx is read and written four bytes at a time.
static __always_inline void read_ip6(__u32 ip[4], struct bpf_sock_addr *ctx)
{
	ip[0] = ctx->user_ip6[0];
	ip[1] = ctx->user_ip6[1];
	ip[2] = ctx->user_ip6[2];
	ip[3] = ctx->user_ip6[3];
}

static __always_inline void write_ip6(struct bpf_sock_addr *ctx, const __u32 ip[4])
{
	ctx->user_ip6[0] = ip[0];
	ctx->user_ip6[1] = ip[1];
	ctx->user_ip6[2] = ip[2];
	ctx->user_ip6[3] = ip[3];
}

SEC("cgroup/connect6")
int connect_ip6(struct bpf_sock_addr *ctx)
{
	struct address to = { .port = bpf_ntohs(ctx->user_port) };
	__u32 ip[4];

	read_ip6(ip, ctx);
	__builtin_memcpy(to.ip, ip, 16);
	if (!steer(ctx, &to))
		return 0;
	__builtin_memcpy(ip, to.ip, 16);
	write_ip6(ctx, ip);
	ctx->user_port = bpf_htons(to.port);
	return 1;
}

SEC("cgroup/getpeername4")
int peer_ip4(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct route *route = bpf_map_lookup_elem(&routes, &cookie);
	__u32 ip;

	if (route) {
		__builtin_memcpy(&ip, route->service.ip + 12, 4);
		ctx->user_ip4 = ip;
		ctx->user_port = bpf_htons(route->service.port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int peer_ip6(struct bpf_sock_addr *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct route *route = bpf_map_lookup_elem(&routes, &cookie);
	__u32 ip[4];

	if (route) {
		__builtin_memcpy(ip, route->service.ip, 16);
		write_ip6(ctx, ip);
		ctx->user_port = bpf_htons(route->service.port);
	}
	return 1;
}

// Both kinds of context name the ends alike. The local port is in the order of the machine, the remote one in that of
// the network. They are read four bytes at a time; volatile, or the compiler would read eight.
#define WORD(field, n) (((volatile __u32 *)(field))[n])
#define ENDS_OF(ctx, ends) do { \
	__builtin_memset(ends, 0, sizeof(*(ends))); \
	(ends)->local_port = (ctx)->local_port; \
	(ends)->remote_port = bpf_ntohl((ctx)->remote_port); \
	if ((ctx)->family == AF_INET) { \
		set_ip4((ends)->local, (ctx)->local_ip4); \
		set_ip4((ends)->remote, (ctx)->remote_ip4); \
	} else { \
		__u32 ip[8] = { \
			WORD((ctx)->local_ip6, 0), WORD((ctx)->local_ip6, 1), \
			WORD((ctx)->local_ip6, 2), WORD((ctx)->local_ip6, 3), \
			WORD((ctx)->remote_ip6, 0), WORD((ctx)->remote_ip6, 1), \
			WORD((ctx)->remote_ip6, 2), WORD((ctx)->remote_ip6, 3), \
		}; \
		__builtin_memcpy((ends)->local, ip, 16); \
		__builtin_memcpy((ends)->remote, ip + 4, 16); \
	} \
} while (0)

static __always_inline struct ends other_way(const struct ends *ends)
{
	struct ends other = { .local_port = ends->remote_port, .remote_port = ends->local_port };

	__builtin_memcpy(other.local, ends->remote, 16);
	__builtin_memcpy(other.remote, ends->local, 16);
	return other;
}

static __always_inline void put(struct bpf_sock_ops *ops, struct ends *ends, const struct flow *flow)
{
	bpf_map_update_elem(&flows, ends, flow, BPF_ANY);
	bpf_sock_hash_update(ops, &sockets, ends, BPF_ANY);
	// Tell when it ends.
	bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void client_connected(struct bpf_sock_ops *ops, struct ends *ends)
{
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct route *route = bpf_map_lookup_elem(&routes, &cookie);
	struct flow flow = { .is_client = 1 };
	struct counters none = {}, *counters;

	if (!route)
		return;
	flow.route = *route;
	bpf_map_update_elem(&traffic, &flow.route, &none, BPF_NOEXIST);
	counters = bpf_map_lookup_elem(&traffic, &flow.route);
	if (counters) {
		__sync_fetch_and_add(&counters->connections, 1);
		__sync_fetch_and_add(&counters->open, 1);
	}
	put(ops, ends, &flow);
}

// The other end of a flow, if the client is on this machine: it was there first.
static __always_inline void server_connected(struct bpf_sock_ops *ops, struct ends *ends)
{
	struct ends other = other_way(ends);
	struct flow *client = bpf_map_lookup_elem(&flows, &other);
	struct flow flow = {};

	if (!client || !client->is_client)
		return;
	flow.route = client->route;
	put(ops, ends, &flow);
}

static __always_inline void closed(struct ends *ends)
{
	struct flow *flow = bpf_map_lookup_elem(&flows, ends);
	struct counters *counters;

	if (!flow)
		return;
	counters = bpf_map_lookup_elem(&traffic, &flow->route);
	if (counters && flow->is_client)
		__sync_fetch_and_add(&counters->open, -1);
	bpf_map_delete_elem(&flows, ends);
}

SEC("sockops")
int join(struct bpf_sock_ops *ops)
{
	struct ends ends;

	ENDS_OF(ops, &ends);
	if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
		client_connected(ops, &ends);
	else if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		server_connected(ops, &ends);
	else if (ops->op == BPF_SOCK_OPS_STATE_CB && ops->args[1] == BPF_TCP_CLOSE)
		closed(&ends);
	return 1;
}

// The first message of a flow decides for all: bytes that went by TCP could be overtaken by those that did not.
SEC("sk_msg")
int bypass(struct sk_msg_md *msg)
{
	struct ends ends, other;
	struct counters *counters;
	struct flow *flow;
	int redirected = SK_DROP;

	ENDS_OF(msg, &ends);
	flow = bpf_map_lookup_elem(&flows, &ends);
	if (!flow)
		return SK_PASS;
	other = other_way(&ends);
	if (flow->way != BY_TCP)
		redirected = bpf_msg_redirect_hash(msg, &sockets, &other, BPF_F_INGRESS);
	if (flow->way == UNDECIDED)
		flow->way = redirected == SK_PASS ? PAST_TCP : BY_TCP;
	counters = bpf_map_lookup_elem(&traffic, &flow->route);
	if (counters) {
		__sync_fetch_and_add(flow->is_client ? &counters->sent : &counters->received, msg->size);
		if (redirected == SK_PASS)
			__sync_fetch_and_add(&counters->bypassed, msg->size);
	}
	// If the other socket has gone, TCP says so.
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
