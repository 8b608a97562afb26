//! Gates: what a test does when the kernel it runs on cannot do what the test is about.
//!
//! A test that returns early counts as a pass, and nobody notices when a whole feature is no longer tested.
//! So a test here never just returns. It names the feature, and the gate
//!
//! * writes a line into the ledger (the file named by `RAWBPF_LEDGER`), from which `make test` and
//!   `make test-kernels` print what did not run, where, and why; a skip is never counted as a pass;
//! * **fails the test** where the feature has to be there: in a guest whose release and configuration have it by
//!   the table below. On a developer's own machine nothing is known about local policy
//!   (lockdown, containers, a cut-down configuration), so there a skip is only reported.
//!
//! ```text
//!   require!(ROOT);                                  // the gate checks this one by itself
//!   let map = require!(ARENA, arena_map(1));         // a Result: its value, or skip with its error as the reason
//!   require!(BTF, Path::new("/sys/..").exists());    // a bool
//! ```
//!
//! `answer` is for the probe table: it records what this kernel said to a probe, for docs/KERNELS.md.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Something that a test needs and that not every machine has.
#[derive(Debug)]
pub(crate) struct Feature {
    /// As it stands in the ledger and in docs/KERNELS.md.
    pub(crate) name: &'static str,
    /// The first kernel that has it, as (major, minor).
    pub(crate) since: (u32, u32),
    /// What the kernel must have been configured with. A module counts where modules can be loaded.
    pub(crate) kconfig: &'static [&'static str],
    /// For a feature that is told by the same check everywhere.
    pub(crate) check: Option<fn() -> Result<(), String>>,
}

