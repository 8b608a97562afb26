// SPDX-License-Identifier: MIT OR Apache-2.0
// A signed number of the packet may be negative: no offset into the packet.
#include "rejected.h"

struct { ARRAY_OF(__s64, 1); } offsets SEC(".maps");

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	__u32 key = 0;
	__s64 *offset = bpf_map_lookup_elem(&offsets, &key);
	__u8 *p = DATA(ctx);

	if (!offset)
		return XDP_PASS;
	p += *offset;
	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_PASS;
	return *p ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	__u32 key = 0;
	__s64 *offset = bpf_map_lookup_elem(&offsets, &key);
	__u8 *p = DATA(ctx);

	if (!offset)
		return XDP_PASS;
	p += *offset & 0x3ff;
	if ((void *)(p + 1) > DATA_END(ctx))
		return XDP_PASS;
	return *p ? XDP_DROP : XDP_PASS;
}
