// SPDX-License-Identifier: MIT OR Apache-2.0
// Drops packets by where they come from: addresses and networks, IPv4 and IPv6.
//
//   Ethernet [802.1Q tags] IPv4 or IPv6    anything else (ARP ...) passes
//                          |
//                          source address: is it in a blocked network?
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct count {
	__u64 packets;
	__u64 bytes;
};

// The key of an LPM trie is how many bits count, and then the bits. A lookup finds the longest network that has
// the address in it: of 10.0.0.0/8 and 10.1.0.0/16, the latter for 10.1.2.3. The value is what it dropped.
struct key4 {
	__u32 bits;
	__u8 addr[4];
};

struct key6 {
	__u32 bits;
	__u8 addr[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC); // a trie allocates as it grows; the kernel wants that said
	__type(key, struct key4);
	__type(value, struct count);
} blocked4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key6);
	__type(value, struct count);
} blocked6 SEC(".maps");

enum verdict { PASSED, DROPPED, INVALID, VERDICTS };

// For each verdict, and for each CPU.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, struct count);
} totals SEC(".maps");

struct vlan {
	__be16 tag;
	__be16 proto;
};

// One more packet for a network, or for nobody. All CPUs share this counter.
static enum verdict drop_if(struct count *blocked, __u64 bytes)
{
	if (!blocked)
		return PASSED;
	__sync_fetch_and_add(&blocked->packets, 1);
	__sync_fetch_and_add(&blocked->bytes, bytes);
	return DROPPED;
}

static enum verdict judge(void *data, void *end, __u64 bytes)
{
	struct ethhdr *eth = data;
	void *next = eth + 1;
	__be16 proto;

	// The verifier allows no access that was not compared with the end of the packet.
	if (next > end)
		return INVALID;
	proto = eth->h_proto;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		struct vlan *vlan = next;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		next = vlan + 1;
		if (next > end)
			return INVALID;
		proto = vlan->proto;
	}
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = next;
		struct key4 key = { .bits = 32 };

		if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
			return INVALID;
		__builtin_memcpy(key.addr, &ip->saddr, sizeof(key.addr));
		return drop_if(bpf_map_lookup_elem(&blocked4, &key), bytes);
	}
	if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = next;
		struct key6 key = { .bits = 128 };

		if ((void *)(ip + 1) > end || ip->version != 6)
			return INVALID;
		__builtin_memcpy(key.addr, &ip->saddr, sizeof(key.addr));
		return drop_if(bpf_map_lookup_elem(&blocked6, &key), bytes);
	}
	return PASSED;
}

SEC("xdp")
int filter(struct xdp_md *ctx)
{
	// Numbers that are addresses: the verifier knows that these two are special.
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 bytes = end - data;
	enum verdict verdict = judge(data, end, bytes);
	__u32 key = verdict;
	struct count *total = bpf_map_lookup_elem(&totals, &key);

	if (total) {
		total->packets++;
		total->bytes += bytes;
	}
	// What claims to be IP and is none is dropped: nobody could tell where it is from.
	return verdict == PASSED ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
