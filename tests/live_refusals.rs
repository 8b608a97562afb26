//! What a user reads when something cannot be attached: each cause is brought about on purpose, and the words of the
//! command are kept in tests/golden/attach. `RAWBPF_BLESS=1` writes them.
//!
//! What differs from machine to machine (ids, the release, paths) is replaced by a word. Where kernels have words of
//! their own, a file holds all that were seen, with a line of `~` between them.
#![allow(unsafe_code)]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rawbpf::{Kernel, Target};

use crate::gate::{
    GUEST, KPROBE, NO_FPROBE, NO_TCX, PERF_EVENT, PERF_LINK, RAW_TRACEPOINT, ROOT, UPROBE, VETH, require,
};
use crate::live_net::world::{chain, has_tcx, in_world, load, program};
use crate::net::{Veth, in_namespace, mount_bpffs, object, rawbpf, rawbpf_fails, rawbpf_ok, set_mtu};

const BETWEEN: &str = "~\n";

/// Compares with tests/golden/attach/NAME.txt.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/attach/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{}\n", plain(text).trim_end());
    let known = fs::read_to_string(&path).unwrap_or_default();
    if known.split(BETWEEN).any(|one| one == text) {
        return;
    }
    if std::env::var_os("RAWBPF_BLESS").is_some() {
        let all = if known.is_empty() { text.clone() } else { format!("{known}{BETWEEN}{text}") };
        fs::write(&path, all).expect("the golden file is written");
        return;
    }
    panic!("{path} differs; RAWBPF_BLESS=1 accepts this:\n{text}\nit holds:\n{known}");
}

/// Without what differs from one machine to the next.
fn plain(text: &str) -> String {
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
    let text = text
        .replace(&std::env::current_exe().expect("its own path").display().to_string(), "THE_TESTS")
        .replace(concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/"), "")
        .replace(&release.unwrap_or_default(), "RELEASE")
        .replace(&format!("this kernel is {}", Kernel::host().release()), "this kernel is RELEASE");
    // Numbers after these words are the machine's.
    ["id ", "link ", "program ", "perf_event_paranoid is "]
        .iter()
        .fold(text, |text, word| without_number(&text, word))
}

/// Puts an N in the place of each number after `word`.
fn without_number(text: &str, word: &str) -> String {
    let mut parts = text.split(word);
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |out, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = if rest.len() == part.len() { "" } else { "N" };
        format!("{out}{word}{number}{rest}")
    })
}

/// Runs the command, which has to fail with this status, and compares what it says.
#[track_caller]
fn refused(name: &str, status: i32, args: &[&str]) {
    said(name, status, Command::new(env!("CARGO_BIN_EXE_rawbpf")).args(args));
}

#[track_caller]
fn said(name: &str, status: i32, command: &mut Command) {
    let out = command.env("NO_COLOR", "1").output().expect("it runs");
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(status), "{text}");
    golden(name, &text);
}

