// SPDX-License-Identifier: MIT OR Apache-2.0
// A map whose values have a lock.
struct account {
	struct bpf_spin_lock lock;
	__u64 balance;
};
struct { ARRAY_OF(struct account, 1); } accounts SEC(".maps");
