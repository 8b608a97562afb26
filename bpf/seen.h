// SPDX-License-Identifier: MIT OR Apache-2.0
// How the programs here tell what they saw: numbers in global variables, which are maps to user space.
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// The number of the system call that tests make.
#if defined(__TARGET_ARCH_arm64)
#define GETPGID 155
#elif defined(__TARGET_ARCH_s390)
#define GETPGID 132
#else
#define GETPGID 121
#endif

// In .bss, alone: element N belongs to the N-th thing that an object watches.
__u64 seen[16];
// In .data, alone: the process whose doings count.
int pid = -1;

static __always_inline int is_mine(void)
{
	return (int)(bpf_get_current_pid_tgid() >> 32) == pid;
}

static __always_inline void count(int what)
{
	__sync_fetch_and_add(&seen[what], 1);
}

char _license[] SEC("license") = "Dual MIT/GPL";
