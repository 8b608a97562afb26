//! Hooks in the kernel: kprobes, tracepoints, and what BTF binds.

use super::*;
use crate::gate::{
    FENTRY, FSESSION, GUEST, KPROBE, KPROBE_MULTI, KPROBE_SESSION, LSM, PERF_LINK, RAW_TRACEPOINT, ROOT,
    TRACE_COOKIE, TRACEFS, require,
};
use rawbpf::insn::Insn;
use rawbpf::links::{Functions, Kprobe, KprobeMulti, MultiKind, ProbeVia};

#[test]
fn kprobes_see_arguments_and_results() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("kprobe", &["socket_entry", "socket_exit"]).expect("it loads");
        let entry = require!(KPROBE, auto(&loaded, "socket_entry"));
        let exit = auto(&loaded, "socket_exit").expect("it attaches");
        assert_eq!(call_socket(77), -1);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (1, 77));
        assert_eq!((seen(&loaded, 2), seen(&loaded, 3) as i64), (1, -i64::from(libc::EAFNOSUPPORT)));
        drop(entry);
        call_socket(78);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 2)), (1, 2), "one is detached, the other is not");
        drop(exit);
        call_socket(79);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 2)), (1, 2));
    });
}

#[test]
fn a_kprobe_by_offset_and_by_address() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("kprobe", &["anywhere"]).expect("it loads");
        require!(
            KPROBE,
            !kernel().symbols().hidden() && attach(&loaded, "anywhere", "kprobe/__sys_socket+0").is_ok()
        );
        let address = kernel().symbols().named("__sys_socket").next().expect("every kernel has it").address;
        let link = attach(&loaded, "anywhere", &format!("kprobe/{address:#x}")).expect("it attaches");
        call_socket(77);
        assert_eq!(seen(&loaded, 6), 1);
        // The kernel tells the place since 6.6, by itself or as an address.
        if let Some(place) = listed(&link).filter(|place| place != "a perf event") {
            assert!(place == "__sys_socket" || place.starts_with("__sys_socket (0x"), "{place}");
        }
        drop(link);
        let refused =
            |hook: &str| attach(&loaded, "anywhere", hook).expect_err("nothing is there").to_string();
        // Where the kernel asks for a function first, and where for an instruction.
        let said = refused("kprobe/0x1234");
        assert!(
            said.contains("no function of the kernel is there") || said.contains("no instruction begins"),
            "{said}"
        );
        let said = refused(&format!("kprobe/{:x}", address));
        assert!(said.ends_with(&format!("; an address is written 0x{address:x}")), "{said}");
        // The list was asked for over sockets.
        let before = seen(&loaded, 6);
        let offsets = (1..=16).map(|offset| format!("kprobe/__sys_socket+{offset}"));
        let link = { offsets }.find_map(|hook| attach(&loaded, "anywhere", &hook).ok());
        let link = link.expect("one of them is where an instruction begins");
        call_socket(77);
        assert_eq!(seen(&loaded, 6), before + 1);
        drop(link);
    });
}

#[test]
fn a_kprobe_in_a_module() {
    require!(ROOT);
    require!(GUEST);
    leaves_nothing(|| {
        let loaded = load("kprobe", &["anywhere"]).expect("it loads");
        let link = require!(KPROBE, attach(&loaded, "anywhere", "kprobe/veth:veth_open"));
        let open = || crate::net::in_namespace(|| drop(crate::net::Veth::new("near0", "far0")));
        open();
        assert_eq!(seen(&loaded, 6), 2, "each end is opened");
        drop(link);
        open();
        assert_eq!(seen(&loaded, 6), 2);
        let e = attach(&loaded, "anywhere", "kprobe/nosuch:veth_open").expect_err("there is no such module");
        assert_eq!(
            e.to_string(),
            "cannot attach `anywhere` to kprobe/nosuch:veth_open: there is no kernel function `nosuch:veth_open`; module `nosuch` is not loaded"
        );
    });
}

