; After cilium/cilium pull request 11154: an older clang added the offset of the field to the context's pointer first
; (r1 += 8) and stored through that.
.section "tc"
rejected:
    r2 = *(u32 *)(r1 + __sk_buff.mark)
    r1 += __sk_buff.mark
    r2 |= 3840
    *(u32 *)(r1 + 0) = r2
    r0 = 0
    exit

.globl mended
mended:
    r2 = *(u32 *)(r1 + __sk_buff.mark)
    r2 |= 3840
    *(u32 *)(r1 + __sk_buff.mark) = r2
    r0 = 0
    exit