const fn feature(name: &'static str, since: (u32, u32), kconfig: &'static [&'static str]) -> Feature {
    Feature { name, since, kconfig, check: None }
}

impl Feature {
    const fn checked(mut self, check: fn() -> Result<(), String>) -> Feature {
        self.check = Some(check);
        self
    }
}

pub(crate) use table::*;

/// Since when a thing is there that is no kernel's matter.
const NO_KERNEL: (u32, u32) = (u32::MAX, 0);

/// The features that tests ask for. Debian's kernels agree with it: a skip where it says "there" is a failure.
#[allow(dead_code, reason = "a row may wait for its test")]
mod table {
    use super::{Feature, NO_KERNEL, bpftool, feature, guest, host, jit, little_endian, root};

    pub(crate) const ROOT: Feature = feature("root", (0, 0), &[]).checked(root);
    /// A throw-away kernel: for tests that may harm the kernel they run on, or load objects that nobody here wrote.
    pub(crate) const GUEST: Feature = feature("guest kernel", (0, 0), &[]).checked(guest);
    /// The developer's machine: for tests that need the sources or a compiler. No kernel's matter: such a test is
    /// neither a pass nor a skip in the ledger of the kernels.
    pub(crate) const HOST: Feature = feature("host", NO_KERNEL, &[]).checked(host);
    /// Something to compare with. A guest of another architecture has none.
    pub(crate) const BPFTOOL: Feature = feature("bpftool", NO_KERNEL, &[]).checked(bpftool);
    /// On Linux 5.10 it lists nothing.
    pub(crate) const BPFTOOL_TREE: Feature = feature("bpftool cgroup tree", (6, 1), &["CGROUP_BPF"]);

    /// What a kernel lacks: for tests of what is said then.
    pub(crate) const NO_TCX: Feature = feature("a kernel without tcx", NO_KERNEL, &[]);
    pub(crate) const NO_NETKIT: Feature = feature("a kernel without netkit", NO_KERNEL, &[]);
    pub(crate) const NO_FPROBE: Feature = feature("a kernel without FPROBE", NO_KERNEL, &[]);
    /// Before that maps and programs count as locked memory, which a capability of its own may exceed.
    pub(crate) const MEMCG_ACCOUNT: Feature = feature("memory counted by cgroup", (5, 11), &["MEMCG"]);
    /// For tests of objects that were built for little-endian machines only.
    pub(crate) const LITTLE_ENDIAN: Feature =
        feature("little-endian machine", NO_KERNEL, &[]).checked(little_endian);

    pub(crate) const BPFFS: Feature = feature("bpffs", (4, 4), &["BPF_SYSCALL"]);
    pub(crate) const NARROW_JUMPS: Feature = feature("32-bit jumps", (5, 1), &["BPF_SYSCALL"]);
    pub(crate) const SYSCALL_PROGRAMS: Feature = feature("syscall programs", (5, 14), &["BPF_SYSCALL"]);
    /// The interpreter calls no callbacks.
    pub(crate) const BPF_LOOP: Feature = feature("bpf_loop", (5, 17), &["BPF_JIT"]);
    pub(crate) const CPU_V4: Feature = feature("instructions of -mcpu=v4", (6, 6), &["BPF_SYSCALL"]);
    pub(crate) const MAY_GOTO: Feature = feature("may_goto", (6, 9), &["BPF_SYSCALL"]);
    pub(crate) const GLOBAL_FUNCTIONS: Feature = feature("global functions", (5, 6), &["DEBUG_INFO_BTF"]);
    pub(crate) const DYNPTR_KFUNCS: Feature =
        feature("dynptr kfuncs", (6, 5), &["DEBUG_INFO_BTF", "BPF_JIT", "NET"]);
    pub(crate) const LOAD_ACQUIRE: Feature = feature("load-acquire", (6, 15), &["BPF_SYSCALL"]);
    pub(crate) const RINGBUF: Feature = feature("ring buffer", (5, 8), &["BPF_SYSCALL"]);
    pub(crate) const RB_OVERWRITE: Feature = feature("ring buffer overwrite mode", (6, 19), &["BPF_SYSCALL"]);
    pub(crate) const USER_RINGBUF: Feature = feature("user ring buffer", (6, 1), &["BPF_SYSCALL"]);
    pub(crate) const STREAMS: Feature = feature("program streams", (6, 17), &["BPF_JIT"]);
    pub(crate) const MAP_BTF: Feature = feature("BTF of maps", (4, 18), &["BPF_SYSCALL"]);
    pub(crate) const INODE_STORAGE: Feature = feature("inode storage", (5, 10), &["BPF_LSM"]);
    pub(crate) const TASK_STORAGE: Feature = feature("task storage", (5, 11), &["BPF_SYSCALL"]);
    pub(crate) const CGRP_STORAGE: Feature = feature("cgroup storage of cgroup2", (6, 2), &["CGROUPS"]);
    pub(crate) const BLOOM_FILTER: Feature = feature("bloom filter", (5, 16), &["BPF_SYSCALL"]);
    pub(crate) const INSN_ARRAY: Feature = feature("instruction array", (6, 19), &["BPF_SYSCALL"]);
    pub(crate) const RHASH: Feature = feature("resizable hash", (7, 2), &["BPF_SYSCALL"]);
    pub(crate) const ALL_CPUS: Feature = feature("flags for one CPU's value", (7, 0), &["BPF_SYSCALL"]);
    pub(crate) const TRACE_INSTANCE: Feature = feature("trace instances", (5, 9), &["BPF_EVENTS", "FTRACE"]);
    pub(crate) const STACKTRACE: Feature =
        feature("kernel stack traces", (4, 6), &["STACKTRACE", "PERF_EVENTS"]);
    pub(crate) const HOTPLUG: Feature = feature("CPU hotplug", (2, 6), &["HOTPLUG_CPU"]);

    /// Machine code instead of the interpreter.
    pub(crate) const JIT: Feature = feature("JIT", (3, 0), &["BPF_JIT_DEFAULT_ON"]).checked(jit);

    pub(crate) const VETH: Feature = feature("veth", (2, 6), &["VETH"]);
    pub(crate) const CLS_BPF: Feature = feature("tc filters", (4, 1), &["NET_CLS_BPF", "NET_SCH_INGRESS"]);
    pub(crate) const BTF: Feature = feature("vmlinux BTF", (5, 2), &["DEBUG_INFO_BTF"]);
    pub(crate) const KPROBE: Feature = feature("kprobe", (4, 1), &["KPROBES", "BPF_EVENTS"]);
    pub(crate) const FENTRY: Feature =
        feature("fentry", (5, 5), &["BPF_JIT", "DEBUG_INFO_BTF", "FUNCTION_TRACER"]);
    pub(crate) const LSM: Feature = feature("BPF LSM", (5, 7), &["BPF_LSM", "BPF_JIT"]);
    pub(crate) const PERF_LINK: Feature = feature("perf_event link", (5, 15), &["PERF_EVENTS"]);
    pub(crate) const KPROBE_MULTI: Feature = feature("kprobe.multi", (5, 18), &["FPROBE"]);
    pub(crate) const TRACEPOINT: Feature =
        feature("tracepoints", (4, 7), &["TRACING", "PERF_EVENTS", "BPF_EVENTS"]);
    pub(crate) const STRUCT_OPS: Feature = feature("struct_ops", (5, 6), &["BPF_JIT", "DEBUG_INFO_BTF"]);
    pub(crate) const STRUCT_OPS_LINK: Feature =
        feature("struct_ops link", (6, 4), &["BPF_JIT", "DEBUG_INFO_BTF"]);
    pub(crate) const LWT_BPF: Feature = feature("routes with programs", (4, 10), &["LWTUNNEL_BPF"]);
    pub(crate) const SK_SKB_VERDICT: Feature = feature("sk_skb/verdict", (5, 13), &["NET_SOCK_MSG"]);
    pub(crate) const SOCKMAP_QUERY: Feature = feature("sockmap query", (5, 18), &["NET_SOCK_MSG"]);
    pub(crate) const NETFILTER: Feature = feature("netfilter programs", (6, 4), &["NETFILTER_BPF_LINK"]);
    pub(crate) const LSM_CGROUP: Feature =
        feature("lsm_cgroup", (6, 0), &["BPF_LSM", "CGROUP_BPF", "BPF_JIT"]);
    pub(crate) const SOCKMAP_LINK: Feature = feature("sockmap link", (6, 10), &["NET_SOCK_MSG"]);
    pub(crate) const CGROUP_ORDER: Feature = feature("order in cgroups", (6, 17), &["CGROUP_BPF"]);
    pub(crate) const XDP_LINK: Feature = feature("XDP link", (5, 9), &[]);
    pub(crate) const XDP_FRAGS: Feature = feature("xdp.frags", (5, 18), &[]);
    pub(crate) const XDP_FEATURES: Feature = feature("XDP features of drivers", (6, 3), &[]);
    pub(crate) const KPROBE_SESSION: Feature = feature("kprobe.session", (6, 10), &["FPROBE"]);
    pub(crate) const UPROBE_SESSION: Feature = feature("uprobe.session", (6, 13), &["UPROBES", "BPF_EVENTS"]);
    pub(crate) const UPROBE: Feature = feature("uprobe", (4, 3), &["UPROBES", "UPROBE_EVENTS", "BPF_EVENTS"]);
    pub(crate) const TRACEFS: Feature = feature("tracefs", (4, 1), &["TRACING"]);
    pub(crate) const RAW_TRACEPOINT: Feature = feature("raw tracepoint", (4, 17), &["BPF_EVENTS"]);
    pub(crate) const TRACE_COOKIE: Feature =
        feature("cookie of fentry", (6, 0), &["BPF_JIT", "DEBUG_INFO_BTF", "FUNCTION_TRACER"]);
    pub(crate) const FSESSION: Feature =
        feature("fsession", (7, 0), &["BPF_JIT", "DEBUG_INFO_BTF", "FUNCTION_TRACER"]);
    pub(crate) const TRACING_MULTI: Feature =
        feature("tracing multi", (7, 2), &["BPF_JIT", "DEBUG_INFO_BTF", "FUNCTION_TRACER"]);
    pub(crate) const ITER: Feature = feature("iterators", (5, 8), &["DEBUG_INFO_BTF"]);
    pub(crate) const PERF_EVENT: Feature = feature("perf events", (4, 9), &["PERF_EVENTS", "BPF_EVENTS"]);
    pub(crate) const FREPLACE: Feature = feature("freplace", (5, 6), &["BPF_JIT", "DEBUG_INFO_BTF"]);
    pub(crate) const TCX: Feature = feature("tcx", (6, 6), &["NET_XGRESS"]);
    pub(crate) const UPROBE_MULTI: Feature = feature("uprobe.multi", (6, 6), &["UPROBES", "BPF_EVENTS"]);
    pub(crate) const NETKIT: Feature = feature("netkit", (6, 7), &["NETKIT"]);
    pub(crate) const SCHED_EXT: Feature =
        feature("sched_ext", (6, 12), &["SCHED_CLASS_EXT", "BPF_JIT", "DEBUG_INFO_BTF"]);
    pub(crate) const FOR_EACH_MAP_ELEM: Feature = feature("bpf_for_each_map_elem", (5, 13), &["BPF_JIT"]);
    pub(crate) const EXCEPTIONS: Feature =
        feature("exceptions", (6, 7), &["BPF_JIT", "DEBUG_INFO_BTF", "UNWINDER_ORC"]);
    /// Linux 5.10 takes them, but what wrote Debian's types then left variables out.
    pub(crate) const KSYM_VARIABLE: Feature =
        feature("variables of the kernel", (5, 11), &["KALLSYMS_ALL", "DEBUG_INFO_BTF"]);
    pub(crate) const RAW_TP_RUN: Feature = feature("raw tracepoint run by hand", (5, 10), &["BPF_EVENTS"]);
    pub(crate) const CONNTRACK: Feature =
        feature("conntrack functions", (5, 18), &["NF_CONNTRACK", "DEBUG_INFO_BTF_MODULES"]);
    pub(crate) const SYSCALL_PROGRAM: Feature =
        feature("syscall programs", (5, 14), &["BPF_SYSCALL", "DEBUG_INFO_BTF"]);
    pub(crate) const SLEEPABLE_UPROBE: Feature =
        feature("sleepable uprobes", (6, 0), &["UPROBES", "BPF_EVENTS"]);
    pub(crate) const TOKEN: Feature = feature("BPF token", (6, 9), &["BPF_SYSCALL", "USER_NS"]);
    pub(crate) const ARENA: Feature = feature("arena", (6, 9), &["BPF_JIT", "MMU"]);
}

fn root() -> Result<(), String> {
    if nix::unistd::geteuid().is_root() { Ok(()) } else { Err("run as root (sudo -E make test)".into()) }
}
fn little_endian() -> Result<(), String> {
    if cfg!(target_endian = "little") {
        Ok(())
    } else {
        Err("the objects are built for little-endian machines".into())
    }
}
fn bpftool() -> Result<(), String> {
    let foreign = Machine::here().guest && !cfg!(target_arch = "x86_64");
    if foreign { Err("foreign guests do without".into()) } else { Ok(()) }
}
fn guest() -> Result<(), String> {
    if Machine::here().guest { Ok(()) } else { Err("runs in `make test-kernels` only".into()) }
}
fn jit() -> Result<(), String> {
    let enabled = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").map_err(|e| e.to_string())?;
    if enabled.trim() == "0" {
        Err("programs are interpreted: net.core.bpf_jit_enable is 0".into())
    } else {
        Ok(())
    }
}
fn host() -> Result<(), String> {
    if Machine::here().guest { Err("runs in `make test` only".into()) } else { Ok(()) }
}

/// The machine that the tests run on, as far as it says what must work on it.
#[derive(Debug)]
pub(crate) struct Machine {
    /// A kernel booted by `make test-kernels`, where nothing but the kernel decides what works.
    guest: bool,
    release: (u32, u32),
    /// The kernel's configuration, `CONFIG_NAME=value` lines.
    kconfig: Option<String>,
    modules: bool,
}

impl Machine {
    pub(crate) fn here() -> &'static Machine {
        static HERE: OnceLock<Machine> = OnceLock::new();
        HERE.get_or_init(|| {
            let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
            let release = release.trim();
            Machine {
                guest: std::env::var_os("RAWBPF_GUEST").is_some(),
                release: parse_release(release),
                kconfig: fs::read_to_string(format!("/boot/config-{release}")).ok(),
                // A guest has the modules that its packages still had.
                modules: fs::read_dir("/sys/module/veth").is_ok(),
            }
        })
    }

    fn configured(&self, option: &str) -> bool {
        let has = |value: &str| {
            let line = format!("CONFIG_{option}={value}");
            self.kconfig.iter().flat_map(|text| text.lines()).any(|l| l == line)
        };
        has("y") || (self.modules && has("m"))
    }
}

