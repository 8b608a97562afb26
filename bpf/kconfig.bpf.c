// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel's configuration as variables, of every type that they can have. What is weak is 0 if it is not set.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_TRI __kconfig;
extern int CONFIG_NUMBER __kconfig;
extern __u64 CONFIG_WIDE __kconfig;
extern char CONFIG_LETTER __kconfig;
extern char CONFIG_TEXT[8] __kconfig;
extern int CONFIG_NOT_SET_ANYWHERE __kconfig __weak;
extern int LINUX_KERNEL_VERSION __kconfig;

int yes, tri, number, letter, unset, version;
__u64 wide;
char text[8];

SEC("xdp")
int read_all(struct xdp_md *ctx)
{
	yes = CONFIG_BPF_SYSCALL;
	tri = CONFIG_TRI;
	number = CONFIG_NUMBER;
	wide = CONFIG_WIDE;
	letter = CONFIG_LETTER;
	unset = CONFIG_NOT_SET_ANYWHERE;
	version = LINUX_KERNEL_VERSION;
	for (int i = 0; i < 8; i++)
		text[i] = CONFIG_TEXT[i];
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