#[test]
fn a_name_of_several_functions_attaches_to_one_of_them() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("kprobe", &["anywhere"]).expect("it loads");
        drop(require!(KPROBE, attach(&loaded, "anywhere", "kprobe/__sys_socket")));
        // Every file system has a function of this name.
        let many = kernel().symbols().named("init_once").filter(|s| "tT".contains(s.kind)).count();
        assert!(many > 1, "{many}");
        let link = attach(&loaded, "anywhere", "kprobe/init_once").expect("it attaches");
        // Since 6.6 the kernel refuses such names; before it takes the first.
        if let Some(note) = link.note() {
            assert!(
                note.starts_with(&format!(
                    "{many} functions are called init_once: attached to the one at 0x"
                )),
                "{note}"
            );
            // There are links since 5.15, and the kernel tells the place since 6.6.
            if let Some(place) = listed(&link).filter(|place| place != "a perf event") {
                assert!(place.starts_with("init_once (0x"), "{place}");
            }
        }
    });
}

/// Where a link is, as the list of all attachments says.
fn listed(link: &Link) -> Option<String> {
    let id = link.info().ok()?.id;
    let all = links::inventory(&links::Scope::default()).attachments;
    all.into_iter().find(|a| a.by.link_id() == Some(id)).map(|a| a.place)
}

#[test]
fn a_kprobe_that_is_written_wrong() {
    for (hook, why) in [
        ("kprobe/vfs_*", "`vfs_*` is a pattern; write kprobe.multi/vfs_*"),
        ("kretprobe/vfs_rea?", "`vfs_rea?` is a pattern; write kretprobe.multi/vfs_rea?"),
        ("kprobe/veth:", "`veth:` lacks the module or the function; write MODULE:FUNCTION"),
        ("kprobe/vfs_read+x", "the offset `x` is not a number"),
        ("kretprobe/vfs_read+4", "a return has no offset"),
    ] {
        let e = Target::of_section(hook).expect_err("it is wrong");
        assert_eq!(e.why, why);
    }
}

#[test]
fn kprobes_through_tracefs() {
    require!(ROOT);
    require!(TRACEFS, std::path::Path::new("/sys/kernel/tracing/kprobe_events").exists());
    leaves_nothing(|| {
        let loaded = load("kprobe", &["socket_entry", "socket_exit"]).expect("it loads");
        let probe = |function: Kprobe| Target::Kprobe(Kprobe { via: ProbeVia::Tracefs, ..function });
        let program = |name| loaded.program(name).expect("it was loaded");
        let entry =
            links::attach_on(kernel(), program("socket_entry"), &probe(Kprobe::entry("__sys_socket")));
        let entry = require!(KPROBE, entry);
        let exit = links::attach_on(kernel(), program("socket_exit"), &probe(Kprobe::exit("__sys_socket")))
            .expect("it attaches");
        let text = fs::read_to_string("/sys/kernel/tracing/kprobe_events").expect("it is there");
        assert_eq!(text.matches("rawbpf").count(), 4, "two probes, by group and name: {text}");
        call_socket(77);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1), seen(&loaded, 2)), (1, 77, 1));
        drop((entry, exit));
        let missing =
            links::attach_on(kernel(), program("socket_entry"), &probe(Kprobe::entry("no_such_function")));
        assert!(matches!(missing, Err(AttachError::NotFound { .. })), "{missing:?}");
    });
}

#[test]
fn system_calls_are_probed_by_name() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("kprobe", &["getpgid_entry", "getpgid_exit"]).expect("it loads");
        let entry = require!(KPROBE, auto(&loaded, "getpgid_entry"));
        let exit = auto(&loaded, "getpgid_exit").expect("it attaches");
        call_getpgid();
        assert_eq!((seen(&loaded, 4), seen(&loaded, 5)), (1, 1));
        drop((entry, exit));
        let e = attach(&loaded, "getpgid_entry", "ksyscall/getpgidd").expect_err("there is no such call");
        assert!(e.to_string().starts_with("cannot attach `getpgid_entry` to ksyscall/getpgidd: there is no system call `getpgidd` (nearest: getpgid"), "{e}");
    });
}

