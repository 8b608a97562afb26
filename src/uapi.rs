//! The kernel's own enumerations, by their UAPI names: commands, map types, program types, attach types,
//! link types.
//!
//! The kernel grows these lists with every release, so a closed Rust `enum` would be wrong the day a
//! newer kernel shows a map of a type that this crate does not know. Each list is therefore an *open*
//! enumeration: a number with named constants. It is written like an `enum` (`MapType::Hash`), it
//! matches like one, and a number without a name prints as what it is (`map type 99`).
//!
//! Each row carries what a reader wants to know of it: the UAPI name to search for in
//! `include/uapi/linux/bpf.h`, and the first kernel release that has it.

use std::fmt;

/// A kernel release, as far as features are concerned: `5.10` is `Release(5, 10, 0)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release(pub u8, pub u8, pub u16);

impl Release {
    /// The number that `LINUX_VERSION_CODE` and `KERNEL_VERSION(a, b, c)` stand for; the patch level
    /// saturates at 255, as in `linux/version.h`.
    pub const fn code(self) -> u32 {
        let patch = if self.2 > 255 { 255 } else { self.2 as u32 };
        (self.0 as u32) << 16 | (self.1 as u32) << 8 | patch
    }

    /// Reads the leading `A.B[.C]` of a text such as `6.12.117+deb12-cloud-amd64`.
    ///
    /// ```
    /// use rawbpf::uapi::Release;
    /// assert_eq!(Release::parse("6.12.117+deb12-cloud-amd64"), Some(Release(6, 12, 117)));
    /// assert_eq!(Release::parse("5.10"), Some(Release(5, 10, 0)));
    /// assert_eq!(Release::parse("next"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Release> {
        let mut parts = text.splitn(3, '.');
        let number = |s: &str| {
            let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
            s.get(..end).and_then(|d| d.parse::<u16>().ok())
        };
        let major = number(parts.next()?)?;
        let minor = number(parts.next()?)?;
        let patch = parts.next().and_then(number).unwrap_or(0);
        Some(Release(u8::try_from(major).ok()?, u8::try_from(minor).ok()?, patch))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.2 {
            0 => write!(f, "{}.{}", self.0, self.1),
            patch => write!(f, "{}.{}.{patch}", self.0, self.1),
        }
    }
}

/// Declares an open enumeration: a number with named constants, their UAPI names and first releases.
/// The file that uses it has `use std::fmt` and [`Release`] in scope.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        $name:ident: $repr:ty, $what:literal;
        $( $variant:ident = $value:literal, $text:literal, $uapi:literal, $major:literal . $minor:literal; )*
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $repr);

        #[allow(non_upper_case_globals)]
        impl $name {
            $(
                #[doc = concat!("`", $uapi, "`, since Linux ", $major, ".", $minor, ".")]
                #[doc(alias = $uapi)]
                pub const $variant: $name = $name($value);
            )*

            /// Every value that this crate has a name for, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$( $name::$variant ),*];

            /// The short name, as bpftool and this crate's command line print it; `None` for a number
            /// that is newer than this crate.
            pub const fn name(self) -> Option<&'static str> {
                match self { $( $name::$variant => Some($text), )* _ => None }
            }

            /// The name in `include/uapi/linux/bpf.h`.
            pub const fn uapi(self) -> Option<&'static str> {
                match self { $( $name::$variant => Some($uapi), )* _ => None }
            }

            /// The first kernel release that has it.
            pub const fn since(self) -> Option<Release> {
                match self { $( $name::$variant => Some(Release($major, $minor, 0)), )* _ => None }
            }

            /// Finds a value by its short name or its UAPI name.
            pub fn from_name(name: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|v| v.name() == Some(name) || v.uapi() == Some(name))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => f.pad(&format!(concat!($what, " {}"), self.0)),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.uapi() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({})"), self.0),
                }
            }
        }
    };
}
pub(crate) use open_enum;

