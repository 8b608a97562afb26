//! What this machine lets this process do: everything that makes `bpf(2)` say `EPERM` to a program that is in order.
//!
//! ```text
//!   capabilities                 which the process has, and whether they are those of the machine's own root:
//!                                in a user namespace they are not, and only a BPF token helps there
//!   kernel.unprivileged_bpf_disabled   whether anything at all is left without CAP_BPF
//!   lockdown                     what even root may not do: read or write the kernel's memory
//!   seccomp                      a filter of the container's, which may refuse bpf(2) or perf_event_open(2)
//!   kernel.perf_event_paranoid   whether CAP_PERFMON is enough for perf events (Debian's level 3: it is not)
//!   RLIMIT_MEMLOCK               before Linux 5.11 a map's memory counts as locked
//!   other security modules       SELinux and AppArmor have a say of their own
//! ```
//!
//! All of it is read from files, without privileges. What a program type or a map type takes is a table.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::uapi::{MapType, ProgType, Release};

/// A capability that `bpf(2)` and its neighbours ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cap {
    /// `CAP_NET_ADMIN`: programs and maps of the network stack, and attaching them.
    NetAdmin = 12,
    /// `CAP_SYS_ADMIN`: stands for the two below, and is asked for where ids are opened.
    SysAdmin = 21,
    /// `CAP_PERFMON`: programs that look at the kernel (Linux 5.8).
    Perfmon = 38,
    /// `CAP_BPF`: maps, types, and every program (Linux 5.8).
    Bpf = 39,
}

impl Cap {
    /// Its name in `capabilities(7)`.
    pub fn name(self) -> &'static str {
        match self {
            Cap::NetAdmin => "CAP_NET_ADMIN",
            Cap::SysAdmin => "CAP_SYS_ADMIN",
            Cap::Perfmon => "CAP_PERFMON",
            Cap::Bpf => "CAP_BPF",
        }
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What loading a program of this type takes. Before Linux 5.8 it is `CAP_SYS_ADMIN` for all.
pub fn caps_of_program(prog_type: ProgType) -> &'static [Cap] {
    match prog_type {
        ProgType::SchedCls
        | ProgType::SchedAct
        | ProgType::Xdp
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SkSkb
        | ProgType::SkMsg
        | ProgType::FlowDissector
        | ProgType::CgroupDevice
        | ProgType::CgroupSock
        | ProgType::CgroupSockAddr
        | ProgType::CgroupSockopt
        | ProgType::CgroupSysctl
        | ProgType::SockOps
        | ProgType::Netfilter => &[Cap::Bpf, Cap::NetAdmin],
        ProgType::Kprobe
        | ProgType::Tracepoint
        | ProgType::PerfEvent
        | ProgType::RawTracepoint
        | ProgType::RawTracepointWritable
        | ProgType::Tracing
        | ProgType::Lsm
        | ProgType::StructOps => &[Cap::Bpf, Cap::Perfmon],
        ProgType::Ext => &[Cap::Bpf, Cap::NetAdmin, Cap::Perfmon],
        _ => &[Cap::Bpf],
    }
}

/// What creating a map of this type takes.
pub fn caps_of_map(map_type: MapType) -> &'static [Cap] {
    match map_type {
        MapType::Sockmap | MapType::Sockhash | MapType::Devmap | MapType::DevmapHash | MapType::Xskmap => {
            &[Cap::Bpf, Cap::NetAdmin]
        }
        _ => &[Cap::Bpf],
    }
}

/// True for the program types that may be loaded without any capability, where the machine allows that.
pub fn is_unprivileged(prog_type: ProgType) -> bool {
    matches!(prog_type, ProgType::SocketFilter | ProgType::CgroupSkb)
}