#[test]
fn cookies_of_perf_events() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(PERF_LINK, load("kprobe_cookie", &["probe_cookie", "tracepoint_cookie"]));
        let on = |program: &str, hook: &str, cookie| {
            let mut target = Target::of_section(hook).expect("a hook").expect("one by itself");
            assert!(target.set_cookie(cookie));
            links::attach_on(kernel(), loaded.program(program).expect("it was loaded"), &target)
        };
        let first = require!(KPROBE, on("probe_cookie", "kprobe/__sys_socket", 11));
        call_socket(77);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (1, 11));
        drop(first);
        let second = on("probe_cookie", "ksyscall/getpgid", 12).expect("it attaches");
        let third = on("tracepoint_cookie", "tp/syscalls/sys_enter_getpgid", 13).expect("it attaches");
        call_getpgid();
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (2, 12));
        assert_eq!((seen(&loaded, 2), seen(&loaded, 3)), (1, 13));
        drop((second, third));
    });
}

#[test]
fn tracepoints_with_and_without_a_record() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("tracepoint", &["syscall_entry", "raw_entry"]).expect("it loads");
        let raw = require!(RAW_TRACEPOINT, auto(&loaded, "raw_entry"));
        call_getpgid();
        assert_eq!(seen(&loaded, 2), 1);
        let point = require!(TRACEFS, auto(&loaded, "syscall_entry"));
        call_getpgid();
        let me = u64::from(std::process::id());
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1), seen(&loaded, 2)), (1, me, 2));
        drop((raw, point));
        call_getpgid();
        assert_eq!((seen(&loaded, 0), seen(&loaded, 2)), (1, 2));
        let e = attach(&loaded, "syscall_entry", "tp/syscalls/sys_enter_getpgids").expect_err("no such");
        assert!(
            e.to_string()
                .contains("there is no tracepoint `syscalls/sys_enter_getpgids` (nearest: sys_enter_getpgid"),
            "{e}"
        );
        let e = attach(&loaded, "syscall_entry", "tp/syscal/sys_enter_getpgid").expect_err("no such");
        assert!(
            e.to_string().ends_with("; there is no category `syscal`")
                || e.to_string().contains("nearest: syscalls"),
            "{e}"
        );
    });
}

#[test]
fn a_raw_tracepoint_that_does_not_exist() {
    require!(ROOT);
    let loaded = load("tracepoint", &["raw_entry"]).expect("it loads");
    let e = attach(&loaded, "raw_entry", "raw_tp/sys_entr").expect_err("no such");
    assert_eq!(
        e.to_string(),
        "cannot attach `raw_entry` to raw_tracepoint/sys_entr: there is no tracepoint `sys_entr` (nearest: sys_enter, sys_exit)"
    );
}

#[test]
fn tp_btf_reads_typed_arguments() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("tracing", &["syscall_entry"]).expect("it loads");
        let link = auto(&loaded, "syscall_entry").expect("it attaches");
        call_getpgid();
        assert_eq!(seen(&loaded, 4), 1);
        drop(link);
        call_getpgid();
        assert_eq!(seen(&loaded, 4), 1);
    });
}

#[test]
fn fentry_and_fexit_see_arguments_and_results() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(FENTRY, load("tracing", &["test1_entry", "test1_exit"]));
        let entry = require!(FENTRY, auto(&loaded, "test1_entry"));
        let exit = auto(&loaded, "test1_exit").expect("it attaches");
        call_fentry_test(&loaded);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (1, 1));
        assert_eq!((seen(&loaded, 2), seen(&loaded, 3)), (1, 2));
        drop((entry, exit));
        call_fentry_test(&loaded);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 2)), (1, 1));
    });
}

#[test]
fn types_that_the_kernel_refuses_are_left_out() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(FENTRY, load("unnamed", &[]));
        assert_eq!(loaded.program("without_a_name").expect("loaded").info().expect("asked").btf_id, 0);
        let caller = require!(FENTRY, load("tracing", &["test1_entry"]));
        let link = require!(FENTRY, auto(&loaded, "without_a_name"));
        call_fentry_test(&caller);
        assert_eq!(seen(&loaded, 0), 1);
        drop(link);
        // What fails then says that it had none.
        let mut broken = object("unnamed");
        broken.programs[0].func.insns.fill(Insn::Exit.encode()[0]);
        let said = load_object(broken, &[]).map(drop).expect_err("r0 is not set").to_string();
        assert!(
            said.ends_with(
                "; the kernel has no types of this object: BPF_BTF_LOAD failed: EINVAL (Invalid argument)"
            ),
            "{said}"
        );
    });
}