open_enum! {
    /// A command of the `bpf(2)` system call: its first argument (`enum bpf_cmd`).
    Cmd: u32, "bpf command";
    MapCreate = 0, "BPF_MAP_CREATE", "BPF_MAP_CREATE", 3 . 18;
    MapLookupElem = 1, "BPF_MAP_LOOKUP_ELEM", "BPF_MAP_LOOKUP_ELEM", 3 . 18;
    MapUpdateElem = 2, "BPF_MAP_UPDATE_ELEM", "BPF_MAP_UPDATE_ELEM", 3 . 18;
    MapDeleteElem = 3, "BPF_MAP_DELETE_ELEM", "BPF_MAP_DELETE_ELEM", 3 . 18;
    MapGetNextKey = 4, "BPF_MAP_GET_NEXT_KEY", "BPF_MAP_GET_NEXT_KEY", 3 . 18;
    ProgLoad = 5, "BPF_PROG_LOAD", "BPF_PROG_LOAD", 3 . 18;
    ObjPin = 6, "BPF_OBJ_PIN", "BPF_OBJ_PIN", 4 . 4;
    ObjGet = 7, "BPF_OBJ_GET", "BPF_OBJ_GET", 4 . 4;
    ProgAttach = 8, "BPF_PROG_ATTACH", "BPF_PROG_ATTACH", 4 . 10;
    ProgDetach = 9, "BPF_PROG_DETACH", "BPF_PROG_DETACH", 4 . 10;
    ProgTestRun = 10, "BPF_PROG_TEST_RUN", "BPF_PROG_TEST_RUN", 4 . 12;
    ProgGetNextId = 11, "BPF_PROG_GET_NEXT_ID", "BPF_PROG_GET_NEXT_ID", 4 . 13;
    MapGetNextId = 12, "BPF_MAP_GET_NEXT_ID", "BPF_MAP_GET_NEXT_ID", 4 . 13;
    ProgGetFdById = 13, "BPF_PROG_GET_FD_BY_ID", "BPF_PROG_GET_FD_BY_ID", 4 . 13;
    MapGetFdById = 14, "BPF_MAP_GET_FD_BY_ID", "BPF_MAP_GET_FD_BY_ID", 4 . 13;
    ObjGetInfoByFd = 15, "BPF_OBJ_GET_INFO_BY_FD", "BPF_OBJ_GET_INFO_BY_FD", 4 . 13;
    ProgQuery = 16, "BPF_PROG_QUERY", "BPF_PROG_QUERY", 4 . 15;
    RawTracepointOpen = 17, "BPF_RAW_TRACEPOINT_OPEN", "BPF_RAW_TRACEPOINT_OPEN", 4 . 17;
    BtfLoad = 18, "BPF_BTF_LOAD", "BPF_BTF_LOAD", 4 . 18;
    BtfGetFdById = 19, "BPF_BTF_GET_FD_BY_ID", "BPF_BTF_GET_FD_BY_ID", 4 . 19;
    TaskFdQuery = 20, "BPF_TASK_FD_QUERY", "BPF_TASK_FD_QUERY", 4 . 18;
    MapLookupAndDeleteElem = 21, "BPF_MAP_LOOKUP_AND_DELETE_ELEM", "BPF_MAP_LOOKUP_AND_DELETE_ELEM", 4 . 20;
    MapFreeze = 22, "BPF_MAP_FREEZE", "BPF_MAP_FREEZE", 5 . 2;
    BtfGetNextId = 23, "BPF_BTF_GET_NEXT_ID", "BPF_BTF_GET_NEXT_ID", 5 . 4;
    MapLookupBatch = 24, "BPF_MAP_LOOKUP_BATCH", "BPF_MAP_LOOKUP_BATCH", 5 . 6;
    MapLookupAndDeleteBatch = 25, "BPF_MAP_LOOKUP_AND_DELETE_BATCH", "BPF_MAP_LOOKUP_AND_DELETE_BATCH", 5 . 6;
    MapUpdateBatch = 26, "BPF_MAP_UPDATE_BATCH", "BPF_MAP_UPDATE_BATCH", 5 . 6;
    MapDeleteBatch = 27, "BPF_MAP_DELETE_BATCH", "BPF_MAP_DELETE_BATCH", 5 . 6;
    LinkCreate = 28, "BPF_LINK_CREATE", "BPF_LINK_CREATE", 5 . 7;
    LinkUpdate = 29, "BPF_LINK_UPDATE", "BPF_LINK_UPDATE", 5 . 7;
    LinkGetFdById = 30, "BPF_LINK_GET_FD_BY_ID", "BPF_LINK_GET_FD_BY_ID", 5 . 8;
    LinkGetNextId = 31, "BPF_LINK_GET_NEXT_ID", "BPF_LINK_GET_NEXT_ID", 5 . 8;
    EnableStats = 32, "BPF_ENABLE_STATS", "BPF_ENABLE_STATS", 5 . 8;
    IterCreate = 33, "BPF_ITER_CREATE", "BPF_ITER_CREATE", 5 . 8;
    LinkDetach = 34, "BPF_LINK_DETACH", "BPF_LINK_DETACH", 5 . 9;
    ProgBindMap = 35, "BPF_PROG_BIND_MAP", "BPF_PROG_BIND_MAP", 5 . 10;
    TokenCreate = 36, "BPF_TOKEN_CREATE", "BPF_TOKEN_CREATE", 6 . 9;
    ProgStreamReadByFd = 37, "BPF_PROG_STREAM_READ_BY_FD", "BPF_PROG_STREAM_READ_BY_FD", 6 . 17;
    ProgAssocStructOps = 38, "BPF_PROG_ASSOC_STRUCT_OPS", "BPF_PROG_ASSOC_STRUCT_OPS", 6 . 19;
}