/// The command, run by root without a capability.
fn without_capability(number: i32, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rawbpf"));
    command.args(args);
    // SAFETY: one system call with plain numbers, before the program is run.
    unsafe {
        command.pre_exec(move || match libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
}

/// A test in a network of its own, with the objects that it loads.
fn in_network(test: impl FnOnce(&Veth) + Send) {
    in_namespace(|| {
        let veth = require!(VETH, Veth::new("near0", "far0"));
        mount_bpffs();
        test(&veth);
    });
}

#[test]
fn the_drivers_own_words() {
    require!(ROOT);
    in_network(|veth| {
        for end in [veth.near, veth.far] {
            set_mtu(end, 9000).expect("a large MTU");
        }
        refused(
            "extack-mtu",
            1,
            &["load", &object("packet_count.o"), "--xdp", "near0", "--xdp-mode", "native"],
        );
        refused(
            "extack-no-driver",
            4,
            &["load", &object("packet_count.o"), "--xdp", "lo", "--xdp-mode", "native"],
        );
    });
}

#[test]
fn what_is_no_bpf_call_is_explained_too() {
    require!(ROOT);
    in_network(|veth| {
        for end in [veth.near, veth.far] {
            set_mtu(end, 9000).expect("a large MTU");
        }
        let load = ["--explain", "load", &object("packet_count.o"), "--xdp", "near0", "--xdp-mode", "native"];
        let said = rawbpf_fails(1, &load);
        let request = said.lines().find(|line| line.starts_with("netlink({nlmsg_type=RTM_SETLINK"));
        let request = request.unwrap_or_else(|| panic!("no request in:\n{said}"));
        assert!(request.contains("ifindex=") && request.contains("IFLA_XDP="), "{request}");
        assert!(request.contains("= -1 E") && request.to_lowercase().contains("mtu"), "{request}");
        let out = rawbpf(&["--explain", "load", &object("tracepoint.o"), "--program", "syscall_entry"]);
        require!(PERF_LINK, out.status.success());
        rawbpf_ok(&["unload", "tracepoint"]);
        let said = String::from_utf8_lossy(&out.stderr);
        for call in ["perf_event_open({type=2, config=0x", "ioctl(PERF_EVENT_IOC_ENABLE, {fd="] {
            assert!(said.lines().any(|line| line.starts_with(call)), "no {call} in:\n{said}");
        }
    });
}

#[test]
fn who_holds_the_hook() {
    require!(ROOT);
    in_network(|_| {
        let counter = object("packet_count.o");
        rawbpf_ok(&["load", &counter, "--xdp", "near0"]);
        refused("held-xdp", 1, &["load", &counter, "--xdp", "near0", "--name", "other"]);
        refused(
            "held-xdp-other-mode",
            1,
            &["load", &counter, "--xdp", "near0", "--xdp-mode", "generic", "--name", "other"],
        );
        rawbpf_ok(&["unload", "packet_count"]);
        let dissector = object("flow_dissector.o");
        rawbpf_ok(&["load", &dissector, "--netns", "self"]);
        refused("held-flow-dissector", 1, &["load", &dissector, "--netns", "self", "--name", "other"]);
        rawbpf_ok(&["unload", "flow_dissector"]);
    });
}

#[test]
fn who_holds_a_cgroup() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let group = mount.join("rawbpf-held");
        fs::create_dir_all(&group).expect("a cgroup is made");
        let file = object("cgroup_host.o");
        let args = ["load", &file, "--cgroup", "rawbpf-held", "--program", "no_dev_zero"];
        let at = |extra: &[&'static str]| [&args[..], extra].concat();
        rawbpf_ok(&at(&["--cgroup-share", "exclusive"]));
        let out = Command::new(env!("CARGO_BIN_EXE_rawbpf"))
            .args(at(&["--name", "other"]))
            .output()
            .expect("it runs");
        assert_eq!(out.status.code(), Some(1));
        let text = String::from_utf8_lossy(&out.stderr).replace(&mount.display().to_string(), "CGROUPS");
        golden("held-cgroup", &text);
        rawbpf_ok(&["unload", "cgroup_host"]);
        fs::remove_dir(&group).expect("the cgroup is removed");
    });
}

#[test]
fn a_place_that_the_list_does_not_have() {
    require!(ROOT);
    in_network(|_| {
        let counter = object("tc_count.o");
        if has_tcx().is_ok() {
            rawbpf_ok(&["load", &counter, "--tc", "near0:ingress", "--program", "count_in"]);
            let other =
                ["load", &counter, "--tc", "near0:ingress", "--program", "count_in", "--name", "other"];
            refused("no-anchor", 1, &[&other[..], &["--before", "nobody"]].concat());
            rawbpf_ok(&["unload", "tc_count"]);
        }
        refused("no-interface", 5, &["load", &counter, "--tc", "near1:ingress"]);
        // Others may have named namespaces there; where there is no such directory, there are none.
        let flags = nix::mount::MsFlags::empty();
        let _ = nix::mount::mount(Some("none"), "/run/netns", Some("tmpfs"), flags, None::<&str>);
        refused("no-namespace", 5, &["load", &counter, "--tc", "near0:ingress", "--netns", "nowhere"]);
    });
}

#[test]
fn a_kernel_without_tcx() {
    require!(ROOT);
    in_world(|| {
        let counter = load("tc_count.o", &["count_in"]);
        let _veth = require!(VETH, Veth::new("near0", "far0"));
        let tc = rawbpf::links::Tc {
            hook: rawbpf::links::TcHook::Tcx,
            ..rawbpf::links::Tc::new("near0", rawbpf::links::Direction::Ingress)
        };
        let attached = rawbpf::attach(program(&counter, "count_in"), &Target::Tc(tc)).map(drop);
        require!(NO_TCX, attached.is_err());
        golden("too-old-tcx", &chain(&attached.expect_err("it is refused")));
    });
}

#[test]
fn a_name_that_is_nearly_right() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let uprobe = object("uprobe.o");
        require!(UPROBE, Path::new("/sys/bus/event_source/devices/uprobe").exists());
        let at = |hook: &str| format!("anywhere=uprobe/{hook}");
        let exe = std::env::current_exe().expect("its own path").display().to_string();
        let args = ["load", &uprobe, "--program", "anywhere", "--attach"];
        let nearly = at(&format!("{exe}:rawbpf_test_functoin"));
        refused("near-symbol", 5, &[&args[..], &[nearly.as_str()]].concat());
        refused("no-file", 5, &[&args[..], &[at("/no/such/file:main").as_str()]].concat());
        refused("no-syntax", 2, &[&args[..], &["anywhere=uprobe/main"]].concat());
        require!(RAW_TRACEPOINT, fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false));
        let point = [
            "load",
            &object("tracepoint.o"),
            "--program",
            "raw_entry",
            "--attach",
            "raw_entry=raw_tp/sys_entre",
        ];
        refused("near-tracepoint", 5, &point);
    });
}

