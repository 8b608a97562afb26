//! Iterators, counters, replacements, and hooks that want more than a name.

use std::io::Read as _;

use super::*;
use crate::gate::{
    FENTRY, FREPLACE, GUEST, ITER, LSM_CGROUP, PERF_EVENT, PERF_LINK, ROOT, TRACING_MULTI, require,
};
use rawbpf::links::{Iter, LsmCgroup, PerfEvent, Remedy};
use rawbpf::loader::ProgTarget;
use rawbpf::sys::{Sampling, TestRun};
use rawbpf::{Error, NextStep};

fn read(link: &Link) -> String {
    let mut text = String::new();
    link.iterate().expect("it starts").read_to_string(&mut text).expect("it is read");
    text
}

#[test]
fn an_iterator_prints_the_tasks() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(ITER, load("iter", &["dump_task"]));
        let link = require!(ITER, auto(&loaded, "dump_task"));
        let pid = std::process::id();
        assert!(read(&link).contains(&format!("task {pid} of {pid}\n")), "{}", read(&link));
        let program = loaded.program("dump_task").expect("it was loaded");
        // Only this process: since 6.1.
        if let Ok(link) = links::attach_on(kernel(), program, &Target::Iter(Iter::Process(pid))) {
            let text = read(&link);
            assert!(text.lines().all(|line| line.ends_with(&format!("of {pid}"))), "{text}");
        }
    });
}

#[test]
fn an_iterator_prints_a_map() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(ITER, load("iter", &["dump_elements"]));
        let map = loaded.map("squares").expect("it has one");
        for n in 0..4u32 {
            map.set(&n.to_ne_bytes(), &u64::from(n * n).to_ne_bytes(), 0).expect("it is written");
        }
        let program = loaded.program("dump_elements").expect("it was loaded");
        let link = links::attach_on(kernel(), program, &Target::Iter(Iter::Map(map.info().id)));
        let link = require!(ITER, link);
        assert_eq!(read(&link), "0: 0\n1: 1\n2: 4\n3: 9\n");
        let e = auto(&loaded, "dump_elements").expect_err("it has to be told which map");
        assert!(
            e.to_string().contains("walks over the elements of a map")
                && e.remedy() == Some(&Remedy::NameMap)
                || e.to_string().contains("has to be told what"),
            "{e}"
        );
    });
}

#[test]
fn iterators_are_attached_ten_thousand_times_and_leak_nothing() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(ITER, load("iter", &["dump_task"]));
        drop(require!(ITER, auto(&loaded, "dump_task")));
        for _ in 0..10_000 {
            drop(auto(&loaded, "dump_task").expect("it attaches again"));
        }
    });
}

#[test]
fn a_clock_samples_all_cpus() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("perf_event", &[]).expect("it loads");
        let link = require!(PERF_EVENT, attach(&loaded, "sample", "perf_event/cpu-clock,freq=1000"));
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 200 {
            std::hint::black_box(0);
        }
        let (all, mine) = (seen(&loaded, 0), seen(&loaded, 1));
        assert!(mine > 2 && all >= mine, "{mine} of {all}");
        drop(link);
        let all = seen(&loaded, 0);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(seen(&loaded, 0), all);
    });
}

#[test]
fn page_faults_of_this_process() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("perf_event", &[]).expect("it loads");
        let program = loaded.program("sample").expect("it was loaded");
        let event = PerfEvent {
            pid: Some(std::process::id()),
            sampling: Sampling::Period(1),
            ..PerfEvent::new("page-faults")
        };
        // The event is of the thread that is the process; a test runs in another.
        let link = require!(PERF_EVENT, links::attach_on(kernel(), program, &Target::PerfEvent(event)));
        drop(link);
        let e = attach(&loaded, "sample", "perf_event/cpu-clock,cpu=4095").expect_err("no such CPU");
        assert!(e.to_string().ends_with("there is no such CPU, or it is offline"), "{e}");
    });
}

#[test]
fn counters_are_named_or_refused_by_name() {
    let e = Target::of_section("perf_event/cpu-clok").expect_err("no such event");
    assert_eq!(
        e.to_string(),
        "`perf_event/cpu-clok` does not say where to attach: there is no event `cpu-clok` (nearest: cpu-clock); raw events are written rNUMBER"
    );
    let e = Target::of_section("perf_event/cycles,often").expect_err("no such option");
    assert!(e.to_string().ends_with("`often` is not freq=HZ, period=N or cpu=N"), "{e}");
    let target =
        Target::of_section("perf_event/r01c2,period=1000,cpu=1").expect("it is one").expect("it is one");
    assert_eq!(target.to_string(), "perf_event/r01c2,period=1000,cpu=1");
}