open_enum! {
    /// What kind of table a map is (`enum bpf_map_type`).
    MapType: u32, "map type";
    Hash = 1, "hash", "BPF_MAP_TYPE_HASH", 3 . 19;
    Array = 2, "array", "BPF_MAP_TYPE_ARRAY", 3 . 19;
    ProgArray = 3, "prog_array", "BPF_MAP_TYPE_PROG_ARRAY", 4 . 2;
    PerfEventArray = 4, "perf_event_array", "BPF_MAP_TYPE_PERF_EVENT_ARRAY", 4 . 3;
    PercpuHash = 5, "percpu_hash", "BPF_MAP_TYPE_PERCPU_HASH", 4 . 6;
    PercpuArray = 6, "percpu_array", "BPF_MAP_TYPE_PERCPU_ARRAY", 4 . 6;
    StackTrace = 7, "stack_trace", "BPF_MAP_TYPE_STACK_TRACE", 4 . 6;
    CgroupArray = 8, "cgroup_array", "BPF_MAP_TYPE_CGROUP_ARRAY", 4 . 8;
    LruHash = 9, "lru_hash", "BPF_MAP_TYPE_LRU_HASH", 4 . 10;
    LruPercpuHash = 10, "lru_percpu_hash", "BPF_MAP_TYPE_LRU_PERCPU_HASH", 4 . 10;
    LpmTrie = 11, "lpm_trie", "BPF_MAP_TYPE_LPM_TRIE", 4 . 11;
    ArrayOfMaps = 12, "array_of_maps", "BPF_MAP_TYPE_ARRAY_OF_MAPS", 4 . 12;
    HashOfMaps = 13, "hash_of_maps", "BPF_MAP_TYPE_HASH_OF_MAPS", 4 . 12;
    Devmap = 14, "devmap", "BPF_MAP_TYPE_DEVMAP", 4 . 14;
    Sockmap = 15, "sockmap", "BPF_MAP_TYPE_SOCKMAP", 4 . 14;
    Cpumap = 16, "cpumap", "BPF_MAP_TYPE_CPUMAP", 4 . 15;
    Xskmap = 17, "xskmap", "BPF_MAP_TYPE_XSKMAP", 4 . 18;
    Sockhash = 18, "sockhash", "BPF_MAP_TYPE_SOCKHASH", 4 . 18;
    CgroupStorage = 19, "cgroup_storage", "BPF_MAP_TYPE_CGROUP_STORAGE", 4 . 19;
    ReuseportSockarray = 20, "reuseport_sockarray", "BPF_MAP_TYPE_REUSEPORT_SOCKARRAY", 4 . 19;
    PercpuCgroupStorage = 21, "percpu_cgroup_storage", "BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE", 4 . 20;
    Queue = 22, "queue", "BPF_MAP_TYPE_QUEUE", 4 . 20;
    Stack = 23, "stack", "BPF_MAP_TYPE_STACK", 4 . 20;
    SkStorage = 24, "sk_storage", "BPF_MAP_TYPE_SK_STORAGE", 5 . 2;
    DevmapHash = 25, "devmap_hash", "BPF_MAP_TYPE_DEVMAP_HASH", 5 . 4;
    StructOps = 26, "struct_ops", "BPF_MAP_TYPE_STRUCT_OPS", 5 . 6;
    Ringbuf = 27, "ringbuf", "BPF_MAP_TYPE_RINGBUF", 5 . 8;
    InodeStorage = 28, "inode_storage", "BPF_MAP_TYPE_INODE_STORAGE", 5 . 10;
    TaskStorage = 29, "task_storage", "BPF_MAP_TYPE_TASK_STORAGE", 5 . 11;
    BloomFilter = 30, "bloom_filter", "BPF_MAP_TYPE_BLOOM_FILTER", 5 . 16;
    UserRingbuf = 31, "user_ringbuf", "BPF_MAP_TYPE_USER_RINGBUF", 6 . 1;
    CgrpStorage = 32, "cgrp_storage", "BPF_MAP_TYPE_CGRP_STORAGE", 6 . 2;
    Arena = 33, "arena", "BPF_MAP_TYPE_ARENA", 6 . 9;
    InsnArray = 34, "insn_array", "BPF_MAP_TYPE_INSN_ARRAY", 6 . 19;
    Rhash = 35, "rhash", "BPF_MAP_TYPE_RHASH", 7 . 2;
}

