//! What a refusal is said to come from, with each cause really made: capabilities dropped, a user namespace entered, a
//! filter of system calls set, memory limited, a kernel too old.
#![allow(unsafe_code, reason = "what is done between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::gate::{BTF, HOST, LITTLE_ENDIAN, MEMCG_ACCOUNT, ROOT, require, skip};
use crate::net::object;

const NET_ADMIN: u32 = 12;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
const CHECKPOINT_RESTORE: u32 = 40;

/// The command, to be changed by `before` once it is a process of its own.
fn rawbpf(args: &[&str], before: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
    command.args(args).env("NO_COLOR", "1");

    // SAFETY: `before` makes system calls only.
    unsafe { command.pre_exec(before) };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rawbpf runs");
    // What is loaded after all would wait for a signal for ever.
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().expect("it can be waited for").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it is ours");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

/// Takes these capabilities away for good: a program that root executes has those of its bounding set.
fn drop_caps(caps: &[u32]) -> impl Fn() -> io::Result<()> + Send + Sync + 'static {
    let caps = caps.to_vec();
    move || {
        for cap in &caps {
            // SAFETY: this prctl takes numbers.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(*cap), 0, 0, 0) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

/// Loads in the foreground, which is to be refused as not permitted; what is said.
#[track_caller]
fn refused(file: &str, before: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> String {
    let out = rawbpf(&["load", &object(file), "--foreground", "--no-attach"], before);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("EPERM") && said.contains("help: "), "{said}");
    said
}

fn release() -> (u8, u8) {
    let r = rawbpf::Kernel::host().release();
    (r.0, r.1)
}

#[test]
fn a_missing_capability_is_named_for_the_program_type() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let said = refused("packet_count.o", drop_caps(&[NET_ADMIN, SYS_ADMIN]));
    assert!(said.contains("a program of type xdp takes CAP_BPF and CAP_NET_ADMIN"), "{said}");
    assert!(said.contains("lacks CAP_NET_ADMIN;") && said.contains("cap_bpf,cap_net_admin+ep"), "{said}");
}

#[test]
fn tracing_takes_perfmon() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let out = rawbpf(
        &["load", &object("kprobe.o"), "--program", "anywhere", "--foreground", "--no-attach"],
        drop_caps(&[PERFMON, SYS_ADMIN]),
    );
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("a program of type kprobe takes CAP_BPF and CAP_PERFMON"), "{said}");
    assert!(said.contains("lacks CAP_PERFMON;"), "{said}");
}

#[test]
fn without_cap_bpf_even_a_map_is_refused() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let said = refused("packet_count.o", drop_caps(&[BPF, SYS_ADMIN]));
    let disabled = std::fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").unwrap_or_default();
    if disabled.trim() == "0" {
        assert!(said.contains("lacks CAP_BPF"), "{said}");
        return;
    }
    assert!(said.contains("a map of type array takes CAP_BPF, and this process lacks CAP_BPF"), "{said}");
    let setting = format!("kernel.unprivileged_bpf_disabled = {}", disabled.trim());
    assert!(said.contains(&setting), "{said}");
}

#[test]
fn in_a_user_namespace_capabilities_do_not_count() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let enter = || nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).map_err(io::Error::from);
    let said = refused("packet_count.o", enter);
    assert!(said.contains("in a user namespace, whose capabilities do not count"), "{said}");
    assert!(said.contains("--token DIR"), "{said}");
}

/// A filter that answers EPERM to bpf(2) and allows everything else.
fn filter_bpf() -> io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_bpf as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the filter lives until the call returns; the kernel copies it.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    if set != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[test]
fn a_filter_of_system_calls_is_suspected_when_all_else_is_there() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let out = rawbpf(&["verify", &object("packet_count.o")], || Ok(()));
    if !out.status.success() {
        return skip(&HOST, "this machine refuses by itself");
    }
    let said = refused("packet_count.o", filter_bpf);
    let memlock = release() < (5, 11);
    assert!(said.contains("seccomp filter") || memlock && said.contains("RLIMIT_MEMLOCK"), "{said}");
}

/// Before Linux 5.11 only: since then nobody may speak of RLIMIT_MEMLOCK.
#[test]
fn locked_memory_is_blamed_where_it_counts() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    let limit = || {
        use nix::sys::resource::{Resource, setrlimit};
        setrlimit(Resource::RLIMIT_MEMLOCK, 4096, 4096).map_err(io::Error::from)?;
        drop_caps(&[SYS_RESOURCE])()
    };
    if release() < (5, 11) {
        let said = refused("packet_count.o", limit);
        assert!(said.contains("RLIMIT_MEMLOCK is 4096 bytes") && said.contains("ulimit -l"), "{said}");
    } else {
        let said = refused("packet_count.o", move || {
            limit()?;
            drop_caps(&[NET_ADMIN, SYS_ADMIN])()
        });
        assert!(!said.contains("MEMLOCK") && !said.contains("ulimit"), "{said}");
    }
}

