// SPDX-License-Identifier: MIT OR Apache-2.0
// After parttimenerd/ebpf-verifier-errors issue 5: a search through the packet for "Host: ", and then a copy of what
// follows. Every place where the search may end is another start for the copy: the paths multiply.
#include "rejected.h"

struct name {
	char text[256];
	__u16 length;
};
struct { ARRAY_OF(struct name, 1); } names SEC(".maps");

static __always_inline int find(struct xdp_md *ctx, int longest, int copied)
{
	char *end = DATA_END(ctx), *p = DATA(ctx);
	__u32 key = 0;
	struct name *name = bpf_map_lookup_elem(&names, &key);
	int found = 0;

	if (!name)
		return XDP_PASS;
	for (int i = 0; i <= longest; i++) {
		if (p + 6 > end)
			return XDP_PASS;
		if (p[0] == 'H' && p[1] == 'o' && p[2] == 's' && p[3] == 't' && p[4] == ':' && p[5] == ' ') {
			found = 1;
			p += 6;
			break;
		}
		p++;
	}
	if (!found)
		return XDP_PASS;
	for (int i = 0; i < copied; i++) {
		if (p + 1 > end || *p == '\r')
			break;
		name->text[i] = *p++;
		name->length = i;
	}
	return XDP_PASS;
}

SEC("xdp")
int rejected(struct xdp_md *ctx)
{
	return find(ctx, 506, 253);
}

SEC("xdp")
int mended(struct xdp_md *ctx)
{
	return find(ctx, 64, 32);
}
