// SPDX-License-Identifier: MIT OR Apache-2.0
// Sends events through a ring buffer, and counts those that found no room.
//
// The kernel does not count them: a reservation that fails is an answer to the program alone. So a program that
// must not lose events unseen keeps the count itself, in a map that anybody can read.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u64 nth;	// of this CPU, from 0 on; a hole is an event that was dropped
	__u32 cpu;
	__u32 size;	// bytes of the record
};

// Nothing else would put the type into the object's BTF, where `rawbpf events` looks for it.
const struct event *unused_event __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct counts {
	__u64 sent;
	__u64 taken_back;
	__u64 dropped;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} event_counts SEC(".maps");

SEC("xdp")
int send_event(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct counts *counts = bpf_map_lookup_elem(&event_counts, &zero);

	if (!counts)
		return XDP_ABORTED;

	// Written where it will be read: nothing is copied.
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	__u64 nth = counts->sent + counts->taken_back + counts->dropped;

	if (!event) {
		counts->dropped++;
		return XDP_DROP;
	}
	event->nth = nth;
	event->cpu = bpf_get_smp_processor_id();
	event->size = sizeof(*event);
	// Every eighth is taken back: a reader must skip it.
	if (nth % 8 == 7) {
		counts->taken_back++;
		bpf_ringbuf_discard(event, 0);
		return XDP_TX;
	}
	counts->sent++;
	bpf_ringbuf_submit(event, 0);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
