// SPDX-License-Identifier: MIT OR Apache-2.0
// What `rawbpf export` makes metrics of: traffic by source, sizes of packets as histograms, and a count of events that
// found no room. Counts IPv4 only.
//
// It is loaded with CAP_BPF and CAP_NET_ADMIN alone. So sizes are from the packets' headers: data_end - data would be a
// number made of addresses of the kernel, which takes CAP_PERFMON.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum proto {
	PROTO_OTHER = 0,
	PROTO_ICMP = 1,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
};

struct flow {
	__be32 source;
	enum proto proto;
	__u32 ifindex;
};

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow);
	__type(value, struct traffic);
} flows SEC(".maps");

// A histogram in one value: slot n counts the sizes from 2^n to 2^(n+1)-1, the last one all that are larger, too.
#define SLOTS 12

struct sizes {
	__u64 slots[SLOTS];
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sizes);
} packet_sizes SEC(".maps");

// A histogram of elements: 100 bytes each.
struct size_class {
	enum proto proto;
	__u32 slot;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct size_class);
	__type(value, __u64);
} size_classes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

// Nobody else counts them: see ring_events.bpf.c.
__u64 lost_events;

// No program writes to it: it has labels of all kinds, for whoever wants to see how they look.
struct thing {
	__u64 cgroup;
	__u8 address[16];
	__u8 mac[6];
	__u16 port;	// in network byte order
	__be16 be_port;
	__u8 proto;
	__u8 flags : 3;
	char comm[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct thing);
	__type(value, __s32);
} things SEC(".maps");

// The number of the slot, at most that of the last one. Without branches, so that there is one path to what it is used
// for: without CAP_PERFMON the verifier takes no index that is known better on one path than on another.
static __always_inline __u32 slot_of(__u32 n)
{
	__u32 slot = 0;

	for (int i = 1; i < SLOTS; i++) {
		__u32 rest = n >> i;

		barrier_var(rest);
		slot += -rest >> 31;	// 1, or 0 if nothing is left
	}
	return slot;
}

static __always_inline void count(struct flow *flow, __u32 size)
{
	struct size_class class = { .proto = flow->proto, .slot = size / 100 };
	__u32 zero = 0, slot = slot_of(size);
	struct traffic *traffic = bpf_map_lookup_elem(&flows, flow);
	struct sizes *sizes = bpf_map_lookup_elem(&packet_sizes, &zero);
	__u64 *classes = bpf_map_lookup_elem(&size_classes, &class);

	if (traffic) {
		traffic->packets++;
		traffic->bytes += size;
	} else {
		struct traffic first = { .packets = 1, .bytes = size };

		// Of this CPU's value alone, whether another CPU was faster or not.
		bpf_map_update_elem(&flows, flow, &first, BPF_ANY);
	}
	if (sizes) {
		sizes->slots[slot]++;
		sizes->bytes += size;
	}
	if (!classes) {
		__u64 none = 0;

		// Another CPU may be faster: then its element is the one to count in.
		bpf_map_update_elem(&size_classes, &class, &none, BPF_NOEXIST);
		classes = bpf_map_lookup_elem(&size_classes, &class);
	}
	if (classes)
		__sync_fetch_and_add(classes, 1);
}

SEC("xdp")
int count_traffic(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct flow flow = { .ifindex = ctx->ingress_ifindex };
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	__u64 size;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	flow.source = ip->saddr;
	flow.proto = ip->protocol;
	size = sizeof(*eth) + bpf_ntohs(ip->tot_len);
	count(&flow, size);
	if (bpf_ringbuf_output(&events, &size, sizeof(size), 0))
		__sync_fetch_and_add(&lost_events, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
