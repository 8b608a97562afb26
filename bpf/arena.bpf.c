// SPDX-License-Identifier: MIT OR Apache-2.0
// An arena: memory that programs and user space both map. Its global variables lie in it, at its end if instructions
// can say so, and a pointer that the program stores there is one that user space can follow. Linux 6.9.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))

enum { MAP_TYPE_ARENA = 33, F_MMAPABLE = 1 << 10 };

struct {
	__uint(type, MAP_TYPE_ARENA);
	__uint(map_flags, F_MMAPABLE);
	__uint(max_entries, 4);	// pages
} arena SEC(".maps");

int __arena first = 41;
int __arena total = 0;
int __arena *__arena where = 0;

SEC("syscall")
int count(void *ctx)
{
	// A reference to the map itself tells the verifier which arena.
	asm volatile("" : : "r"(&arena));
	total += first + 1;
	where = &total;
	return 0;
}

char _license[] SEC("license") = "GPL";
