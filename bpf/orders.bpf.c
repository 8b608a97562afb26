// SPDX-License-Identifier: MIT OR Apache-2.0
// Takes orders from user space: a user ring buffer, which runs the other way.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);	// how many, and their sum
	__type(key, __u32);
	__type(value, __u64);
} taken SEC(".maps");

static long take(struct bpf_dynptr *order, void *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&taken, &key);

	key = 1;
	__u64 *sum = bpf_map_lookup_elem(&taken, &key);
	__u64 number = 0;

	if (!count || !sum || bpf_dynptr_read(&number, sizeof(number), order, 0, 0))
		return 1;	// stop here
	*count += 1;
	*sum += number;
	return 0;
}

SEC("xdp")
int take_orders(struct xdp_md *ctx)
{
	long n = bpf_user_ringbuf_drain(&orders, take, 0, 0);

	return n < 0 ? 0 : n;
}

char _license[] SEC("license") = "GPL";