/// Must this feature be there on this machine?
fn expected(feature: &Feature, machine: &Machine) -> bool {
    machine.guest
        && machine.release >= feature.since
        && feature.kconfig.iter().all(|option| machine.configured(option))
}

fn parse_release(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-', '+']).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What a check can give: a `bool`, or a `Result` whose value the test goes on with.
pub(crate) trait Outcome {
    type Value;
    fn outcome(self) -> Result<Self::Value, String>;
}
impl Outcome for bool {
    type Value = ();
    fn outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("not on this kernel".into()) }
    }
}
impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.map_err(|e| e.to_string())
    }
}

/// The value of the outcome, or `None` after a skip was recorded; `require!` returns then.
#[track_caller]
pub(crate) fn check<O: Outcome>(feature: &Feature, outcome: O) -> Option<O::Value> {
    match outcome.outcome() {
        Ok(value) => {
            // What every kernel has is no answer worth writing down.
            if feature.since != (0, 0) && feature.since != NO_KERNEL {
                answer(feature.name, "yes");
            }
            Some(value)
        }
        Err(reason) => {
            skip(feature, &reason);
            None
        }
    }
}

/// Records that the test which calls this cannot run here. The test has to return afterwards.
///
/// Panics where the feature must be there.
#[track_caller]
pub(crate) fn skip(feature: &Feature, reason: &str) {
    let machine = Machine::here();
    assert!(
        !expected(feature, machine),
        "this kernel, {:?}, must have '{}' (there since {:?}), but: {reason}\n\
         if it really lacks it, the feature's row in tests/gate.rs is wrong",
        machine.release,
        feature.name,
        feature.since,
    );
    record("skip", feature.name, reason);
}

