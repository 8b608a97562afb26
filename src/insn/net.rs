//! The headers of packets, and the numbers in them.
//!
//! Each header is a module: `eth::PROTO` is a field, `eth::BYTES` the header's length. A field in
//! network order is read by [`Asm::get`](super::Asm::get) as the number it means; an address, being
//! longer than a register or not a number, is an offset for `load`.
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! // r3 = destination port of a TCP packet over IPv4 without options, r2 = start of the packet
//! let mut a = Asm::new();
//! a.get(R3, R2 + eth::BYTES + ipv4::BYTES + tcp::DEST).exit();
//! assert_eq!(a.finish()?.insns()[0].off, 14 + 20 + 2);
//! # Ok::<(), AsmError>(())
//! ```

use super::field::structs;

structs! {
    /// The Ethernet header.
    #[doc(alias = "ethhdr")]
    eth "ethhdr" 14 {
        DEST "h_dest" = 0, [6], "";
        SOURCE "h_source" = 6, [6], "";
        PROTO "h_proto" = 12, H be16, "The EtherType: [`ETH_P_IP`](super::ETH_P_IP) and the like.";
    }
    /// The tag between the Ethernet addresses and the EtherType, counted from after the first EtherType.
    #[doc(alias = "vlan_hdr")]
    vlan "vlan_hdr" 4 {
        TCI "h_vlan_TCI" = 0, H be16, "Priority in 3 bits, and the id in 12.";
        ENCAPSULATED_PROTO "h_vlan_encapsulated_proto" = 2, H be16, "The EtherType that follows.";
    }
    /// The IPv4 header, without options.
    #[doc(alias = "iphdr")]
    ipv4 "iphdr" 20 {
        VERSION_IHL "version_ihl" = 0, B, "The version in the upper 4 bits, the header's length in words of 4 bytes in the lower: see [`Asm::ipv4_header_len`](crate::insn::Asm::ipv4_header_len).";
        TOS "tos" = 1, B, "";
        TOT_LEN "tot_len" = 2, H be16, "Length of header and payload.";
        ID "id" = 4, H be16, "";
        FRAG_OFF "frag_off" = 6, H be16, "Three flags, and the fragment's offset in units of 8 bytes.";
        TTL "ttl" = 8, B, "";
        PROTOCOL "protocol" = 9, B, "What follows: [`IPPROTO_TCP`](super::IPPROTO_TCP) and the like.";
        CHECK "check" = 10, H be16, "";
        SADDR "saddr" = 12, W be32, "The source address.";
        DADDR "daddr" = 16, W be32, "The destination address.";
    }
    /// The IPv6 header.
    #[doc(alias = "ipv6hdr")]
    ipv6 "ipv6hdr" 40 {
        FLOW "flow" = 0, W be32, "Version in 4 bits, traffic class in 8, flow label in 20.";
        PAYLOAD_LEN "payload_len" = 4, H be16, "";
        NEXTHDR "nexthdr" = 6, B, "What follows: [`IPPROTO_TCP`](super::IPPROTO_TCP) and the like.";
        HOP_LIMIT "hop_limit" = 7, B, "";
        SADDR "saddr" = 8, [16], "The source address.";
        DADDR "daddr" = 24, [16], "The destination address.";
    }
    /// The ARP header with the addresses of IPv4 over Ethernet.
    #[doc(alias = "arphdr")]
    arp "arphdr" 28 {
        HRD "ar_hrd" = 0, H be16, "";
        PRO "ar_pro" = 2, H be16, "";
        HLN "ar_hln" = 4, B, "";
        PLN "ar_pln" = 5, B, "";
        OP "ar_op" = 6, H be16, "1 asks, 2 answers.";
        SHA "ar_sha" = 8, [6], "";
        SIP "ar_sip" = 14, W be32, "";
        THA "ar_tha" = 18, [6], "";
        TIP "ar_tip" = 24, W be32, "";
    }
    /// The TCP header, without options.
    #[doc(alias = "tcphdr")]
    tcp "tcphdr" 20 {
        SOURCE "source" = 0, H be16, "The source port.";
        DEST "dest" = 2, H be16, "The destination port.";
        SEQ "seq" = 4, W be32, "";
        ACK_SEQ "ack_seq" = 8, W be32, "";
        DOFF "doff" = 12, B, "The header's length in words of 4 bytes, in the upper 4 bits.";
        FLAGS "flags" = 13, B, "[`TCP_FIN`](super::TCP_FIN) and the like.";
        WINDOW "window" = 14, H be16, "";
        CHECK "check" = 16, H be16, "";
        URG_PTR "urg_ptr" = 18, H be16, "";
    }
    /// The UDP header.
    #[doc(alias = "udphdr")]
    udp "udphdr" 8 {
        SOURCE "source" = 0, H be16, "The source port.";
        DEST "dest" = 2, H be16, "The destination port.";
        LEN "len" = 4, H be16, "Length of header and payload.";
        CHECK "check" = 6, H be16, "";
    }
    /// The first four bytes of ICMP and ICMPv6.
    #[doc(alias = "icmphdr")]
    icmp "icmphdr" 4 {
        TYPE "type" = 0, B, "";
        CODE "code" = 1, B, "";
        CHECKSUM "checksum" = 2, H be16, "";
    }
}