open_enum! {
    /// What a program may do and which context it gets (`enum bpf_prog_type`).
    ProgType: u32, "program type";
    SocketFilter = 1, "socket_filter", "BPF_PROG_TYPE_SOCKET_FILTER", 3 . 19;
    Kprobe = 2, "kprobe", "BPF_PROG_TYPE_KPROBE", 4 . 1;
    SchedCls = 3, "sched_cls", "BPF_PROG_TYPE_SCHED_CLS", 4 . 1;
    SchedAct = 4, "sched_act", "BPF_PROG_TYPE_SCHED_ACT", 4 . 1;
    Tracepoint = 5, "tracepoint", "BPF_PROG_TYPE_TRACEPOINT", 4 . 7;
    Xdp = 6, "xdp", "BPF_PROG_TYPE_XDP", 4 . 8;
    PerfEvent = 7, "perf_event", "BPF_PROG_TYPE_PERF_EVENT", 4 . 9;
    CgroupSkb = 8, "cgroup_skb", "BPF_PROG_TYPE_CGROUP_SKB", 4 . 10;
    CgroupSock = 9, "cgroup_sock", "BPF_PROG_TYPE_CGROUP_SOCK", 4 . 10;
    LwtIn = 10, "lwt_in", "BPF_PROG_TYPE_LWT_IN", 4 . 10;
    LwtOut = 11, "lwt_out", "BPF_PROG_TYPE_LWT_OUT", 4 . 10;
    LwtXmit = 12, "lwt_xmit", "BPF_PROG_TYPE_LWT_XMIT", 4 . 10;
    SockOps = 13, "sock_ops", "BPF_PROG_TYPE_SOCK_OPS", 4 . 13;
    SkSkb = 14, "sk_skb", "BPF_PROG_TYPE_SK_SKB", 4 . 14;
    CgroupDevice = 15, "cgroup_device", "BPF_PROG_TYPE_CGROUP_DEVICE", 4 . 15;
    SkMsg = 16, "sk_msg", "BPF_PROG_TYPE_SK_MSG", 4 . 17;
    RawTracepoint = 17, "raw_tracepoint", "BPF_PROG_TYPE_RAW_TRACEPOINT", 4 . 17;
    CgroupSockAddr = 18, "cgroup_sock_addr", "BPF_PROG_TYPE_CGROUP_SOCK_ADDR", 4 . 17;
    LwtSeg6local = 19, "lwt_seg6local", "BPF_PROG_TYPE_LWT_SEG6LOCAL", 4 . 18;
    LircMode2 = 20, "lirc_mode2", "BPF_PROG_TYPE_LIRC_MODE2", 4 . 18;
    SkReuseport = 21, "sk_reuseport", "BPF_PROG_TYPE_SK_REUSEPORT", 4 . 19;
    FlowDissector = 22, "flow_dissector", "BPF_PROG_TYPE_FLOW_DISSECTOR", 4 . 20;
    CgroupSysctl = 23, "cgroup_sysctl", "BPF_PROG_TYPE_CGROUP_SYSCTL", 5 . 2;
    RawTracepointWritable = 24, "raw_tracepoint_writable", "BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE", 5 . 2;
    CgroupSockopt = 25, "cgroup_sockopt", "BPF_PROG_TYPE_CGROUP_SOCKOPT", 5 . 3;
    Tracing = 26, "tracing", "BPF_PROG_TYPE_TRACING", 5 . 5;
    StructOps = 27, "struct_ops", "BPF_PROG_TYPE_STRUCT_OPS", 5 . 6;
    Ext = 28, "ext", "BPF_PROG_TYPE_EXT", 5 . 6;
    Lsm = 29, "lsm", "BPF_PROG_TYPE_LSM", 5 . 7;
    SkLookup = 30, "sk_lookup", "BPF_PROG_TYPE_SK_LOOKUP", 5 . 9;
    Syscall = 31, "syscall", "BPF_PROG_TYPE_SYSCALL", 5 . 14;
    Netfilter = 32, "netfilter", "BPF_PROG_TYPE_NETFILTER", 6 . 4;
}

