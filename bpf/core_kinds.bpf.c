// SPDX-License-Identifier: MIT OR Apache-2.0
// CO-RE: each of the 13 questions that a program can ask about the kernel's types. The types here are the
// program's view; core_kernel.o is a "kernel" whose types differ. Nothing loads this one: tests relocate it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
enum colour { RED = 1, GREEN = 2 };
enum wide { FAR = 0x100000000ULL };
struct inner { int a; short b; };
struct s {
	int moved;
	struct inner nested[4];
	unsigned int flag : 3;
	int sign : 5;
	union { long l; void *p; };
	enum colour colour;
};
struct s___old { long gone; };
struct absent { int x; };
typedef int (*callback)(struct s *, int);
#pragma clang attribute pop

char _license[] SEC("license") = "Dual MIT/GPL";
__u64 out[16];

SEC("raw_tp/sys_enter")
int fields(struct s *t)
{
	out[0] = t->moved + t->nested[2].b;
	out[1] = (long)__builtin_preserve_access_index(&t->l);
	out[2] = bpf_core_field_exists(t->colour) + bpf_core_field_exists(((struct s___old *)t)->gone);
	out[3] = bpf_core_field_size(t->nested) + bpf_core_field_offset(struct s, nested[3].b);
	out[4] = BPF_CORE_READ_BITFIELD_PROBED(t, flag) + BPF_CORE_READ_BITFIELD(t, sign);
	return 0;
}

SEC("raw_tp/sys_exit")
int types(void *ctx)
{
	out[5] = bpf_core_type_exists(struct absent) + bpf_core_type_size(struct s);
	out[6] = bpf_core_type_id_local(struct s) + bpf_core_type_id_kernel(struct s);
	out[7] = bpf_core_type_matches(struct inner) + bpf_core_type_matches(callback);
	out[8] = bpf_core_enum_value_exists(enum colour, GREEN) + bpf_core_enum_value(enum colour, RED);
	out[9] = bpf_core_enum_value(enum wide, FAR);
	return 0;
}
