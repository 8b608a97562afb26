; No path leads to the instruction after the first exit.
.section "xdp"
rejected:
    r0 = 2
    exit
    r0 = 1
    exit

.globl mended
mended:
    r0 = 2
    exit
