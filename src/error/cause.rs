//! Why the kernel refused a load, as far as the machine and the call tell it.
//!
//! `EPERM` and `EINVAL` say nothing of their cause, but it can be found by elimination: the machine says what it
//! allows ([`Policy`](crate::kernel::policy::Policy)), the object what it asked for. What is left when all of that
//! is in order is named as possible, not as certain.
//!
//! ```text
//!   EPERM   in a user namespace?           capabilities there do not count: a token, or outside
//!           a capability missing?          which, for this very type of program or map
//!           before 5.11, memory limited?   RLIMIT_MEMLOCK, and only then
//!           a seccomp filter, an LSM?      they may have refused
//!   EINVAL  a type newer than the kernel?  which release brought it
//!           a kernel built without it?     which option it lacks
//!           a map: a number or flag that   which, and what it must be
//!           its type does not take?
//! ```

use super::Error;
use super::advice::{Advice, NextStep};
use crate::kernel::policy::{self, Cap, Policy};
use crate::kernel::{Kernel, release_text};
use crate::loader::LoadError;
use crate::maps::{MapError, Shape};
use crate::sys::Errno;
use crate::uapi::{MapType, ProgType, Release};

/// The cause of a failed load with what to do, if it can be told.
pub(super) fn of(error: &Error) -> Option<Advice> {
    let errno = error.errno()?;
    let kernel = Kernel::host();
    match error {
        Error::Load(LoadError::Program { prog_type, log, .. }) if log.text.trim().is_empty() => {
            let what = format!("a program of type {prog_type}");
            if errno.is_permission() {
                let free = policy::is_unprivileged(*prog_type);
                return permission(&kernel, &what, policy::caps_of_program(*prog_type), free);
            }
            program(&kernel, errno, *prog_type).map(because)
        }
        Error::Load(LoadError::Create { shape, .. }) | Error::Map(MapError::Create { shape, .. }) => {
            map(&kernel, errno, shape)
        }
        Error::Load(LoadError::Btf { .. }) if errno.is_permission() => {
            permission(&kernel, "an object's types", &[Cap::Bpf], false)
        }
        Error::Load(LoadError::Token { .. }) => token(errno).map(because),
        _ => None,
    }
}

fn because(why: String) -> Advice {
    Advice::new(why, None)
}

/// Whether this kernel has nothing of the kind that was asked for: it is too old, or was built without it.
pub(super) fn is_unsupported(error: &Error) -> bool {
    let Some(errno) = error.errno() else { return false };
    match error {
        Error::Load(LoadError::Program { prog_type, log, .. }) if log.text.trim().is_empty() => {
            program(&Kernel::host(), errno, *prog_type).is_some()
        }
        Error::Load(LoadError::Create { shape, .. }) | Error::Map(MapError::Create { shape, .. }) => {
            newer(&Kernel::host(), errno, "", shape.map_type.since()).is_some()
        }
        _ => false,
    }
}

/// This kernel does not have programs of this type.
fn program(kernel: &Kernel, errno: Errno, prog_type: ProgType) -> Option<String> {
    newer(kernel, errno, &format!("a program of type {prog_type}"), prog_type.since())
        .or_else(|| unconfigured(kernel, prog_type).filter(|_| errno == Errno::EINVAL))
}

/// A map could not be made.
fn map(kernel: &Kernel, errno: Errno, shape: &Shape) -> Option<Advice> {
    let map_type = shape.map_type;
    let what = format!("a map of type {map_type}");
    if errno.is_permission() {
        return permission(kernel, &what, policy::caps_of_map(map_type), is_free(map_type));
    }
    let why = newer(kernel, errno, &what, map_type.since()).or_else(|| {
        let unfit = [Errno::EINVAL, Errno::E2BIG, Errno::ENOTSUPP].contains(&errno);
        shape.broken().filter(|_| unfit).map(|why| format!("{what} {why}"))
    });
    why.map(because)
}

/// Maps that may be made without a capability, where the machine allows that.
fn is_free(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::Array
            | MapType::PercpuArray
            | MapType::Hash
            | MapType::PercpuHash
            | MapType::ProgArray
            | MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::Ringbuf
    )
}

