//! Which section name means which kind of program: libbpf's `SEC()` table, row by row.
//!
//! A C program says what it is by the name of the ELF section that it is put into:
//!
//! ```c
//! SEC("xdp")                      int count(struct xdp_md *ctx)        // a program type
//! SEC("kprobe/tcp_connect")       int on_connect(struct pt_regs *ctx)  // and what to attach to
//! SEC("?lsm.s/file_open")         int BPF_PROG(check, ...)             // `?`: not unless asked for
//! ```
//!
//! The table is searched from the top and the first match wins. A pattern that ends in `+` matches the
//! bare name and the name followed by `/` and anything; any other pattern matches exactly. So `xdp` is
//! not `xdp/foo`, and `sk_reuseport/migrate` must stand above `sk_reuseport`.

use crate::uapi::{AttachType, ProgType};

/// How a program attaches itself, if its section name says all that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AutoAttach {
    /// It cannot: an interface, a cgroup, a socket ... has to be named.
    Manual,
    Kprobe,
    KprobeMulti,
    KprobeSession,
    Ksyscall,
    Uprobe,
    UprobeMulti,
    Usdt,
    Tracepoint,
    RawTracepoint,
    /// fentry and its kin, `tp_btf`, freplace: the target is fixed when the program is loaded.
    Trace,
    TracingMulti,
    Lsm,
    Iter,
}

/// One row: a section name pattern and what it means.
#[derive(Debug, PartialEq, Eq)]
pub struct SecDef {
    /// The pattern; see the module's introduction.
    pub pattern: &'static str,
    /// The program type.
    pub prog_type: ProgType,
    /// The expected attach type; 0 where the kernel wants none.
    pub attach_type: AttachType,
    /// How it attaches itself.
    pub auto: AutoAttach,
    flags: u8,
}

impl SecDef {
    /// Kernels before 4.17 refuse an expected attach type for it, and it can do without.
    pub fn attach_type_is_optional(&self) -> bool {
        self.flags & OPT != 0
    }

    /// The part after the first `/` names a kernel function or type, found by BTF at load time.
    pub fn needs_btf_target(&self) -> bool {
        self.flags & BTF != 0
    }

    /// The program may sleep (`BPF_F_SLEEPABLE`).
    pub fn is_sleepable(&self) -> bool {
        self.flags & SLEEP != 0
    }

    /// The program takes packets in several buffers (`BPF_F_XDP_HAS_FRAGS`).
    pub fn has_xdp_frags(&self) -> bool {
        self.flags & FRAGS != 0
    }

    /// A USDT program: loaded for uprobe.multi where the kernel has that.
    pub fn is_usdt(&self) -> bool {
        self.flags & USDT != 0
    }

    /// True if `section` (without a leading `?`) is one of this row's names.
    pub fn matches(&self, section: &str) -> bool {
        match self.pattern.strip_suffix('+') {
            None => section == self.pattern,
            Some(base) => {
                section.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    /// The pattern without its `+`, as a user writes it.
    pub fn name(&self) -> &'static str {
        self.pattern.strip_suffix('+').unwrap_or(self.pattern)
    }
}

/// Finds the row for a section name without its leading `?`.
///
/// ```
/// use rawbpf::elf::section;
/// assert_eq!(section::find("kprobe/tcp_connect").unwrap().pattern, "kprobe+");
/// assert!(section::find("xdp/foo").is_none());
/// ```
pub fn find(section: &str) -> Option<&'static SecDef> {
    TABLE.iter().find(|def| def.matches(section))
}

/// The section names nearest to one that is not in the table, nearest first, at most `max`.
pub fn nearest(section: &str, max: usize) -> Vec<&'static str> {
    let base = section.split('/').next().unwrap_or(section);
    let mut scored: Vec<(usize, &'static str)> = TABLE
        .iter()
        .map(|def| (distance(section, def.name()).min(distance(base, def.name()) + 1), def.name()))
        .filter(|(score, name)| *score <= 1 + name.len() / 2)
        .collect();
    scored.sort_by_key(|(score, _)| *score);
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(max).map(|(_, name)| name).collect()
}

/// How many letters must change to make `a` of `b` (Levenshtein distance), over at most 64 letters.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let best = (diagonal + usize::from(ca != *cb)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or(0)
}

