// SPDX-License-Identifier: MIT OR Apache-2.0
// Sends events through perf buffers, one for each CPU: what kernels before 5.8 have, and the kernel counts what
// is lost.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct event {
	__u64 nth;
	__u32 cpu;
	__u32 size;
};

const struct event *unused_event __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} tried SEC(".maps");

SEC("xdp")
int send_event(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&tried, &zero);

	if (!count)
		return XDP_ABORTED;

	struct event event = {
		.nth = (*count)++,
		.cpu = bpf_get_smp_processor_id(),
		.size = sizeof(event),
	};

	// ENOSPC: no room, and the kernel has counted it. ENOENT: nobody reads on this CPU, and nobody counts.
	if (bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event)))
		return XDP_DROP;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