/// What is in force for this process. `None` where it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The effective capabilities, as bits.
    pub caps: Option<u64>,
    /// The process is in another user namespace than the machine's first; `None` if that cannot be told.
    pub user_namespace: Option<bool>,
    /// 0: no seccomp, 1: strict, 2: a filter.
    pub seccomp: Option<u32>,
    /// `kernel.unprivileged_bpf_disabled`: 0 allowed, 1 and 2 forbidden.
    pub unprivileged_bpf_disabled: Option<i32>,
    /// `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// The limit of locked memory in bytes; `None` if there is none.
    pub memlock: Option<u64>,
    /// The security modules that are active, as `/sys/kernel/security/lsm` lists them.
    pub lsm: Vec<String>,
    /// `net.core.bpf_jit_enable`: 0 interpreter, 1 and 2 machine code.
    pub jit: Option<i32>,
}

impl Policy {
    /// Reads what is in force now, for the calling thread.
    pub fn here() -> Policy {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let sysctl = |path: &str| fs::read_to_string(format!("/proc/sys/{path}")).ok()?.trim().parse().ok();
        let lsm = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        Policy {
            caps: field("CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok()),
            user_namespace: in_user_namespace(),
            seccomp: field("Seccomp:").and_then(|n| n.parse().ok()),
            unprivileged_bpf_disabled: sysctl("kernel/unprivileged_bpf_disabled"),
            lockdown: lockdown(),
            perf_event_paranoid: sysctl("kernel/perf_event_paranoid"),
            memlock: memlock(),
            lsm: lsm.trim().split(',').filter(|m| !m.is_empty()).map(String::from).collect(),
            jit: sysctl("net/core/bpf_jit_enable"),
        }
    }

    /// True if the process has this capability, or `CAP_SYS_ADMIN`, which stands for all of them in `bpf(2)`. True as
    /// well if nothing is known.
    pub fn has(&self, cap: Cap) -> bool {
        self.has_itself(cap) || self.has_itself(Cap::SysAdmin)
    }

    /// True if the process has this very capability: netlink takes no other for `CAP_NET_ADMIN`. True as well if
    /// nothing is known.
    pub fn has_itself(&self, cap: Cap) -> bool {
        self.caps.is_none_or(|caps| caps & (1 << cap as u32) != 0)
    }

    /// The mode that the kernel is locked down in; `None` if it is not, or does not say.
    pub fn locked_down(&self) -> Option<&str> {
        self.lockdown.as_deref().filter(|mode| *mode != "none")
    }

    /// Those of these that the process lacks, on a kernel of this release.
    pub fn lacking(&self, caps: &[Cap], release: Release) -> Vec<Cap> {
        let caps: Vec<Cap> = if release < Release(5, 8, 0) {
            // CAP_BPF and CAP_PERFMON are of Linux 5.8.
            caps.iter().map(|c| if *c == Cap::NetAdmin { *c } else { Cap::SysAdmin }).collect()
        } else {
            caps.to_vec()
        };
        let mut out: Vec<Cap> = caps.into_iter().filter(|c| !self.has(*c)).collect();
        out.dedup();
        out
    }

    /// Security modules with rules of their own for `bpf(2)`.
    pub fn modules_with_rules(&self) -> Vec<&str> {
        let known = ["selinux", "apparmor", "smack", "bpf"];
        self.lsm.iter().map(String::as_str).filter(|m| known.contains(m)).collect()
    }
}

/// The inode of the initial user namespace, the same on every kernel since Linux 3.8.
#[doc(alias = "PROC_USER_INIT_INO")]
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;

/// Whether this process is in another user namespace than the initial one; `None` without /proc.
pub(crate) fn in_user_namespace() -> Option<bool> {
    fs::metadata("/proc/self/ns/user").ok().map(|namespace| namespace.ino() != INITIAL_USER_NAMESPACE)
}

/// The soft limit of locked memory; `None` if there is none.
fn memlock() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    #[allow(clippy::useless_conversion, reason = "it is of 32 bit on machines of 32 bit")]
    (soft != RLIM_INFINITY).then(|| soft.into())
}

/// `none [integrity] confidentiality`: the mode in brackets.
fn lockdown() -> Option<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").ok()?;
    text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')).map(String::from)
}
