; The result of a program is what is in r0, and nothing is.
.section "xdp"
rejected:
    r1 = 2
    exit

.globl mended
mended:
    r0 = 2
    exit
