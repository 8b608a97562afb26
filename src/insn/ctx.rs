//! The contexts: what `r1` points to when a program starts.
//!
//! The verifier rewrites each access to a context into one of the kernel's own structure, so only these
//! offsets, with these sizes or narrower, can be used. A module is named as its `struct`
//! (`__sk_buff` is [`sk_buff`]), a constant as its field.
//!
//! Programs that trace get other contexts: a kprobe the registers ([`pt_regs`]), a raw tracepoint or
//! an fentry program an array of 64-bit arguments ([`arg`]), a tracepoint the record that its `format`
//! file describes.

use super::field::{Field, structs};
use super::reg::Size;

/// The `n`-th argument, from 0, in the context of a raw tracepoint (`struct bpf_raw_tracepoint_args`),
/// an fentry, fexit or LSM program.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// a.get(R2, R1 + arg(1)).exit();                     // r2 = ctx->args[1]
/// assert_eq!(a.finish()?.insns()[0].off, 8);
/// # Ok::<(), AsmError>(())
/// ```
#[doc(alias = "bpf_raw_tracepoint_args")]
pub const fn arg(n: u8) -> Field {
    Field::new(n as i16 * 8, Size::DW)
}

structs! {
    /// The context of an XDP program.
    xdp_md "xdp_md" 24 {
        DATA "data" = 0, W, "Where the packet starts.";
        DATA_END "data_end" = 4, W, "One past the packet's last byte.";
        DATA_META "data_meta" = 8, W, "Where the metadata before the packet starts.";
        INGRESS_IFINDEX "ingress_ifindex" = 12, W, "The interface that the packet came in on.";
        RX_QUEUE_INDEX "rx_queue_index" = 16, W, "The receive queue that it came in on.";
        EGRESS_IFINDEX "egress_ifindex" = 20, W, "The interface that it goes out on (devmap programs, since Linux 5.8).";
    }
    /// The context of programs that see a socket buffer: socket filters, `tc`, `cgroup_skb`, `sk_skb`, LWT.
    #[doc(alias = "__sk_buff")]
    sk_buff "__sk_buff" 192 {
        LEN "len" = 0, W, "Length of the packet in bytes, with what is not directly readable.";
        PKT_TYPE "pkt_type" = 4, W, "";
        MARK "mark" = 8, W, "";
        QUEUE_MAPPING "queue_mapping" = 12, W, "";
        PROTOCOL "protocol" = 16, W be16, "The EtherType.";
        VLAN_PRESENT "vlan_present" = 20, W, "";
        VLAN_TCI "vlan_tci" = 24, W, "";
        VLAN_PROTO "vlan_proto" = 28, W be16, "";
        PRIORITY "priority" = 32, W, "";
        INGRESS_IFINDEX "ingress_ifindex" = 36, W, "";
        IFINDEX "ifindex" = 40, W, "";
        TC_INDEX "tc_index" = 44, W, "";
        CB "cb" = 48, [20], "Five words that programs may use to talk to each other.";
        HASH "hash" = 68, W, "";
        TC_CLASSID "tc_classid" = 72, W, "";
        DATA "data" = 76, W, "Where the directly readable bytes start.";
        DATA_END "data_end" = 80, W, "One past the last directly readable byte.";
        NAPI_ID "napi_id" = 84, W, "";
        FAMILY "family" = 88, W, "";
        REMOTE_IP4 "remote_ip4" = 92, W be32, "";
        LOCAL_IP4 "local_ip4" = 96, W be32, "";
        REMOTE_IP6 "remote_ip6" = 100, [16], "";
        LOCAL_IP6 "local_ip6" = 116, [16], "";
        REMOTE_PORT "remote_port" = 132, W be32, "The other side's port.";
        LOCAL_PORT "local_port" = 136, W, "This side's port.";
        DATA_META "data_meta" = 140, W, "";
        FLOW_KEYS "flow_keys" = 144, DW, "";
        TSTAMP "tstamp" = 152, DW, "";
        WIRE_LEN "wire_len" = 160, W, "";
        GSO_SEGS "gso_segs" = 164, W, "";
        SK "sk" = 168, DW, "";
        GSO_SIZE "gso_size" = 176, W, "";
        TSTAMP_TYPE "tstamp_type" = 180, B, "";
        HWTSTAMP "hwtstamp" = 184, DW, "";
    }
    /// A socket, behind the `sk` pointers of other contexts; the context of `cgroup_sock` programs.
    bpf_sock "bpf_sock" 80 {
        BOUND_DEV_IF "bound_dev_if" = 0, W, "";
        FAMILY "family" = 4, W, "";
        TYPE "type" = 8, W, "";
        PROTOCOL "protocol" = 12, W, "";
        MARK "mark" = 16, W, "";
        PRIORITY "priority" = 20, W, "";
        SRC_IP4 "src_ip4" = 24, W be32, "";
        SRC_IP6 "src_ip6" = 28, [16], "";
        SRC_PORT "src_port" = 44, W, "";
        DST_PORT "dst_port" = 48, H be16, "";
        DST_IP4 "dst_ip4" = 52, W be32, "";
        DST_IP6 "dst_ip6" = 56, [16], "";
        STATE "state" = 72, W, "";
        RX_QUEUE_MAPPING "rx_queue_mapping" = 76, W, "";
    }
    /// The context of `cgroup_sock_addr` programs: `connect`, `bind`, `sendmsg` and the like.
    bpf_sock_addr "bpf_sock_addr" 72 {
        USER_FAMILY "user_family" = 0, W, "";
        USER_IP4 "user_ip4" = 4, W be32, "The IPv4 address that the program of user space gave.";
        USER_IP6 "user_ip6" = 8, [16], "";
        USER_PORT "user_port" = 24, W be16, "The port that the program of user space gave.";
        FAMILY "family" = 28, W, "";
        TYPE "type" = 32, W, "";
        PROTOCOL "protocol" = 36, W, "";
        MSG_SRC_IP4 "msg_src_ip4" = 40, W be32, "";
        MSG_SRC_IP6 "msg_src_ip6" = 44, [16], "";
        SK "sk" = 64, DW, "";
    }
    /// The context of `sock_ops` programs.
    bpf_sock_ops "bpf_sock_ops" 224 {
        OP "op" = 0, W, "Which event it is: `BPF_SOCK_OPS_*`.";
        ARGS "args" = 4, [16], "";
        REPLY "reply" = 4, W, "";
        REPLYLONG "replylong" = 4, [16], "";
        FAMILY "family" = 20, W, "";
        REMOTE_IP4 "remote_ip4" = 24, W be32, "";
        LOCAL_IP4 "local_ip4" = 28, W be32, "";
        REMOTE_IP6 "remote_ip6" = 32, [16], "";
        LOCAL_IP6 "local_ip6" = 48, [16], "";
        REMOTE_PORT "remote_port" = 64, W be32, "";
        LOCAL_PORT "local_port" = 68, W, "";
        IS_FULLSOCK "is_fullsock" = 72, W, "";
        SND_CWND "snd_cwnd" = 76, W, "";
        SRTT_US "srtt_us" = 80, W, "";
        BPF_SOCK_OPS_CB_FLAGS "bpf_sock_ops_cb_flags" = 84, W, "";
        STATE "state" = 88, W, "";
        RTT_MIN "rtt_min" = 92, W, "";
        SND_SSTHRESH "snd_ssthresh" = 96, W, "";
        RCV_NXT "rcv_nxt" = 100, W, "";
        SND_NXT "snd_nxt" = 104, W, "";
        SND_UNA "snd_una" = 108, W, "";
        MSS_CACHE "mss_cache" = 112, W, "";
        ECN_FLAGS "ecn_flags" = 116, W, "";
        RATE_DELIVERED "rate_delivered" = 120, W, "";
        RATE_INTERVAL_US "rate_interval_us" = 124, W, "";
        PACKETS_OUT "packets_out" = 128, W, "";
        RETRANS_OUT "retrans_out" = 132, W, "";
        TOTAL_RETRANS "total_retrans" = 136, W, "";
        SEGS_IN "segs_in" = 140, W, "";
        DATA_SEGS_IN "data_segs_in" = 144, W, "";
        SEGS_OUT "segs_out" = 148, W, "";
        DATA_SEGS_OUT "data_segs_out" = 152, W, "";
        LOST_OUT "lost_out" = 156, W, "";
        SACKED_OUT "sacked_out" = 160, W, "";
        SK_TXHASH "sk_txhash" = 164, W, "";
        BYTES_RECEIVED "bytes_received" = 168, DW, "";
        BYTES_ACKED "bytes_acked" = 176, DW, "";
        SK "sk" = 184, DW, "";
        SKB_DATA "skb_data" = 192, DW, "";
        SKB_DATA_END "skb_data_end" = 200, DW, "";
        SKB_LEN "skb_len" = 208, W, "";
        SKB_TCP_FLAGS "skb_tcp_flags" = 212, W, "";
        SKB_HWTSTAMP "skb_hwtstamp" = 216, DW, "";
    }
    /// The context of `sk_lookup` programs.
    bpf_sk_lookup "bpf_sk_lookup" 72 {
        SK "sk" = 0, DW, "";
        COOKIE "cookie" = 0, DW, "";
        FAMILY "family" = 8, W, "";
        PROTOCOL "protocol" = 12, W, "";
        REMOTE_IP4 "remote_ip4" = 16, W be32, "";
        REMOTE_IP6 "remote_ip6" = 20, [16], "";
        REMOTE_PORT "remote_port" = 36, H be16, "The other side's port.";
        LOCAL_IP4 "local_ip4" = 40, W be32, "";
        LOCAL_IP6 "local_ip6" = 44, [16], "";
        LOCAL_PORT "local_port" = 60, W, "This side's port.";
        INGRESS_IFINDEX "ingress_ifindex" = 64, W, "";
    }
    /// The context of `sk_msg` programs.
    sk_msg_md "sk_msg_md" 80 {
        DATA "data" = 0, DW, "";
        DATA_END "data_end" = 8, DW, "";
        FAMILY "family" = 16, W, "";
        REMOTE_IP4 "remote_ip4" = 20, W be32, "";
        LOCAL_IP4 "local_ip4" = 24, W be32, "";
        REMOTE_IP6 "remote_ip6" = 28, [16], "";
        LOCAL_IP6 "local_ip6" = 44, [16], "";
        REMOTE_PORT "remote_port" = 60, W be32, "";
        LOCAL_PORT "local_port" = 64, W, "";
        SIZE "size" = 68, W, "";
        SK "sk" = 72, DW, "";
    }
    /// The context of `sk_reuseport` programs.
    sk_reuseport_md "sk_reuseport_md" 56 {
        DATA "data" = 0, DW, "";
        DATA_END "data_end" = 8, DW, "";
        LEN "len" = 16, W, "";
        ETH_PROTOCOL "eth_protocol" = 20, W be16, "";
        IP_PROTOCOL "ip_protocol" = 24, W, "";
        BIND_INANY "bind_inany" = 28, W, "";
        HASH "hash" = 32, W, "";
        SK "sk" = 40, DW, "";
        MIGRATING_SK "migrating_sk" = 48, DW, "";
    }
    /// The context of `cgroup_sysctl` programs.
    bpf_sysctl "bpf_sysctl" 8 {
        WRITE "write" = 0, W, "1 if the value is written, 0 if it is read.";
        FILE_POS "file_pos" = 4, W, "";
    }
    /// The context of `cgroup_sockopt` programs.
    bpf_sockopt "bpf_sockopt" 40 {
        SK "sk" = 0, DW, "";
        OPTVAL "optval" = 8, DW, "";
        OPTVAL_END "optval_end" = 16, DW, "";
        LEVEL "level" = 24, W, "";
        OPTNAME "optname" = 28, W, "";
        OPTLEN "optlen" = 32, W, "";
        RETVAL "retval" = 36, W, "What the system call returns.";
    }
    /// The context of `cgroup_device` programs.
    bpf_cgroup_dev_ctx "bpf_cgroup_dev_ctx" 12 {
        ACCESS_TYPE "access_type" = 0, W, "`BPF_DEVCG_ACC_*` in the upper half, `BPF_DEVCG_DEV_*` in the lower.";
        MAJOR "major" = 4, W, "";
        MINOR "minor" = 8, W, "";
    }
    /// What a flow dissector fills in, behind `flow_keys` of [`sk_buff`].
    bpf_flow_keys "bpf_flow_keys" 56 {
        NHOFF "nhoff" = 0, H, "";
        THOFF "thoff" = 2, H, "";
        ADDR_PROTO "addr_proto" = 4, H, "";
        IS_FRAG "is_frag" = 6, B, "";
        IS_FIRST_FRAG "is_first_frag" = 7, B, "";
        IS_ENCAP "is_encap" = 8, B, "";
        IP_PROTO "ip_proto" = 9, B, "";
        N_PROTO "n_proto" = 10, H be16, "";
        SPORT "sport" = 12, H be16, "";
        DPORT "dport" = 14, H be16, "";
        IPV4_SRC "ipv4_src" = 16, W be32, "";
        IPV4_DST "ipv4_dst" = 20, W be32, "";
        IPV6_SRC "ipv6_src" = 16, [16], "";
        IPV6_DST "ipv6_dst" = 32, [16], "";
        FLAGS "flags" = 48, W, "";
        FLOW_LABEL "flow_label" = 52, W be32, "";
    }
    /// The registers of x86-64.
    pt_regs_x86_64 "pt_regs_x86_64" 168 {
        R15 "r15" = 0, DW, "";
        R14 "r14" = 8, DW, "";
        R13 "r13" = 16, DW, "";
        R12 "r12" = 24, DW, "";
        BP "bp" = 32, DW, "";
        BX "bx" = 40, DW, "";
        R11 "r11" = 48, DW, "";
        R10 "r10" = 56, DW, "";
        R9 "r9" = 64, DW, "";
        R8 "r8" = 72, DW, "";
        AX "ax" = 80, DW, "";
        CX "cx" = 88, DW, "";
        DX "dx" = 96, DW, "";
        SI "si" = 104, DW, "";
        DI "di" = 112, DW, "";
        ORIG_AX "orig_ax" = 120, DW, "";
        IP "ip" = 128, DW, "";
        CS "cs" = 136, DW, "";
        FLAGS "flags" = 144, DW, "";
        SP "sp" = 152, DW, "";
        SS "ss" = 160, DW, "";
    }
    /// The registers of arm64 (`user_pt_regs`).
    pt_regs_arm64 "pt_regs_arm64" 272 {
        X0 "x0" = 0, DW, "";
        X1 "x1" = 8, DW, "";
        X2 "x2" = 16, DW, "";
        X3 "x3" = 24, DW, "";
        X4 "x4" = 32, DW, "";
        X5 "x5" = 40, DW, "";
        X6 "x6" = 48, DW, "";
        X7 "x7" = 56, DW, "";
        X8 "x8" = 64, DW, "";
        X9 "x9" = 72, DW, "";
        X10 "x10" = 80, DW, "";
        X11 "x11" = 88, DW, "";
        X12 "x12" = 96, DW, "";
        X13 "x13" = 104, DW, "";
        X14 "x14" = 112, DW, "";
        X15 "x15" = 120, DW, "";
        X16 "x16" = 128, DW, "";
        X17 "x17" = 136, DW, "";
        X18 "x18" = 144, DW, "";
        X19 "x19" = 152, DW, "";
        X20 "x20" = 160, DW, "";
        X21 "x21" = 168, DW, "";
        X22 "x22" = 176, DW, "";
        X23 "x23" = 184, DW, "";
        X24 "x24" = 192, DW, "";
        X25 "x25" = 200, DW, "";
        X26 "x26" = 208, DW, "";
        X27 "x27" = 216, DW, "";
        X28 "x28" = 224, DW, "";
        X29 "x29" = 232, DW, "";
        X30 "x30" = 240, DW, "";
        SP "sp" = 248, DW, "";
        PC "pc" = 256, DW, "";
        PSTATE "pstate" = 264, DW, "";
    }
    /// The registers of riscv64 (`user_regs_struct`).
    pt_regs_riscv64 "pt_regs_riscv64" 256 {
        EPC "epc" = 0, DW, "";
        RA "ra" = 8, DW, "";
        SP "sp" = 16, DW, "";
        GP "gp" = 24, DW, "";
        TP "tp" = 32, DW, "";
        T0 "t0" = 40, DW, "";
        T1 "t1" = 48, DW, "";
        T2 "t2" = 56, DW, "";
        S0 "s0" = 64, DW, "";
        S1 "s1" = 72, DW, "";
        A0 "a0" = 80, DW, "";
        A1 "a1" = 88, DW, "";
        A2 "a2" = 96, DW, "";
        A3 "a3" = 104, DW, "";
        A4 "a4" = 112, DW, "";
        A5 "a5" = 120, DW, "";
        A6 "a6" = 128, DW, "";
        A7 "a7" = 136, DW, "";
        S2 "s2" = 144, DW, "";
        S3 "s3" = 152, DW, "";
        S4 "s4" = 160, DW, "";
        S5 "s5" = 168, DW, "";
        S6 "s6" = 176, DW, "";
        S7 "s7" = 184, DW, "";
        S8 "s8" = 192, DW, "";
        S9 "s9" = 200, DW, "";
        S10 "s10" = 208, DW, "";
        S11 "s11" = 216, DW, "";
        T3 "t3" = 224, DW, "";
        T4 "t4" = 232, DW, "";
        T5 "t5" = 240, DW, "";
        T6 "t6" = 248, DW, "";
    }
}

