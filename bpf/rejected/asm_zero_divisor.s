; Division by the constant 0.
.section "xdp"
rejected:
    r0 = 2
    r0 /= 0
    exit

.globl mended
mended:
    r0 = 2
    r0 /= 1
    exit