/// What forbids it. `free`: without capabilities it depends on the machine's setting.
fn permission(kernel: &Kernel, what: &str, caps: &[Cap], free: bool) -> Option<Advice> {
    let policy = Policy::here();
    let release = kernel.release();
    let needs = join(caps, release);
    if policy.user_namespace == Some(true) {
        let why = format!(
            "{what} takes {needs} of the machine itself, and this process is in a user namespace, whose capabilities \
             do not count"
        );
        return Some(Advice::new(why, Some(NextStep::UseToken)));
    }
    let missing = policy.lacking(caps, release);
    if !missing.is_empty() {
        let lacks = missing.iter().map(|c| c.name()).collect::<Vec<_>>().join(" and ");
        let forbidden = match policy.unprivileged_bpf_disabled {
            Some(n) if free && n != 0 => {
                format!(
                    "; without it the machine forbids all use of bpf(2) (kernel.unprivileged_bpf_disabled = {n})"
                )
            }
            _ => String::new(),
        };
        let why = format!("{what} takes {needs}, and this process lacks {lacks}{forbidden}");
        return Some(Advice::new(why, Some(NextStep::Grant(caps.to_vec()))));
    }
    if let Some(limit) = policy.memlock.filter(|_| release < Release(5, 11, 0)) {
        return Some(because(format!(
            "before Linux 5.11 maps and programs count as locked memory, and RLIMIT_MEMLOCK is {limit} bytes; raise \
             it: ulimit -l unlimited"
        )));
    }
    if policy.seccomp == Some(2) {
        return Some(because(format!(
            "{what} takes {needs}, which this process has; but it runs under a seccomp filter, as containers do, \
             which may refuse bpf(2): allow it in the container's profile"
        )));
    }
    let modules = policy.modules_with_rules();
    (!modules.is_empty()).then(|| {
        because(format!(
            "{what} takes {needs}, which this process has; a security module ({}) may have refused: see its audit \
             messages (dmesg, journalctl)",
            modules.join(", ")
        ))
    })
}

/// `CAP_BPF and CAP_NET_ADMIN`, as kernels of this release call them.
fn join(caps: &[Cap], release: Release) -> String {
    let old = release < Release(5, 8, 0);
    let mut names: Vec<&str> =
        caps.iter().map(|c| if old && *c != Cap::NetAdmin { "CAP_SYS_ADMIN" } else { c.name() }).collect();
    names.dedup();
    names.join(" and ")
}

/// The kernel is older than the type.
fn newer(kernel: &Kernel, errno: Errno, what: &str, since: Option<Release>) -> Option<String> {
    let since = since.filter(|s| *s > kernel.release() && [Errno::EINVAL, Errno::E2BIG].contains(&errno))?;
    Some(format!("{what} came with Linux {since}, and this kernel is {}", release_text()))
}

/// The kernel was built without what the type needs.
fn unconfigured(kernel: &Kernel, prog_type: ProgType) -> Option<String> {
    static OPTIONS: &[(ProgType, &str)] = &[
        (ProgType::Lsm, "CONFIG_BPF_LSM"),
        (ProgType::Kprobe, "CONFIG_BPF_EVENTS"),
        (ProgType::Tracepoint, "CONFIG_BPF_EVENTS"),
        (ProgType::RawTracepoint, "CONFIG_BPF_EVENTS"),
        (ProgType::PerfEvent, "CONFIG_BPF_EVENTS"),
        (ProgType::Tracing, "CONFIG_BPF_EVENTS"),
        (ProgType::Xdp, "CONFIG_NET"),
        (ProgType::SkReuseport, "CONFIG_INET"),
        (ProgType::Netfilter, "CONFIG_NETFILTER_BPF_LINK"),
        (ProgType::CgroupDevice, "CONFIG_CGROUP_BPF"),
        (ProgType::CgroupSysctl, "CONFIG_CGROUP_BPF"),
        (ProgType::CgroupSockopt, "CONFIG_CGROUP_BPF"),
        (ProgType::LircMode2, "CONFIG_BPF_LIRC_MODE2"),
        (ProgType::StructOps, "CONFIG_BPF_JIT"),
    ];
    let (_, option) = OPTIONS.iter().find(|(t, _)| *t == prog_type)?;
    kernel
        .kconfig()
        .lacks(option)
        .then(|| format!("this kernel ({}) was built without {option}", release_text()))
}

/// Why there is no token.
fn token(errno: Errno) -> Option<String> {
    Some(match errno {
        Errno::ENOENT => {
            "there is no such bpffs, or nothing is delegated in it: mount it from outside the user \
             namespace with delegate_cmds=..., delegate_maps=..., delegate_progs=..."
                .into()
        }
        Errno::EOPNOTSUPP => {
            "tokens are for user namespaces; in the machine's own there is no need of one".into()
        }
        Errno::EINVAL => "BPF tokens came with Linux 6.9, or this is not the root of a bpffs".into(),
        e if e.is_permission() => {
            "the token's user namespace must be this process's own, with CAP_BPF in it".into()
        }
        _ => return None,
    })
}
