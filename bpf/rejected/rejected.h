// SPDX-License-Identifier: MIT OR Apache-2.0
// What the programs of this directory share. Each file has two programs: `rejected`, which the verifier
// refuses, and `mended`, which does the same and loads. tests/golden/rejected has what rawbpf says about it.
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define DATA(ctx) ((void *)(long)(ctx)->data)
#define DATA_END(ctx) ((void *)(long)(ctx)->data_end)

// Keeps the compiler from knowing what `x` is, so that a check stands where it is written.
#define opaque(x) asm volatile("" : "+r"(x))

#define ARRAY_OF(TYPE, ENTRIES) \
	__uint(type, BPF_MAP_TYPE_ARRAY); \
	__uint(max_entries, ENTRIES); \
	__type(key, __u32); \
	__type(value, TYPE)

#ifndef LICENSE
#define LICENSE "GPL"
#endif
char _license[] SEC("license") = LICENSE;
