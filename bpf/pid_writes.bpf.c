// SPDX-License-Identifier: MIT OR Apache-2.0
// Counts the write(2) calls of each process, in two kinds of hash table that differ in what a full one does.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// One counter for each CPU: two threads of a process that write at the same time do not wait for each other.
// A full table takes nothing new. What it could not count is in `lost`.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 10240);
	__type(key, __u32);
	__type(value, __u64);
} pid_map SEC(".maps");

// LRU: a full table forgets the key that was used the longest time ago. So it never is full, and what it holds
// are the processes that wrote last. It is small here, so that it forgets; much smaller, and it would forget too
// early: old kernels hand its elements out to the CPUs by 128 at a time.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} recent_map SEC(".maps");

__u64 lost; // a global variable is a map, too: .bss, with one element

static void count_per_cpu(__u32 pid)
{
	__u64 one = 1, *count = bpf_map_lookup_elem(&pid_map, &pid);

	if (count)
		++*count; // no atomic addition: no other CPU has this one
	else if (bpf_map_update_elem(&pid_map, &pid, &one, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

static void count_recent(__u32 pid)
{
	__u64 zero = 0, *count = bpf_map_lookup_elem(&recent_map, &pid);

	if (!count) {
		// BPF_NOEXIST: if another CPU was faster, its count stays.
		bpf_map_update_elem(&recent_map, &pid, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&recent_map, &pid);
	}
	if (count)
		__sync_fetch_and_add(count, 1); // all CPUs share this one
}

// A tracepoint: a place that the kernel's developers marked, so it is there where kprobes are not.
SEC("tracepoint/syscalls/sys_enter_write")
int enter_write(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32; // the process; the lower half is the thread

	count_per_cpu(pid);
	count_recent(pid);
	return 0;
}

char _license[] SEC("license") = "GPL";