#[test]
fn a_kernel_that_is_too_old_is_named_with_the_release_that_is_not() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    for (file, since, words) in [
        ("netfilter.o", (6, 4), "a program of type netfilter came with Linux 6.4"),
        ("sk_lookup.o", (5, 9), "a program of type sk_lookup came with Linux 5.9"),
    ] {
        if release() >= since {
            continue;
        }
        let out = rawbpf(&["verify", &object(file)], || Ok(()));
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(!out.status.success() && said.contains(words), "{file}: {said}");
        let out = rawbpf(&["load", &object(file), "--foreground", "--no-attach"], || Ok(()));
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(4) && said.contains(words), "{file}: {said}");
    }
}

/// The doctor's answers for an object, as JSON.
fn doctor(
    file: &str,
    before: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> (i32, serde_json::Value) {
    let out = rawbpf(&["doctor", &object(file), "--json", "--for", "/usr/bin/x"], before);
    let text = String::from_utf8_lossy(&out.stdout);
    let document = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    (out.status.code().unwrap_or(-1), document)
}

fn answer<'d>(rows: &'d serde_json::Value, what: &str) -> &'d str {
    let row = rows.as_array().expect("rows").iter().find(|r| r["what"] == what);
    row.unwrap_or_else(|| panic!("no row {what}: {rows}"))["answer"].as_str().expect("a word")
}

#[test]
fn the_doctor_names_the_least_set_and_what_is_missing() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    require!(BTF, std::path::Path::new("/sys/kernel/btf/vmlinux").exists());
    let (status, document) = doctor("packet_count.o", || Ok(()));
    assert_eq!(status, 0, "{document}");
    let grant = &document["object"]["grant"];
    assert_eq!(grant["capabilities"], serde_json::json!(["CAP_BPF", "CAP_NET_ADMIN"]));
    assert_eq!(grant["setcap"], "setcap cap_bpf,cap_net_admin+ep /usr/bin/x");
    assert_eq!(grant["systemd"][0], "AmbientCapabilities=CAP_BPF CAP_NET_ADMIN");
    assert_eq!(grant["kubernetes"][5], "    add: [\"BPF\", \"NET_ADMIN\"]");
    assert_eq!(answer(&document["machine"], "types of the kernel (BTF)"), "yes");

    let (status, document) = doctor("packet_count.o", drop_caps(&[NET_ADMIN, SYS_ADMIN]));
    assert_eq!(status, 3, "{document}");
    assert_eq!(answer(&document["object"]["requirements"], "CAP_NET_ADMIN"), "no");
    assert_eq!(answer(&document["object"]["requirements"], "CAP_BPF"), "yes");
    assert_eq!(answer(&document["machine"], "CAP_NET_ADMIN"), "no");

    let (status, document) = doctor("rejected/core_missing.o", || Ok(()));
    assert_eq!(status, 0, "{document}");
    let fits = answer(&document["object"]["requirements"], "program `rejected` fits this kernel's types");
    assert_eq!(fits, "unknown", "it may never get there");
    if release() < (6, 4) {
        let (status, document) = doctor("netfilter.o", || Ok(()));
        assert_eq!(status, 4, "{document}");
    }
}

/// The set that the doctor names is enough, and without any one of it the load fails.
#[test]
fn the_least_set_is_enough_and_least() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    // Locked memory cannot be raised without CAP_SYS_RESOURCE, and may be enough or not.
    require!(MEMCG_ACCOUNT, release() >= (5, 11));
    let verify = |kept: &[u32]| {
        let dropped: Vec<u32> = (0..=CHECKPOINT_RESTORE).filter(|cap| !kept.contains(cap)).collect();
        let out = rawbpf(&["verify", &object("packet_count.o")], drop_caps(&dropped));
        let said =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.success(), said)
    };
    let (enough, said) = verify(&[NET_ADMIN, BPF]);
    assert!(enough, "{said}");
    for (kept, missing) in [(NET_ADMIN, "CAP_BPF"), (BPF, "CAP_NET_ADMIN")] {
        let (enough, said) = verify(&[kept]);
        assert!(!enough && said.contains(missing), "{said}");
    }
}

/// What only the verifier can know: the program computes with addresses.
#[test]
fn a_program_that_takes_perfmon_is_told_so() {
    require!(ROOT);
    require!(LITTLE_ENDIAN);
    require!(MEMCG_ACCOUNT, release() >= (5, 11));
    let dir = tempfile::tempdir().expect("a directory");
    let (source, object) = (dir.path().join("length.s"), dir.path().join("length.o"));
    let text = ".license \"GPL\"\n.section xdp\n.global length\nlength:\n\
                r2 = *(u32 *)(r1 + xdp_md.data)\nr0 = *(u32 *)(r1 + xdp_md.data_end)\nr0 -= r2\nexit\n";
    std::fs::write(&source, text).expect("it is written");
    let (source, object) = (source.to_string_lossy(), object.to_string_lossy());
    let nothing = || Ok(());
    let made = rawbpf(&["asm", &source, "-o", &object], nothing);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let out = rawbpf(&["verify", &object], nothing);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    let out = rawbpf(&["verify", &object], drop_caps(&[PERFMON, SYS_ADMIN]));
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("error[perfmon]") && said.contains("CAP_PERFMON"), "{said}");
}
