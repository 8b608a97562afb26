; The context's pointer was moved before it is read through.
.section "tc"
rejected:
    r1 += 8
    r0 = *(u32 *)(r1 + 0)
    exit

.globl mended
mended:
    r0 = *(u32 *)(r1 + 8)
    exit
