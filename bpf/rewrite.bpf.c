// SPDX-License-Identifier: MIT OR Apache-2.0
// A lesson in changing a packet: the addresses of a frame are swapped, and each sender is counted. Around it is what
// tools can show of a program: a function of its own, metadata, variables of each section, a map of structs.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

// Read by `rawbpf prog show`: any variable whose name begins so.
volatile const char bpf_metadata_author[] SEC(".rodata") = "nobody";
volatile const int bpf_metadata_version SEC(".rodata") = 3;

// Set before the program is loaded, and a constant from then on.
volatile const __u32 answer_with = XDP_TX;

// Variables that both sides can change while it runs.
__u64 frames_seen = 0;
__u16 last_protocol = 7;

enum verdict { V_KEPT = 1, V_SENT_BACK = 2 };

struct sender {
	__u8 address[ETH_ALEN];
	__u16 protocol;
};

struct seen {
	__u64 frames;
	__u32 bytes;
	enum verdict last;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct sender);
	__type(value, struct seen);
} senders_by_address SEC(".maps");

static __attribute__((noinline)) int swap_addresses(struct ethhdr *eth)
{
	__u8 old[ETH_ALEN];

	__builtin_memcpy(old, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, old, ETH_ALEN);
	return 0;
}

SEC("xdp")
int swap_frame_addresses(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct sender key = {};
	struct seen *seen, first = { .frames = 1, .last = V_SENT_BACK };

	if (data + sizeof(*eth) > end)
		return XDP_DROP;
	frames_seen++;
	last_protocol = eth->h_proto;
	__builtin_memcpy(key.address, eth->h_source, ETH_ALEN);
	key.protocol = eth->h_proto;
	first.bytes = end - data;
	seen = bpf_map_lookup_elem(&senders_by_address, &key);
	if (seen) {
		seen->frames++;
		seen->bytes += end - data;
	} else {
		bpf_map_update_elem(&senders_by_address, &key, &first, BPF_ANY);
	}
	swap_addresses(eth);
	return answer_with;
}

SEC("xdp")
int pass_frames(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
