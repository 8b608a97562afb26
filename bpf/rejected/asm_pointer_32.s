; Half a pointer is none.
.section "xdp"
rejected:
    r2 = r10
    w2 += -4
    *(u32 *)(r2 + 0) = 0
    r0 = 2
    exit

.globl mended
mended:
    r2 = r10
    r2 += -4
    *(u32 *)(r2 + 0) = 0
    r0 = 2
    exit
