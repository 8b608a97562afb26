; After parttimenerd/ebpf-verifier-errors issue 11: the compiler turned `payload + 1 > data_end` in a loop into
; arithmetic on `data_end`.
.section "xdp"
rejected:
    r2 = *(u32 *)(r1 + xdp_md.data)
    r3 = *(u32 *)(r1 + xdp_md.data_end)
    r0 = XDP_DROP
    r3 += -1
    if r2 > r3 goto out
    *(u8 *)(r2 + 0) = 0
    r0 = XDP_TX
out:
    exit

.globl mended
mended:
    r2 = *(u32 *)(r1 + xdp_md.data)
    r3 = *(u32 *)(r1 + xdp_md.data_end)
    r0 = XDP_DROP
    r4 = r2
    r4 += 1
    if r4 > r3 goto done
    *(u8 *)(r2 + 0) = 0
    r0 = XDP_TX
done:
    exit
