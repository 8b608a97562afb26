// SPDX-License-Identifier: MIT OR Apache-2.0
// The congestion control of congestion.bpf.c, attached by a link: registered as long as that lives. Linux 6.4.
#define TABLE ".struct_ops.link"
#define NAME "rawbpf_linked"
#include "congestion.bpf.c"