#[test]
fn a_cookie_of_fentry() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(TRACE_COOKIE, load("trace_cookie", &[]));
        let mut target = Target::of_section("fentry/bpf_fentry_test1").expect("a hook").expect("by itself");
        assert!(target.set_cookie(99));
        let link = require!(
            TRACE_COOKIE,
            links::attach_on(kernel(), loaded.program("with_cookie").expect("loaded"), &target)
        );
        call_fentry_test(&loaded);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (1, 99));
        drop(link);
    });
}

#[test]
fn fsession_runs_at_both_ends() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(FSESSION, load("fsession", &[]));
        let caller = require!(FSESSION, load("tracing", &["test1_entry"]));
        let link = require!(FSESSION, auto(&loaded, "both_ends"));
        call_fentry_test(&caller);
        assert_eq!(seen(&loaded, 0), 2);
        drop(link);
    });
}

/// Opens a file in the way that bpf/deny.bpf.c denies.
fn odd_open() -> Result<fs::File, std::io::Error> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).custom_flags(libc::O_APPEND | libc::O_SYNC).open("/dev/null")
}

#[test]
fn a_security_module_denies() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(LSM, load("deny", &["deny_open"]));
        let link = require!(LSM, auto(&loaded, "deny_open"));
        assert_eq!(odd_open().expect_err("it is denied").raw_os_error(), Some(libc::EPERM));
        assert_eq!(seen(&loaded, 0), 1);
        drop(link);
        odd_open().expect("nobody denies it any more");
    });
}

#[test]
fn fmod_ret_changes_what_a_function_returns() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(FENTRY, load("deny", &["change_open"]));
        let link = require!(FENTRY, auto(&loaded, "change_open"));
        assert_eq!(odd_open().expect_err("it is denied").raw_os_error(), Some(libc::EPERM));
        assert_eq!(seen(&loaded, 1), 1);
        drop(link);
        odd_open().expect("nobody denies it any more");
    });
}

#[test]
fn many_functions_by_one_link() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(KPROBE_MULTI, load("kprobe_multi", &["entries", "exits"]));
        let caller = require!(FENTRY, load("tracing", &["test1_entry"]));
        let entries = require!(KPROBE_MULTI, auto(&loaded, "entries"));
        let exits = auto(&loaded, "exits").expect("it attaches");
        call_fentry_test(&caller);
        assert!(seen(&loaded, 0) >= 8, "test1 to test8 at least, {}", seen(&loaded, 0));
        let tests =
            (1..=9).filter(|n| kernel().symbols().named(&format!("bpf_fentry_test{n}")).next().is_some());
        assert_eq!(seen(&loaded, 2), tests.count() as u64, "`?` is one letter");
        drop((entries, exits));
        let at = |functions, cookies| {
            Target::KprobeMulti(KprobeMulti { functions, kind: MultiKind::Entry, cookies })
        };
        let program = loaded.program("entries").expect("it was loaded");
        // By name, one of which the kernel does not have: the others are attached.
        let names = ["bpf_fentry_test2", "no_such_function", "bpf_fentry_test1"].map(String::from).to_vec();
        let before = seen(&loaded, 0);
        let link = links::attach_on(kernel(), program, &at(Functions::Names(names), vec![21, 22, 23]))
            .expect("it attaches");
        assert_eq!(link.skipped().iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["no_such_function"]);
        call_fentry_test(&caller);
        assert_eq!((seen(&loaded, 0) - before, seen(&loaded, 1)), (2, 21), "test2 is called last");
        drop(link);
        // By address, one of which is no function.
        let of = |name: &str| kernel().symbols().named(name).next().expect("it has it").address;
        let addresses = vec![of("bpf_fentry_test1"), of("bpf_fentry_test1") + 1, of("bpf_fentry_test2")];
        let before = seen(&loaded, 0);
        let link = links::attach_on(kernel(), program, &at(Functions::Addresses(addresses), vec![5]))
            .expect("it attaches");
        assert_eq!(link.skipped().len(), 1, "{:?}", link.skipped());
        call_fentry_test(&caller);
        assert_eq!((seen(&loaded, 0) - before, seen(&loaded, 1)), (2, 5));
        drop(link);
        let e = attach(&loaded, "entries", "kprobe.multi/bpf_fentry_tst1").expect_err("no such");
        assert!(e.to_string().starts_with("cannot attach `entries` to kprobe.multi/bpf_fentry_tst1: there is no kernel function `bpf_fentry_tst1` (nearest: bpf_fentry_test1"), "{e}");
        let e = attach(&loaded, "entries", "kprobe.multi/no_such_*").expect_err("no such");
        assert!(matches!(e, AttachError::NotFound { .. }), "{e}");
    });
}

