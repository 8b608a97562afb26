// SPDX-License-Identifier: MIT OR Apache-2.0
// The two ends of a TCP connection, as the programs that watch connections tell them to user space: IPv4 addresses as
// IPv6 has them (::ffff:192.0.2.1), so that there is one form of everything.
#pragma once
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10

struct ends {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
};

// The kernel's own types, as far as they are read here. Where the members are in the running kernel is found out when
// the object is loaded.
struct in6_addr {
	__u8 bytes[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct inet_sock {
	__be16 inet_sport;
} __attribute__((preserve_access_index));

// False if the socket is of another family.
static __always_inline int read_ends(struct ends *ends, struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	__builtin_memset(ends, 0, sizeof(*ends));
	// Not skc_num, which a connection that was reset has lost.
	ends->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	ends->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (family == AF_INET) {
		ends->local[10] = ends->local[11] = ends->remote[10] = ends->remote[11] = 0xff;
		bpf_core_read(ends->local + 12, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(ends->remote + 12, 4, &sk->__sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		bpf_core_read(ends->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(ends->remote, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		return 0;
	}
	return 1;
}
