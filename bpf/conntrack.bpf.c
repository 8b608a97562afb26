// SPDX-License-Identifier: MIT OR Apache-2.0
// A kernel function of a module: bpf_xdp_ct_lookup of nf_conntrack. The call names the module's BTF by a number in a
// list that goes with the program. Linux 5.18. A function that no kernel has is fine, as long as it is never called.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// An excerpt: the kernel's own has more members. A struct without any would not be taken for it.
struct nf_conn {
	unsigned long status;
};

// As it was first; the kernel takes it in this size too.
struct bpf_ct_opts___first {
	int netns_id;
	int error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___first *opts, __u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *ct) __ksym;
extern int bpf_no_such_function(int x) __ksym __weak;

SEC("xdp")
int look_up(struct xdp_md *ctx)
{
	struct bpf_ct_opts___first opts = { .netns_id = -1, .l4proto = 6 };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *ct;

	if (bpf_no_such_function)
		return bpf_no_such_function(1);
	ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	if (ct) {
		bpf_ct_release(ct);
		return 0;
	}
	return -opts.error;
}

char _license[] SEC("license") = "GPL";
