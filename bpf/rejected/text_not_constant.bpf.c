// SPDX-License-Identifier: MIT OR Apache-2.0
// A format must be a constant: this one is on the stack. Linux 5.13.
#include "rejected.h"

SEC("tc")
int rejected(struct __sk_buff *skb)
{
	char format[] = "%d";
	char out[16];
	__u64 args[] = { skb->len };

	bpf_snprintf(out, sizeof(out), format, args, sizeof(args));
	return TC_ACT_OK;
}

SEC("tc")
int mended(struct __sk_buff *skb)
{
	static const char format[] = "%d";
	char out[16];
	__u64 args[] = { skb->len };

	bpf_snprintf(out, sizeof(out), format, args, sizeof(args));
	return TC_ACT_OK;
}
