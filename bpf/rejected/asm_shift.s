; A shift by more bits than the register has.
.section "xdp"
rejected:
    r0 = 2
    r0 <<= 64
    exit

.globl mended
mended:
    r0 = 2
    r0 <<= 1
    exit
