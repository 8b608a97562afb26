// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that is called like a function, and may make bpf(2) calls itself: so a light skeleton loads its object.
// What it gets is what BPF_PROG_RUN gives it, and what it writes there is what the caller gets back. Linux 5.14.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct order {
	__u32 max_entries;
	int map_fd;
	int error;
};

SEC("syscall")
int make_map(struct order *order)
{
	union bpf_attr attr;

	__builtin_memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.max_entries = order->max_entries;
	order->map_fd = bpf_sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	order->error = order->map_fd < 0 ? -order->map_fd : 0;
	return order->error;
}

char _license[] SEC("license") = "GPL";