#[test]
fn a_counter_that_the_machine_lacks() {
    require!(GUEST);
    let loaded = load("perf_event", &[]).expect("it loads");
    let e = attach(&loaded, "sample", "perf_event/ref-cycles").expect_err("emulated CPUs have none");
    assert!(
        e.to_string().ends_with(
            "this machine has no such counter (virtual machines often have none); cpu-clock is always there"
        ),
        "{e}"
    );
}

#[test]
fn perf_events_are_attached_ten_thousand_times_and_leak_nothing() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("perf_event", &[]).expect("it loads");
        require!(
            PERF_LINK,
            attach(&loaded, "sample", "perf_event/page-faults").map(|l| l.can_outlive_process()).is_ok()
        );
        for _ in 0..10_000 {
            drop(attach(&loaded, "sample", "perf_event/major-faults,cpu=0").expect("it attaches"));
        }
    });
}

#[test]
fn a_function_of_a_program_is_replaced() {
    require!(ROOT);
    leaves_nothing(|| {
        let target = load("replace", &["target"]).expect("it loads");
        let xdp = target.program("target").expect("it was loaded");
        let run = || {
            let run = TestRun { data: vec![0; 64], ..TestRun::default() };
            xdp.test_run(&run).expect("it runs").retval
        };
        const DROP: u32 = 1;
        const PASS: u32 = 2;
        assert_eq!(run(), DROP);
        let id = xdp.info().expect("it is there").id;
        let onto = |function: Option<&str>| {
            let onto = ProgTarget {
                program: "new_verdict".into(),
                target: id,
                function: function.map(String::from),
            };
            let options = Options { onto: vec![onto], ..Options::default() };
            object("replacement").plan(kernel(), &options)
        };
        let loaded = require!(FREPLACE, onto(None).expect("it is found").run());
        let link = require!(FREPLACE, auto(&loaded, "new_verdict"));
        assert_eq!(run(), PASS);
        assert_eq!(seen(&loaded, 0), 1);
        drop(link);
        assert_eq!(run(), DROP);
        let e = onto(Some("verdct")).expect_err("no such function").to_string();
        assert_eq!(
            e,
            format!(
                "program `new_verdict`: program {id} (`target`) has no function `verdct`; it has: target, verdict"
            )
        );
        let e = object("replacement").plan(kernel(), &Options::default()).expect_err("of which program?");
        assert_eq!(
            e.to_string(),
            "program `new_verdict` replaces a function of another program, and which one is not said"
        );
        let step = Error::from(e).advice().and_then(|advice| advice.step);
        assert_eq!(step, Some(NextStep::NameTarget("new_verdict".into())));
    });
}

#[test]
fn a_security_module_for_one_cgroup() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(LSM_CGROUP, load("lsm_cgroup", &[]));
        let program = loaded.program("no_raw_sockets").expect("it was loaded");
        let target = Target::LsmCgroup(LsmCgroup { cgroup: "/sys/fs/cgroup".into() });
        let link = require!(LSM_CGROUP, links::attach_on(kernel(), program, &target));
        // SAFETY: plain numbers.
        let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, 1) };
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EPERM), "{fd}");
        assert_eq!(seen(&loaded, 0), 1);
        drop(link);
    });
}

#[test]
fn many_functions_by_their_types() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = require!(TRACING_MULTI, load("tracing_multi", &[]));
        let caller = require!(FENTRY, load("tracing", &["test1_entry"]));
        let mut target =
            Target::of_section("fentry.multi/bpf_fentry_test?").expect("a hook").expect("by itself");
        assert!(target.set_cookie(5));
        let program = loaded.program("entries").expect("it was loaded");
        let link = require!(TRACING_MULTI, links::attach_on(kernel(), program, &target));
        call_fentry_test(&caller);
        assert!(seen(&loaded, 0) >= 8, "{} {:?}", seen(&loaded, 0), link.skipped());
        assert_eq!(seen(&loaded, 1), 5);
        drop(link);
    });
}

#[test]
fn a_process_without_privileges_is_told_which() {
    require!(ROOT);
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    require!(PERF_EVENT, if paranoid.trim() >= "1" { Ok(()) } else { Err("anybody may") });
    let loaded = load("perf_event", &[]).expect("it loads");
    let attached = std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| {
            // The system call, unlike the C library's function, is for this thread alone.
            // SAFETY: plain numbers.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
            attach(&loaded, "sample", "perf_event/cpu-clock").map(drop)
        });
        unprivileged.join().expect("it ends")
    });
    let e = attached.expect_err("it may not");
    assert_eq!(
        e.to_string(),
        format!(
            "cannot attach `sample` to perf_event/cpu-clock,freq=99: this process has neither CAP_PERFMON nor CAP_SYS_ADMIN, which tracing needs (kernel.perf_event_paranoid is {})",
            paranoid.trim()
        )
    );
    assert_eq!(Error::from(e).kind(), rawbpf::ErrorKind::NotPermitted);
}