/// Declares numbers under their C names.
macro_rules! numbers {
    ($( $name:ident = $value:expr, $doc:literal; )*) => {
        $( #[doc = $doc] pub const $name: i32 = $value; )*

        /// One of the numbers of this module by its name, for what reads text.
        pub fn number(name: &str) -> Option<i32> {
            match name {
                $( stringify!($name) => Some($value), )*
                _ => None,
            }
        }
    };
}

numbers! {
    ETH_P_IP = 0x0800, "EtherType of IPv4.";
    ETH_P_ARP = 0x0806, "EtherType of ARP.";
    ETH_P_IPV6 = 0x86dd, "EtherType of IPv6.";
    ETH_P_8021Q = 0x8100, "EtherType of a VLAN tag.";
    ETH_P_8021AD = 0x88a8, "EtherType of an outer VLAN tag.";
    IPPROTO_ICMP = 1, "ICMP in IPv4.";
    IPPROTO_TCP = 6, "TCP.";
    IPPROTO_UDP = 17, "UDP.";
    IPPROTO_ICMPV6 = 58, "ICMP in IPv6.";
    TCP_FIN = 0x01, "No more data from the sender.";
    TCP_SYN = 0x02, "A connection starts.";
    TCP_RST = 0x04, "A connection is refused or broken.";
    TCP_PSH = 0x08, "Deliver at once.";
    TCP_ACK = 0x10, "The acknowledgement number counts.";
    TCP_URG = 0x20, "The urgent pointer counts.";
    XDP_ABORTED = 0, "XDP result: an error; the packet is dropped and traced.";
    XDP_DROP = 1, "XDP result: drop the packet.";
    XDP_PASS = 2, "XDP result: let the packet pass to the network stack.";
    XDP_TX = 3, "XDP result: send the packet back out of the interface it came from.";
    XDP_REDIRECT = 4, "XDP result: where `bpf_redirect` or `bpf_redirect_map` said.";
    TC_ACT_UNSPEC = -1, "`tc` result: go on with the next filter.";
    TC_ACT_OK = 0, "`tc` result: let the packet pass.";
    TC_ACT_SHOT = 2, "`tc` result: drop the packet.";
    TC_ACT_REDIRECT = 7, "`tc` result: where `bpf_redirect` said.";
    SK_DROP = 0, "Result of `sk_skb`, `sk_msg`, `sk_lookup`: drop.";
    SK_PASS = 1, "Result of `sk_skb`, `sk_msg`, `sk_lookup`: pass.";
    BPF_ANY = 0, "Map update: a new element or an existing one.";
    BPF_NOEXIST = 1, "Map update: only a new element.";
    BPF_EXIST = 2, "Map update: only an existing element.";
    AF_INET = 2, "Address family of IPv4.";
    AF_INET6 = 10, "Address family of IPv6.";
}

/// An IPv4 address as the number that [`Asm::get`](super::Asm::get) reads from a header, for a 32-bit
/// comparison (a 64-bit one would extend the sign of addresses from 128.0.0.0 on).
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// let ours = a.label();
/// a.get(R3, R2 + ipv4::DADDR).jeq32(R3, ipv4_addr(192, 0, 2, 1), ours).bind(ours).exit();
/// assert_eq!(a.finish()?.insns()[2].imm as u32, 0xc000_0201);
/// # Ok::<(), AsmError>(())
/// ```
pub const fn ipv4_addr(a: u8, b: u8, c: u8, d: u8) -> i32 {
    i32::from_be_bytes([a, b, c, d])
}