const OPT: u8 = 1;
const BTF: u8 = 2;
const SLEEP: u8 = 4;
const FRAGS: u8 = 8;
const USDT: u8 = 16;

const NO_ATTACH_TYPE: AttachType = AttachType(0);

const fn row(
    pattern: &'static str,
    prog_type: ProgType,
    attach_type: AttachType,
    flags: u8,
    auto: AutoAttach,
) -> SecDef {
    SecDef { pattern, prog_type, attach_type, auto, flags }
}

use AttachType as A;
use AutoAttach::*;
use ProgType as P;

/// All section names, in matching order.
#[rustfmt::skip]
pub static TABLE: &[SecDef] = &[
    row("socket", P::SocketFilter, NO_ATTACH_TYPE, 0, Manual),
    row("sk_reuseport/migrate", P::SkReuseport, A::SkReuseportSelectOrMigrate, 0, Manual),
    row("sk_reuseport", P::SkReuseport, A::SkReuseportSelect, 0, Manual),
    row("kprobe+", P::Kprobe, NO_ATTACH_TYPE, 0, Kprobe),
    row("uprobe+", P::Kprobe, NO_ATTACH_TYPE, 0, Uprobe),
    row("uprobe.s+", P::Kprobe, NO_ATTACH_TYPE, SLEEP, Uprobe),
    row("kretprobe+", P::Kprobe, NO_ATTACH_TYPE, 0, Kprobe),
    row("uretprobe+", P::Kprobe, NO_ATTACH_TYPE, 0, Uprobe),
    row("uretprobe.s+", P::Kprobe, NO_ATTACH_TYPE, SLEEP, Uprobe),
    row("kprobe.multi+", P::Kprobe, A::TraceKprobeMulti, 0, KprobeMulti),
    row("kretprobe.multi+", P::Kprobe, A::TraceKprobeMulti, 0, KprobeMulti),
    row("kprobe.session+", P::Kprobe, A::TraceKprobeSession, 0, KprobeSession),
    row("uprobe.multi+", P::Kprobe, A::TraceUprobeMulti, 0, UprobeMulti),
    row("uretprobe.multi+", P::Kprobe, A::TraceUprobeMulti, 0, UprobeMulti),
    row("uprobe.session+", P::Kprobe, A::TraceUprobeSession, 0, UprobeMulti),
    row("uprobe.multi.s+", P::Kprobe, A::TraceUprobeMulti, SLEEP, UprobeMulti),
    row("uretprobe.multi.s+", P::Kprobe, A::TraceUprobeMulti, SLEEP, UprobeMulti),
    row("uprobe.session.s+", P::Kprobe, A::TraceUprobeSession, SLEEP, UprobeMulti),
    row("ksyscall+", P::Kprobe, NO_ATTACH_TYPE, 0, Ksyscall),
    row("kretsyscall+", P::Kprobe, NO_ATTACH_TYPE, 0, Ksyscall),
    row("usdt+", P::Kprobe, NO_ATTACH_TYPE, USDT, Usdt),
    row("usdt.s+", P::Kprobe, NO_ATTACH_TYPE, USDT | SLEEP, Usdt),
    row("tc/ingress", P::SchedCls, A::TcxIngress, 0, Manual),
    row("tc/egress", P::SchedCls, A::TcxEgress, 0, Manual),
    row("tcx/ingress", P::SchedCls, A::TcxIngress, 0, Manual),
    row("tcx/egress", P::SchedCls, A::TcxEgress, 0, Manual),
    row("tc", P::SchedCls, NO_ATTACH_TYPE, 0, Manual),
    row("classifier", P::SchedCls, NO_ATTACH_TYPE, 0, Manual),
    row("action", P::SchedAct, NO_ATTACH_TYPE, 0, Manual),
    row("netkit/primary", P::SchedCls, A::NetkitPrimary, 0, Manual),
    row("netkit/peer", P::SchedCls, A::NetkitPeer, 0, Manual),
    row("tracepoint+", P::Tracepoint, NO_ATTACH_TYPE, 0, Tracepoint),
    row("tp+", P::Tracepoint, NO_ATTACH_TYPE, 0, Tracepoint),
    row("tracepoint.s+", P::Tracepoint, NO_ATTACH_TYPE, SLEEP, Tracepoint),
    row("tp.s+", P::Tracepoint, NO_ATTACH_TYPE, SLEEP, Tracepoint),
    row("raw_tracepoint+", P::RawTracepoint, NO_ATTACH_TYPE, 0, RawTracepoint),
    row("raw_tp+", P::RawTracepoint, NO_ATTACH_TYPE, 0, RawTracepoint),
    row("raw_tracepoint.s+", P::RawTracepoint, NO_ATTACH_TYPE, SLEEP, RawTracepoint),
    row("raw_tp.s+", P::RawTracepoint, NO_ATTACH_TYPE, SLEEP, RawTracepoint),
    row("raw_tracepoint.w+", P::RawTracepointWritable, NO_ATTACH_TYPE, 0, RawTracepoint),
    row("raw_tp.w+", P::RawTracepointWritable, NO_ATTACH_TYPE, 0, RawTracepoint),
    row("tp_btf+", P::Tracing, A::TraceRawTp, BTF, Trace),
    row("tp_btf.s+", P::Tracing, A::TraceRawTp, BTF | SLEEP, Trace),
    row("fentry+", P::Tracing, A::TraceFentry, BTF, Trace),
    row("fmod_ret+", P::Tracing, A::ModifyReturn, BTF, Trace),
    row("fexit+", P::Tracing, A::TraceFexit, BTF, Trace),
    row("fentry.s+", P::Tracing, A::TraceFentry, BTF | SLEEP, Trace),
    row("fmod_ret.s+", P::Tracing, A::ModifyReturn, BTF | SLEEP, Trace),
    row("fexit.s+", P::Tracing, A::TraceFexit, BTF | SLEEP, Trace),
    row("fsession+", P::Tracing, A::TraceFsession, BTF, Trace),
    row("fsession.s+", P::Tracing, A::TraceFsession, BTF | SLEEP, Trace),
    row("fsession.multi+", P::Tracing, A::TraceFsessionMulti, 0, TracingMulti),
    row("fsession.multi.s+", P::Tracing, A::TraceFsessionMulti, SLEEP, TracingMulti),
    row("fentry.multi+", P::Tracing, A::TraceFentryMulti, 0, TracingMulti),
    row("fexit.multi+", P::Tracing, A::TraceFexitMulti, 0, TracingMulti),
    row("fentry.multi.s+", P::Tracing, A::TraceFentryMulti, SLEEP, TracingMulti),
    row("fexit.multi.s+", P::Tracing, A::TraceFexitMulti, SLEEP, TracingMulti),
    row("freplace+", P::Ext, NO_ATTACH_TYPE, BTF, Trace),
    row("lsm+", P::Lsm, A::LsmMac, BTF, Lsm),
    row("lsm.s+", P::Lsm, A::LsmMac, BTF | SLEEP, Lsm),
    row("lsm_cgroup+", P::Lsm, A::LsmCgroup, BTF, Manual),
    row("iter+", P::Tracing, A::TraceIter, BTF, Iter),
    row("iter.s+", P::Tracing, A::TraceIter, BTF | SLEEP, Iter),
    row("syscall", P::Syscall, NO_ATTACH_TYPE, SLEEP, Manual),
    row("xdp.frags/devmap", P::Xdp, A::XdpDevmap, FRAGS, Manual),
    row("xdp/devmap", P::Xdp, A::XdpDevmap, 0, Manual),
    row("xdp.frags/cpumap", P::Xdp, A::XdpCpumap, FRAGS, Manual),
    row("xdp/cpumap", P::Xdp, A::XdpCpumap, 0, Manual),
    row("xdp.frags", P::Xdp, A::Xdp, FRAGS, Manual),
    row("xdp", P::Xdp, A::Xdp, OPT, Manual),
    row("perf_event", P::PerfEvent, NO_ATTACH_TYPE, 0, Manual),
    row("lwt_in", P::LwtIn, NO_ATTACH_TYPE, 0, Manual),
    row("lwt_out", P::LwtOut, NO_ATTACH_TYPE, 0, Manual),
    row("lwt_xmit", P::LwtXmit, NO_ATTACH_TYPE, 0, Manual),
    row("lwt_seg6local", P::LwtSeg6local, NO_ATTACH_TYPE, 0, Manual),
    row("sockops", P::SockOps, A::CgroupSockOps, OPT, Manual),
    row("sk_skb/stream_parser", P::SkSkb, A::SkSkbStreamParser, OPT, Manual),
    row("sk_skb/stream_verdict", P::SkSkb, A::SkSkbStreamVerdict, OPT, Manual),
    row("sk_skb/verdict", P::SkSkb, A::SkSkbVerdict, OPT, Manual),
    row("sk_skb", P::SkSkb, NO_ATTACH_TYPE, 0, Manual),
    row("sk_msg", P::SkMsg, A::SkMsgVerdict, OPT, Manual),
    row("lirc_mode2", P::LircMode2, A::LircMode2, OPT, Manual),
    row("flow_dissector", P::FlowDissector, A::FlowDissector, OPT, Manual),
    row("cgroup_skb/ingress", P::CgroupSkb, A::CgroupInetIngress, OPT, Manual),
    row("cgroup_skb/egress", P::CgroupSkb, A::CgroupInetEgress, OPT, Manual),
    row("cgroup/skb", P::CgroupSkb, NO_ATTACH_TYPE, 0, Manual),
    row("cgroup/sock_create", P::CgroupSock, A::CgroupInetSockCreate, 0, Manual),
    row("cgroup/sock_release", P::CgroupSock, A::CgroupInetSockRelease, 0, Manual),
    row("cgroup/sock", P::CgroupSock, A::CgroupInetSockCreate, OPT, Manual),
    row("cgroup/post_bind4", P::CgroupSock, A::CgroupInet4PostBind, 0, Manual),
    row("cgroup/post_bind6", P::CgroupSock, A::CgroupInet6PostBind, 0, Manual),
    row("cgroup/bind4", P::CgroupSockAddr, A::CgroupInet4Bind, 0, Manual),
    row("cgroup/bind6", P::CgroupSockAddr, A::CgroupInet6Bind, 0, Manual),
    row("cgroup/connect4", P::CgroupSockAddr, A::CgroupInet4Connect, 0, Manual),
    row("cgroup/connect6", P::CgroupSockAddr, A::CgroupInet6Connect, 0, Manual),
    row("cgroup/connect_unix", P::CgroupSockAddr, A::CgroupUnixConnect, 0, Manual),
    row("cgroup/sendmsg4", P::CgroupSockAddr, A::CgroupUdp4Sendmsg, 0, Manual),
    row("cgroup/sendmsg6", P::CgroupSockAddr, A::CgroupUdp6Sendmsg, 0, Manual),
    row("cgroup/sendmsg_unix", P::CgroupSockAddr, A::CgroupUnixSendmsg, 0, Manual),
    row("cgroup/recvmsg4", P::CgroupSockAddr, A::CgroupUdp4Recvmsg, 0, Manual),
    row("cgroup/recvmsg6", P::CgroupSockAddr, A::CgroupUdp6Recvmsg, 0, Manual),
    row("cgroup/recvmsg_unix", P::CgroupSockAddr, A::CgroupUnixRecvmsg, 0, Manual),
    row("cgroup/getpeername4", P::CgroupSockAddr, A::CgroupInet4Getpeername, 0, Manual),
    row("cgroup/getpeername6", P::CgroupSockAddr, A::CgroupInet6Getpeername, 0, Manual),
    row("cgroup/getpeername_unix", P::CgroupSockAddr, A::CgroupUnixGetpeername, 0, Manual),
    row("cgroup/getsockname4", P::CgroupSockAddr, A::CgroupInet4Getsockname, 0, Manual),
    row("cgroup/getsockname6", P::CgroupSockAddr, A::CgroupInet6Getsockname, 0, Manual),
    row("cgroup/getsockname_unix", P::CgroupSockAddr, A::CgroupUnixGetsockname, 0, Manual),
    row("cgroup/sysctl", P::CgroupSysctl, A::CgroupSysctl, 0, Manual),
    row("cgroup/getsockopt", P::CgroupSockopt, A::CgroupGetsockopt, 0, Manual),
    row("cgroup/setsockopt", P::CgroupSockopt, A::CgroupSetsockopt, 0, Manual),
    row("cgroup/dev", P::CgroupDevice, A::CgroupDevice, OPT, Manual),
    row("struct_ops+", P::StructOps, NO_ATTACH_TYPE, 0, Manual),
    row("struct_ops.s+", P::StructOps, NO_ATTACH_TYPE, SLEEP, Manual),
    row("sk_lookup", P::SkLookup, A::SkLookup, 0, Manual),
    row("netfilter", P::Netfilter, A::Netfilter, 0, Manual),
];
