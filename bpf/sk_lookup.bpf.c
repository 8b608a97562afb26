// SPDX-License-Identifier: MIT OR Apache-2.0
// One server for many ports: connections to ports 7000 to 7999 go to the socket in the map, which listens on another.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} server_map SEC(".maps");

SEC("sk_lookup")
int to_server(struct bpf_sk_lookup *ctx)
{
	__u32 key = 0;
	struct bpf_sock *server;
	long err;

	if (ctx->local_port < 7000 || ctx->local_port > 7999)
		return SK_PASS; // as the kernel finds it
	server = bpf_map_lookup_elem(&server_map, &key);
	if (!server)
		return SK_DROP;
	err = bpf_sk_assign(ctx, server, 0);
	bpf_sk_release(server);
	return err ? SK_DROP : SK_PASS;
}

char _license[] SEC("license") = "GPL";