/// Records what this kernel answered to the probe of a feature.
pub(crate) fn answer(feature: &str, answer: &str) {
    record("answer", feature, answer);
}

/// Appends a line `KIND <tab> test <tab> feature <tab> text` to the ledger, if somebody reads it.
fn record(kind: &str, feature: &str, text: &str) {
    // libtest names the thread that runs a test after the test.
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("?");
    let text = text.replace(['\n', '\t', '\r'], " ");
    eprintln!("{kind}: {feature}: {text}");
    let Some(path) = std::env::var_os("RAWBPF_LEDGER").map(PathBuf::from) else { return };
    // One write of a short line to a file opened for appending: tests that run side by side do not mix.
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{kind}\t{test}\t{feature}\t{text}\n").as_bytes()))
        .unwrap_or_else(|e| panic!("the ledger {} cannot be written: {e}", path.display()));
}

/// `require!(FEATURE)` or `require!(FEATURE, outcome)`: goes on with the outcome's value, or skips the test.
macro_rules! require {
    ($feature:expr) => {
        $crate::gate::require!(
            $feature,
            ($feature.check.expect("this feature has no check of its own: give require! an outcome"))()
        )
    };
    ($feature:expr, $outcome:expr) => {
        match $crate::gate::check(&$feature, $outcome) {
            Some(value) => value,
            None => return,
        }
    };
}
pub(crate) use require;