/// The registers of this machine's architecture under the names of its calling convention, as
/// `PT_REGS_PARM1` and its like are in C.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// // kprobe:do_unlinkat: r2 = the second argument, a struct filename *
/// let mut a = Asm::new();
/// a.get(R2, R1 + pt_regs::PARM2).mov64(R0, 0).exit();
/// # a.finish()?;
/// # Ok::<(), AsmError>(())
/// ```
pub mod pt_regs {
    use crate::insn::field::Field;

    macro_rules! convention {
        ($from:ident: $( $name:ident $reg:ident, $alias:literal, $doc:literal; )*) => {
            $( #[doc = $doc] #[doc(alias = $alias)] pub const $name: Field = super::$from::$reg; )*
        };
    }

    #[cfg(not(any(target_arch = "aarch64", target_arch = "riscv64")))]
    convention! { pt_regs_x86_64:
        PARM1 DI, "PT_REGS_PARM1", "The first argument of a function.";
        PARM2 SI, "PT_REGS_PARM2", "The second argument of a function.";
        PARM3 DX, "PT_REGS_PARM3", "The third argument of a function.";
        PARM4 CX, "PT_REGS_PARM4", "The fourth argument of a function; of a system call it is in `R10`.";
        PARM5 R8, "PT_REGS_PARM5", "The fifth argument of a function.";
        PARM6 R9, "PT_REGS_PARM6", "The sixth argument of a function.";
        RC AX, "PT_REGS_RC", "The result of a function, when it returns.";
        SP SP, "PT_REGS_SP", "The stack pointer.";
        FP BP, "PT_REGS_FP", "The frame pointer.";
        IP IP, "PT_REGS_IP", "The instruction pointer.";
    }

    #[cfg(target_arch = "aarch64")]
    convention! { pt_regs_arm64:
        PARM1 X0, "PT_REGS_PARM1", "The first argument of a function.";
        PARM2 X1, "PT_REGS_PARM2", "The second argument of a function.";
        PARM3 X2, "PT_REGS_PARM3", "The third argument of a function.";
        PARM4 X3, "PT_REGS_PARM4", "The fourth argument of a function.";
        PARM5 X4, "PT_REGS_PARM5", "The fifth argument of a function.";
        PARM6 X5, "PT_REGS_PARM6", "The sixth argument of a function.";
        RC X0, "PT_REGS_RC", "The result of a function, when it returns.";
        SP SP, "PT_REGS_SP", "The stack pointer.";
        FP X29, "PT_REGS_FP", "The frame pointer.";
        IP PC, "PT_REGS_IP", "The instruction pointer.";
    }

    #[cfg(target_arch = "riscv64")]
    convention! { pt_regs_riscv64:
        PARM1 A0, "PT_REGS_PARM1", "The first argument of a function.";
        PARM2 A1, "PT_REGS_PARM2", "The second argument of a function.";
        PARM3 A2, "PT_REGS_PARM3", "The third argument of a function.";
        PARM4 A3, "PT_REGS_PARM4", "The fourth argument of a function.";
        PARM5 A4, "PT_REGS_PARM5", "The fifth argument of a function.";
        PARM6 A5, "PT_REGS_PARM6", "The sixth argument of a function.";
        RC A0, "PT_REGS_RC", "The result of a function, when it returns.";
        SP SP, "PT_REGS_SP", "The stack pointer.";
        FP S0, "PT_REGS_FP", "The frame pointer.";
        IP EPC, "PT_REGS_IP", "The instruction pointer.";
    }
}
