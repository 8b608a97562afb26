; r10 cannot be changed.
.section "xdp"
rejected:
    r10 += -8
    *(u64 *)(r10 + 0) = 0
    r0 = 2
    exit

.globl mended
mended:
    *(u64 *)(r10 - 8) = 0
    r0 = 2
    exit