open_enum! {
    /// Which hook a program is meant for, at load time and at attach time (`enum bpf_attach_type`).
    ///
    /// `since` is the release in which the kernel first took the value as an attach type.
    AttachType: u32, "attach type";
    CgroupInetIngress = 0, "cgroup_inet_ingress", "BPF_CGROUP_INET_INGRESS", 4 . 10;
    CgroupInetEgress = 1, "cgroup_inet_egress", "BPF_CGROUP_INET_EGRESS", 4 . 10;
    CgroupInetSockCreate = 2, "cgroup_inet_sock_create", "BPF_CGROUP_INET_SOCK_CREATE", 4 . 10;
    CgroupSockOps = 3, "cgroup_sock_ops", "BPF_CGROUP_SOCK_OPS", 4 . 13;
    SkSkbStreamParser = 4, "sk_skb_stream_parser", "BPF_SK_SKB_STREAM_PARSER", 4 . 14;
    SkSkbStreamVerdict = 5, "sk_skb_stream_verdict", "BPF_SK_SKB_STREAM_VERDICT", 4 . 14;
    CgroupDevice = 6, "cgroup_device", "BPF_CGROUP_DEVICE", 4 . 15;
    SkMsgVerdict = 7, "sk_msg_verdict", "BPF_SK_MSG_VERDICT", 4 . 17;
    CgroupInet4Bind = 8, "cgroup_inet4_bind", "BPF_CGROUP_INET4_BIND", 4 . 17;
    CgroupInet6Bind = 9, "cgroup_inet6_bind", "BPF_CGROUP_INET6_BIND", 4 . 17;
    CgroupInet4Connect = 10, "cgroup_inet4_connect", "BPF_CGROUP_INET4_CONNECT", 4 . 17;
    CgroupInet6Connect = 11, "cgroup_inet6_connect", "BPF_CGROUP_INET6_CONNECT", 4 . 17;
    CgroupInet4PostBind = 12, "cgroup_inet4_post_bind", "BPF_CGROUP_INET4_POST_BIND", 4 . 17;
    CgroupInet6PostBind = 13, "cgroup_inet6_post_bind", "BPF_CGROUP_INET6_POST_BIND", 4 . 17;
    CgroupUdp4Sendmsg = 14, "cgroup_udp4_sendmsg", "BPF_CGROUP_UDP4_SENDMSG", 4 . 18;
    CgroupUdp6Sendmsg = 15, "cgroup_udp6_sendmsg", "BPF_CGROUP_UDP6_SENDMSG", 4 . 18;
    LircMode2 = 16, "lirc_mode2", "BPF_LIRC_MODE2", 4 . 18;
    FlowDissector = 17, "flow_dissector", "BPF_FLOW_DISSECTOR", 4 . 20;
    CgroupSysctl = 18, "cgroup_sysctl", "BPF_CGROUP_SYSCTL", 5 . 2;
    CgroupUdp4Recvmsg = 19, "cgroup_udp4_recvmsg", "BPF_CGROUP_UDP4_RECVMSG", 5 . 2;
    CgroupUdp6Recvmsg = 20, "cgroup_udp6_recvmsg", "BPF_CGROUP_UDP6_RECVMSG", 5 . 2;
    CgroupGetsockopt = 21, "cgroup_getsockopt", "BPF_CGROUP_GETSOCKOPT", 5 . 3;
    CgroupSetsockopt = 22, "cgroup_setsockopt", "BPF_CGROUP_SETSOCKOPT", 5 . 3;
    TraceRawTp = 23, "trace_raw_tp", "BPF_TRACE_RAW_TP", 5 . 5;
    TraceFentry = 24, "trace_fentry", "BPF_TRACE_FENTRY", 5 . 5;
    TraceFexit = 25, "trace_fexit", "BPF_TRACE_FEXIT", 5 . 5;
    ModifyReturn = 26, "modify_return", "BPF_MODIFY_RETURN", 5 . 7;
    LsmMac = 27, "lsm_mac", "BPF_LSM_MAC", 5 . 7;
    TraceIter = 28, "trace_iter", "BPF_TRACE_ITER", 5 . 8;
    CgroupInet4Getpeername = 29, "cgroup_inet4_getpeername", "BPF_CGROUP_INET4_GETPEERNAME", 5 . 8;
    CgroupInet6Getpeername = 30, "cgroup_inet6_getpeername", "BPF_CGROUP_INET6_GETPEERNAME", 5 . 8;
    CgroupInet4Getsockname = 31, "cgroup_inet4_getsockname", "BPF_CGROUP_INET4_GETSOCKNAME", 5 . 8;
    CgroupInet6Getsockname = 32, "cgroup_inet6_getsockname", "BPF_CGROUP_INET6_GETSOCKNAME", 5 . 8;
    XdpDevmap = 33, "xdp_devmap", "BPF_XDP_DEVMAP", 5 . 8;
    CgroupInetSockRelease = 34, "cgroup_inet_sock_release", "BPF_CGROUP_INET_SOCK_RELEASE", 5 . 9;
    XdpCpumap = 35, "xdp_cpumap", "BPF_XDP_CPUMAP", 5 . 9;
    SkLookup = 36, "sk_lookup", "BPF_SK_LOOKUP", 5 . 9;
    Xdp = 37, "xdp", "BPF_XDP", 5 . 9;
    SkSkbVerdict = 38, "sk_skb_verdict", "BPF_SK_SKB_VERDICT", 5 . 13;
    SkReuseportSelect = 39, "sk_reuseport_select", "BPF_SK_REUSEPORT_SELECT", 5 . 14;
    SkReuseportSelectOrMigrate = 40, "sk_reuseport_select_or_migrate", "BPF_SK_REUSEPORT_SELECT_OR_MIGRATE", 5 . 14;
    PerfEvent = 41, "perf_event", "BPF_PERF_EVENT", 5 . 15;
    TraceKprobeMulti = 42, "trace_kprobe_multi", "BPF_TRACE_KPROBE_MULTI", 5 . 18;
    LsmCgroup = 43, "lsm_cgroup", "BPF_LSM_CGROUP", 6 . 0;
    StructOps = 44, "struct_ops", "BPF_STRUCT_OPS", 6 . 4;
    Netfilter = 45, "netfilter", "BPF_NETFILTER", 6 . 4;
    TcxIngress = 46, "tcx_ingress", "BPF_TCX_INGRESS", 6 . 6;
    TcxEgress = 47, "tcx_egress", "BPF_TCX_EGRESS", 6 . 6;
    TraceUprobeMulti = 48, "trace_uprobe_multi", "BPF_TRACE_UPROBE_MULTI", 6 . 6;
    CgroupUnixConnect = 49, "cgroup_unix_connect", "BPF_CGROUP_UNIX_CONNECT", 6 . 7;
    CgroupUnixSendmsg = 50, "cgroup_unix_sendmsg", "BPF_CGROUP_UNIX_SENDMSG", 6 . 7;
    CgroupUnixRecvmsg = 51, "cgroup_unix_recvmsg", "BPF_CGROUP_UNIX_RECVMSG", 6 . 7;
    CgroupUnixGetpeername = 52, "cgroup_unix_getpeername", "BPF_CGROUP_UNIX_GETPEERNAME", 6 . 7;
    CgroupUnixGetsockname = 53, "cgroup_unix_getsockname", "BPF_CGROUP_UNIX_GETSOCKNAME", 6 . 7;
    NetkitPrimary = 54, "netkit_primary", "BPF_NETKIT_PRIMARY", 6 . 7;
    NetkitPeer = 55, "netkit_peer", "BPF_NETKIT_PEER", 6 . 7;
    TraceKprobeSession = 56, "trace_kprobe_session", "BPF_TRACE_KPROBE_SESSION", 6 . 10;
    TraceUprobeSession = 57, "trace_uprobe_session", "BPF_TRACE_UPROBE_SESSION", 6 . 13;
    TraceFsession = 58, "trace_fsession", "BPF_TRACE_FSESSION", 7 . 0;
    TraceFentryMulti = 59, "trace_fentry_multi", "BPF_TRACE_FENTRY_MULTI", 7 . 2;
    TraceFexitMulti = 60, "trace_fexit_multi", "BPF_TRACE_FEXIT_MULTI", 7 . 2;
    TraceFsessionMulti = 61, "trace_fsession_multi", "BPF_TRACE_FSESSION_MULTI", 7 . 2;
}

