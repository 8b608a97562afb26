; A call leaves nothing in r1 to r5.
.section "xdp"
rejected:
    call bpf_ktime_get_ns
    r0 = *(u32 *)(r1 + xdp_md.ingress_ifindex)
    exit

.globl mended
mended:
    r6 = r1
    call bpf_ktime_get_ns
    r0 = *(u32 *)(r6 + xdp_md.ingress_ifindex)
    exit
