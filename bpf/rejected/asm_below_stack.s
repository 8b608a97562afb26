; The stack has 512 bytes.
.section "xdp"
rejected:
    *(u64 *)(r10 - 520) = 0
    r0 = 2
    exit

.globl mended
mended:
    *(u64 *)(r10 - 512) = 0
    r0 = 2
    exit
