// SPDX-License-Identifier: MIT OR Apache-2.0
// Types that every kernel refuses, because a parameter of a function has no name in them. A program that is bound to
// the kernel's types does not need its own: it is loaded without.
#pragma clang diagnostic ignored "-Wc2x-extensions"
#include "seen.h"

SEC("fentry/bpf_fentry_test1")
int without_a_name(void *)
{
	if (is_mine())
		count(0);
	return 0;
}
