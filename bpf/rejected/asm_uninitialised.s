; A register is read that nobody wrote.
.section "xdp"
rejected:
    r0 = r2
    exit

.globl mended
mended:
    r2 = 2
    r0 = r2
    exit
