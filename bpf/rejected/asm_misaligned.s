; On the stack, 8 bytes stand at a multiple of 8.
.section "xdp"
rejected:
    *(u64 *)(r10 - 12) = 0
    r0 = 2
    exit

.globl mended
mended:
    *(u64 *)(r10 - 16) = 0
    r0 = 2
    exit