/// None of the kernels here is built to decode infrared signals; where one is, there is no such device.
#[test]
fn a_machine_without_infrared() {
    require!(ROOT);
    let dir = tempfile::tempdir().expect("a directory");
    let (text, made) = (dir.path().join("lirc.s"), dir.path().join("lirc.o"));
    let (text, made) = (text.display().to_string(), made.display().to_string());
    fs::write(&text, ".license \"GPL\"\n.section \"lirc_mode2\"\ndecode:\n    r0 = 0\n    exit\n")
        .expect("written");
    rawbpf_ok(&["asm", &text, "-o", &made]);
    in_namespace(|| {
        mount_bpffs();
        let load = ["load", &made, "--lirc", "/dev/no_such_lirc"];
        let out = crate::net::rawbpf(&load);
        let said = String::from_utf8_lossy(&out.stderr);
        match out.status.code() {
            Some(5) => assert!(said.contains("there is no device /dev/no_such_lirc"), "{said}"),
            // Without its configuration nobody knows what the kernel lacks.
            _ if Kernel::host().kconfig().is_known() => refused("no-lirc", 4, &load),
            _ => assert!(said.contains("lirc_mode2"), "{said}"),
        }
    });
}

#[test]
fn a_function_that_is_nearly_right() {
    require!(ROOT);
    require!(GUEST);
    in_namespace(|| {
        mount_bpffs();
        require!(KPROBE, Path::new("/sys/bus/event_source/devices/kprobe").exists());
        let probe = object("kprobe.o");
        let args = ["load", &probe, "--program", "anywhere", "--foreground", "--attach"];
        refused("near-function", 5, &[&args[..], &["anywhere=kprobe/tcp_v4_conect"]].concat());
        refused("inside-instruction", 1, &[&args[..], &["anywhere=kprobe/tcp_v4_connect+1"]].concat());
        refused("blacklisted-function", 1, &[&args[..], &["anywhere=kprobe/get_kprobe"]].concat());
    });
}

#[test]
fn a_kernel_built_without() {
    require!(ROOT);
    require!(GUEST);
    in_namespace(|| {
        mount_bpffs();
        let kernel = Kernel::host();
        let multi = object("kprobe_multi.o");
        let args = ["load", &multi, "--program", "many", "--attach", "many=kprobe.multi/vfs_*"];
        if kernel.release() < rawbpf::uapi::Release(5, 18, 0) {
            return refused("too-old-kprobe-multi", 4, &args);
        }
        let lacks = |option: &str| kernel.kconfig().is_known() && kernel.kconfig().get(option).is_none();
        require!(NO_FPROBE, lacks("CONFIG_FPROBE"));
        refused("no-option-fprobe", 4, &args);
    });
}

#[test]
fn a_capability_that_is_missing() {
    require!(ROOT);
    const NET_ADMIN: i32 = 12;
    in_network(|_| {
        // CAP_SYS_ADMIN is enough to load, and for links; netlink wants the other.
        let (xdp, tc) = (object("packet_count.o"), object("tc_count.o"));
        let args = ["load", &xdp, "--xdp", "near0", "--xdp-mode", "generic", "--no-link"];
        said("no-capability-xdp", 3, &mut without_capability(NET_ADMIN, &args));
        let args = ["load", &tc, "--tc", "near0:ingress", "--program", "count_in", "--tc-hook", "clsact"];
        said("no-capability-tc", 3, &mut without_capability(NET_ADMIN, &args));
    });
}

#[test]
fn a_kernel_that_is_paranoid_about_perf_events() {
    require!(ROOT);
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    require!(PERF_EVENT, if paranoid.trim() >= "1" { Ok(()) } else { Err("anybody may") });
    in_world(|| {
        let sampler = load("perf_event.o", &[]);
        let refused = std::thread::scope(|scope| {
            let unprivileged = scope.spawn(|| {
                // SAFETY: plain numbers; for this thread alone.
                assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
                let target = Target::of_section("perf_event/cpu-clock").expect("a hook").expect("by itself");
                rawbpf::attach(program(&sampler, "sample"), &target).map(drop).expect_err("it may not")
            });
            unprivileged.join().expect("it ends")
        });
        golden("perf-event-paranoid", &chain(&refused));
    });
}
