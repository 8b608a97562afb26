// SPDX-License-Identifier: MIT OR Apache-2.0
// Sampling: the program runs each time that a counter goes round, wherever the CPU is at that moment.
#include "seen.h"

SEC("perf_event")
int sample(void *ctx)
{
	count(0);
	if (is_mine())
		count(1);
	return 0;
}
