//! What is in force on this machine, and what its kernel has.

use std::path::Path;

use rawbpf::Kernel;
use rawbpf::deploy::{BPFFS, is_bpffs};
use rawbpf::kernel::policy::{Cap, Policy};
use rawbpf::kernel::{Answer, feature};
use rawbpf::uapi::Release;

use super::row::Row;

/// The machine's settings, and what each means.
pub(super) fn rows(kernel: &Kernel, policy: &Policy) -> Vec<Row> {
    let mut out = vec![
        Row::new("types of the kernel (BTF)", types(kernel)),
        Row::new(
            "machine code (JIT)",
            match policy.jit {
                Some(0) => Answer::No("net.core.bpf_jit_enable = 0: programs are interpreted".into()),
                Some(_) => Answer::Yes,
                None => Answer::Unknown("net.core.bpf_jit_enable cannot be read".into()),
            },
        ),
        Row::new(
            "a bpffs for pins",
            if is_bpffs(Path::new(BPFFS)).unwrap_or(false) {
                Answer::Yes
            } else {
                Answer::No(format!("nothing is mounted: mount -t bpf bpf {}", BPFFS))
            },
        ),
    ];
    out.extend([Cap::Bpf, Cap::NetAdmin, Cap::Perfmon, Cap::SysAdmin].map(|cap| capability(cap, policy)));
    out.push(tracing(policy));
    out.push(perf(policy));
    out.push(namespace(policy));
    out.push(unprivileged(policy));
    out.push(seccomp(policy));
    out.push(memlock(kernel, policy));
    out
}

/// Whether there are any: to read all of them is for those who need them.
fn types(kernel: &Kernel) -> Answer {
    if Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Answer::Yes;
    }
    match kernel.btf() {
        Ok(_) => Answer::Yes,
        Err(e) => Answer::No(e.to_string()),
    }
}

fn capability(cap: Cap, policy: &Policy) -> Row {
    Row::new(
        cap.name(),
        match policy.caps {
            None => Answer::Unknown("/proc/thread-self/status cannot be read".into()),
            Some(_) if policy.has(cap) => Answer::Yes,
            Some(_) => Answer::No("not among this process's effective capabilities".into()),
        },
    )
}

fn tracing(policy: &Policy) -> Row {
    const WHAT: &str = "reading the kernel's memory";
    Row::new(WHAT, match policy.lockdown.as_deref() {
        Some("confidentiality") => Answer::No(
            "lockdown is confidentiality: no kprobes, no perf events of the kernel, no bpf_probe_read_kernel, even \
             for root"
                .into(),
        ),
        Some(_) => Answer::Yes,
        // Without the file the kernel has no lockdown; without securityfs nobody can see whether it has.
        None if std::fs::read_dir("/sys/kernel/security").is_ok_and(|mut d| d.next().is_some()) => Answer::Yes,
        None => Answer::Unknown("/sys/kernel/security is not mounted, so lockdown cannot be seen".into()),
    })
    .because(match policy.lockdown.as_deref() {
        Some("confidentiality") => "lockdown is confidentiality, which forbids it even to root".to_string(),
        Some(mode) => format!("lockdown is {mode}"),
        None => "this kernel has no lockdown".into(),
    })
}

fn perf(policy: &Policy) -> Row {
    Row::new(
        "perf events with CAP_PERFMON alone",
        match policy.perf_event_paranoid {
            Some(level) if level >= 3 && !policy.has(Cap::SysAdmin) => Answer::No(format!(
                "kernel.perf_event_paranoid = {level}: CAP_SYS_ADMIN is asked for as well"
            )),
            Some(level) if level >= 3 => Answer::Unknown(format!("kernel.perf_event_paranoid = {level}")),
            Some(_) => Answer::Yes,
            None => Answer::Unknown("kernel.perf_event_paranoid cannot be read".into()),
        },
    )
}

fn namespace(policy: &Policy) -> Row {
    Row::new(
        "the machine's own user namespace",
        match policy.user_namespace {
            None => Answer::Unknown("/proc/self/ns/user cannot be read".into()),
            Some(true) => Answer::No(
                "capabilities in a user namespace do not count; a BPF token (Linux 6.9) stands for them"
                    .into(),
            ),
            Some(false) => Answer::Yes,
        },
    )
}

fn unprivileged(policy: &Policy) -> Row {
    Row::new(
        "bpf(2) without privileges",
        match policy.unprivileged_bpf_disabled {
            Some(0) => Answer::Yes,
            Some(n) => Answer::No(format!("kernel.unprivileged_bpf_disabled = {n}, as is usual")),
            None => Answer::Unknown("kernel.unprivileged_bpf_disabled cannot be read".into()),
        },
    )
}

fn seccomp(policy: &Policy) -> Row {
    let modules = policy.modules_with_rules().join(", ");
    let modules = if modules.is_empty() { String::new() } else { format!("security modules: {modules}") };
    Row::new(
        "no filter of system calls (seccomp)",
        match policy.seccomp {
            Some(0) => Answer::Yes,
            Some(_) => Answer::No(
                "a filter is set, as in containers; it may refuse bpf(2) and perf_event_open(2)".into(),
            ),
            None => Answer::Unknown("/proc/thread-self/status does not say".into()),
        },
    )
    .or_because(modules)
}

impl Row {
    fn or_because(self, why: String) -> Row {
        if self.why.is_empty() { self.because(why) } else { self }
    }
}

fn memlock(kernel: &Kernel, policy: &Policy) -> Row {
    Row::new(
        "locked memory does not limit maps",
        match policy.memlock {
            _ if kernel.release() >= Release(5, 11, 0) => Answer::Yes,
            None => Answer::Yes,
            Some(limit) => {
                Answer::No(format!("RLIMIT_MEMLOCK is {limit} bytes, and before Linux 5.11 maps count"))
            }
        },
    )
}

/// The feature table, with what is done without each.
pub(super) fn features(kernel: &Kernel) -> Vec<Row> {
    let row = |def: &feature::FeatureDef| {
        let answer = kernel.has(def.feature);
        let without = format!("without it: {}", def.without);
        let since = format!("Linux {}", def.since);
        match answer {
            Answer::Yes => Row::new(def.name, Answer::Yes).because(since),
            Answer::No(why) => Row::new(def.name, Answer::No(format!("{why}; {without}"))),
            unknown => Row::new(def.name, unknown),
        }
    };
    feature::TABLE.iter().map(row).collect()
}