#[test]
fn thousands_of_functions_by_one_link() {
    require!(ROOT);
    require!(GUEST);
    leaves_nothing(|| {
        let loaded = require!(KPROBE_MULTI, load("kprobe_multi", &["many"]));
        let start = std::time::Instant::now();
        let link = require!(KPROBE_MULTI, attach(&loaded, "many", "kprobe.multi/vfs_*"));
        eprintln!("vfs_*: {:?}, {} left out", start.elapsed(), link.skipped().len());
        let start = std::time::Instant::now();
        drop(link);
        let link = attach(&loaded, "many", "kprobe.multi/s*_*s*").expect("it attaches");
        eprintln!("s*_*s*: {:?}, {} left out", start.elapsed(), link.skipped().len());
        call_getpgid();
        assert!(seen(&loaded, 3) > 0, "security_task_getpgid at least");
        drop(link);
    });
}

#[test]
fn a_session_of_a_function() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(KPROBE_SESSION, load("kprobe_session", &[]));
        let caller = require!(FENTRY, load("tracing", &["test1_entry"]));
        let both = require!(KPROBE_SESSION, auto(&loaded, "session"));
        let entry = auto(&loaded, "entry_only").expect("it attaches");
        call_fentry_test(&caller);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1)), (2, 1));
        drop((both, entry));
    });
}

#[test]
fn a_function_that_the_kernel_does_not_have() {
    require!(ROOT);
    let loaded = load("kprobe", &["anywhere"]).expect("it loads");
    drop(require!(KPROBE, attach(&loaded, "anywhere", "kprobe/__sys_socket")));
    let e = attach(&loaded, "anywhere", "kprobe/__sys_sockett").expect_err("there is none");
    assert!(
        e.to_string().starts_with("cannot attach `anywhere` to kprobe/__sys_sockett: there is no kernel function `__sys_sockett` (nearest: __sys_socket"),
        "{e}"
    );
    let e =
        attach(&loaded, "anywhere", "kprobe/__sys_socket+0x3").expect_err("in the middle of an instruction");
    assert!(
        e.to_string().ends_with("no instruction begins at this offset, or it is outside of the function"),
        "{e}"
    );
    let e = attach(&loaded, "anywhere", "kprobe/get_kprobe").expect_err("it is part of how kprobes work");
    assert_eq!(
        e.to_string(),
        "cannot attach `anywhere` to kprobe/get_kprobe: the kernel keeps probes off this function, as it is part of how probes work (/sys/kernel/debug/kprobes/blacklist)"
    );
}

#[test]
fn a_kernel_without_kprobes_says_so() {
    let config =
        fs::read_to_string("/proc/config.gz").is_ok() || std::path::Path::new("/proc/config.gz").exists();
    if !config || std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists() {
        return crate::gate::skip(&crate::gate::HOST, "this kernel has kprobes");
    }
    require!(ROOT);
    let loaded = load("kprobe", &["anywhere"]).expect("it loads");
    let e = attach(&loaded, "anywhere", "kprobe/__sys_socket").expect_err("it has none");
    assert_eq!(
        e.to_string(),
        "cannot attach `anywhere` to kprobe/__sys_socket: this kernel was built without CONFIG_KPROBES, CONFIG_KPROBE_EVENTS"
    );
    assert_eq!(Error::from(e).kind(), rawbpf::ErrorKind::Unsupported);
}

#[test]
fn attaching_again_and_again_leaks_nothing() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("tracepoint", &["raw_entry"]).expect("it loads");
        // To switch a tracepoint off for the last program takes the kernel a while; one keeps it on.
        let other = load("tracepoint", &["raw_entry"]).expect("it loads");
        let kept = require!(RAW_TRACEPOINT, auto(&other, "raw_entry"));
        for _ in 0..50 {
            drop(auto(&loaded, "raw_entry").expect("it attaches"));
        }
        drop(kept);
    });
}
