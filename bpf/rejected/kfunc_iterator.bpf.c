// SPDX-License-Identifier: MIT OR Apache-2.0
// An iterator that is not destroyed. Linux 6.4.
#include "rejected.h"

struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __ksym;

struct bpf_iter_num { __u64 opaque[1]; } __attribute__((aligned(8)));

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int sum = 0, *i;

	bpf_iter_num_new(&it, 0, 10);
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	return sum & 1;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int sum = 0, *i;

	bpf_iter_num_new(&it, 0, 10);
	while ((i = bpf_iter_num_next(&it)))
		sum += *i;
	bpf_iter_num_destroy(&it);
	return sum & 1;
}
