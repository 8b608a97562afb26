// SPDX-License-Identifier: MIT OR Apache-2.0
// A session: the program runs at the entry, and again at the return if it said 0 at the entry.
#include "seen.h"

extern _Bool bpf_session_is_return(void *ctx) __ksym __weak;

SEC("kprobe.session/bpf_fentry_test1")
int session(void *ctx)
{
	if (is_mine())
		count(0);
	return 0;
}

SEC("kprobe.session/bpf_fentry_test2")
int entry_only(void *ctx)
{
	if (is_mine())
		count(1);
	return 1;
}