open_enum! {
    /// What kind of attachment a link is (`enum bpf_link_type`).
    LinkType: u32, "link type";
    RawTracepoint = 1, "raw_tracepoint", "BPF_LINK_TYPE_RAW_TRACEPOINT", 5 . 8;
    Tracing = 2, "tracing", "BPF_LINK_TYPE_TRACING", 5 . 8;
    Cgroup = 3, "cgroup", "BPF_LINK_TYPE_CGROUP", 5 . 7;
    Iter = 4, "iter", "BPF_LINK_TYPE_ITER", 5 . 8;
    Netns = 5, "netns", "BPF_LINK_TYPE_NETNS", 5 . 8;
    Xdp = 6, "xdp", "BPF_LINK_TYPE_XDP", 5 . 9;
    PerfEvent = 7, "perf_event", "BPF_LINK_TYPE_PERF_EVENT", 5 . 15;
    KprobeMulti = 8, "kprobe_multi", "BPF_LINK_TYPE_KPROBE_MULTI", 5 . 18;
    StructOps = 9, "struct_ops", "BPF_LINK_TYPE_STRUCT_OPS", 6 . 4;
    Netfilter = 10, "netfilter", "BPF_LINK_TYPE_NETFILTER", 6 . 4;
    Tcx = 11, "tcx", "BPF_LINK_TYPE_TCX", 6 . 6;
    UprobeMulti = 12, "uprobe_multi", "BPF_LINK_TYPE_UPROBE_MULTI", 6 . 6;
    Netkit = 13, "netkit", "BPF_LINK_TYPE_NETKIT", 6 . 7;
    Sockmap = 14, "sockmap", "BPF_LINK_TYPE_SOCKMAP", 6 . 10;
    TracingMulti = 15, "tracing_multi", "BPF_LINK_TYPE_TRACING_MULTI", 7 . 2;
}
