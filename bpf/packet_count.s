; Counts packets: bpf/packet_count.bpf.c, written by hand. Assemble it with `rawbpf asm packet_count.s`.
.license "Dual MIT/GPL"
.map packet_count_map type=array key=u32 value=u64 max_entries=1

.section "xdp"
count_packets:
    *(u32 *)(r10 - 4) = 0               ; u32 key = 0
    r2 = r10
    r2 += -4                            ; second argument: its address
    r1 = packet_count_map ll            ; first argument: the map
    call bpf_map_lookup_elem
    if r0 == 0 goto out                 ; the verifier insists: a lookup may find nothing
    r1 = 1
    lock *(u64 *)(r0 + 0) += r1
out:
    r0 = XDP_PASS
    exit
