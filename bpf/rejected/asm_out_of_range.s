; A jump past the last instruction.
.section "xdp"
rejected:
    r0 = 2
    if r1 == 0 goto +5
    exit

.globl mended
mended:
    r0 = 2
    if r1 == 0 goto +0
    exit
