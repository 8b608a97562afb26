; After cilium/cilium pull request 25231: the compiler copied a packet pointer with a 32-bit move (w6 = w2), because
; the context's `data` is declared as 32 bits. What arrives is a number.
.section "xdp"
rejected:
    r2 = *(u32 *)(r1 + xdp_md.data)
    r3 = *(u32 *)(r1 + xdp_md.data_end)
    w6 = w2
    r4 = r6
    r4 += 54
    r0 = XDP_PASS
    if r4 > r3 goto out
    r0 = *(u8 *)(r6 + 22)
out:
    exit

.globl mended
mended:
    r2 = *(u32 *)(r1 + xdp_md.data)
    r3 = *(u32 *)(r1 + xdp_md.data_end)
    r6 = r2
    r4 = r6
    r4 += 54
    r0 = XDP_PASS
    if r4 > r3 goto done
    r0 = *(u8 *)(r6 + 22)
done:
    exit