mod tests {
    use super::*;

    fn machine(release: (u32, u32), kconfig: &str) -> Machine {
        Machine { guest: true, release, kconfig: Some(kconfig.into()), modules: true }
    }

    #[test]
    fn a_feature_is_expected_from_its_first_release_on() {
        let config = "CONFIG_FPROBE=y\nCONFIG_VETH=m\n";
        assert!(!expected(&KPROBE_MULTI, &machine((5, 10), config)));
        assert!(expected(&KPROBE_MULTI, &machine((5, 18), config)));
        assert!(expected(&KPROBE_MULTI, &machine((6, 1), config)), "6.1 is after 5.18");
    }

    #[test]
    fn a_feature_is_not_expected_where_it_is_configured_out() {
        assert!(!expected(
            &KPROBE_MULTI,
            &machine((6, 1), "# CONFIG_FPROBE is not set\nCONFIG_FPROBE_X=y\n")
        ));
        let unknown = Machine { kconfig: None, ..machine((6, 1), "") };
        assert!(!expected(&KPROBE_MULTI, &unknown));
    }

    #[test]
    fn a_module_counts_where_modules_are() {
        let there = machine((6, 1), "CONFIG_VETH=m\n");
        assert!(expected(&VETH, &there));
        assert!(!expected(&VETH, &Machine { modules: false, ..there }));
    }

    #[test]
    fn nothing_is_expected_of_a_machine_with_policies_of_its_own() {
        assert!(!expected(&ROOT, &Machine { guest: false, ..machine((6, 1), "") }));
        assert!(expected(&ROOT, &machine((6, 1), "")));
    }

    #[test]
    fn this_kernel_says_its_release() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("procfs is mounted");
        assert_ne!(parse_release(&release), (0, 0), "{release}");
        answer("release", release.trim());
    }

    #[test]
    fn releases_are_read_as_the_kernel_writes_them() {
        for (text, want) in [
            ("5.10.0-46-cloud-amd64", (5, 10)),
            ("6.12.117+deb12-cloud-amd64", (6, 12)),
            ("7.3-rc1", (7, 3)),
            ("", (0, 0)),
        ] {
            assert_eq!(parse_release(text), want, "{text}");
        }
    }
}
