//! USDT probes: this test binary has some, as the macros of <sys/sdt.h> would have made them.

use super::*;
use crate::gate::{ROOT, UPROBE, UPROBE_MULTI, require};
use rawbpf::links::Usdt;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many listen to the probe `args`: the kernel counts.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".probes")]
static RAWBPF_TEST_SEMAPHORE: AtomicU16 = AtomicU16::new(0);

/// A note for tools, about a probe at this place: its arguments, as this machine's assembler writes operands.
macro_rules! note {
    ($nop:literal, $arguments:literal) => {
        concat!(
            "990: ",
            $nop,
            "\n",
            ".pushsection .note.stapsdt,\"\",\"note\"\n",
            ".balign 4\n",
            ".4byte 992f-991f, 994f-993f, 3\n",
            "991: .asciz \"stapsdt\"\n",
            "992: .balign 4\n",
            "993: .8byte 990b\n",
            ".8byte _.stapsdt.base\n",
            ".8byte RAWBPF_TEST_SEMAPHORE\n",
            ".asciz \"rawbpf_test\"\n",
            ".asciz \"args\"\n",
            ".asciz \"",
            $arguments,
            "\"\n",
            "994: .balign 4\n",
            ".popsection\n",
            ".ifndef _.stapsdt.base\n",
            ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n",
            ".weak _.stapsdt.base\n",
            ".hidden _.stapsdt.base\n",
            "_.stapsdt.base: .space 1\n",
            ".size _.stapsdt.base, 1\n",
            ".popsection\n",
            ".endif",
        )
    };
}

/// A probe with arguments in a register, in half of one, in memory, in memory by two registers, a
/// constant, and one that no program can read.
#[inline(never)]
fn fire(a: u64, b: i32, memory: &[i64; 4], index: usize) {
    let m = memory.as_ptr();
    // SAFETY: the only instruction does nothing; the rest makes a note for tools.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            note!("nop", "8@{a} -4@{b:e} 8@16({m}) 8@({m},{i},8) -4@$-5 8f@%xmm0"),
            a = in(reg) a, b = in(reg) b, m = in(reg) m, i = in(reg) index, options(att_syntax, nostack),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            note!("nop", "8@{a} -4@{b:w} 8@[{m}, 16] 8@[{m}, {i}, lsl 3] -4@-5 8f@d0"),
            a = in(reg) a, b = in(reg) b, m = in(reg) m, i = in(reg) index, options(nostack),
        );
    }
    // SAFETY: as above. Operands have no scale here, and their registers are those that can be addresses.
    #[cfg(target_arch = "s390x")]
    unsafe {
        std::arch::asm!(
            note!("nopr", "8@{a} -4@{b} 8@16({m}) 8@({i},{m}) -4@-5 8f@%f0"),
            a = in(reg_addr) a, b = in(reg_addr) b, m = in(reg_addr) m, i = in(reg_addr) index * 8,
            options(nostack),
        );
    }
}

const BAD: u64 = 0xbad;

fn listeners() -> u16 {
    RAWBPF_TEST_SEMAPHORE.load(Ordering::Relaxed)
}

/// The kernel takes what was detached away in the background.
fn nobody_listens() {
    for _ in 0..250 {
        if listeners() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{} still listen", listeners());
}

/// Attaches to this process: before 5.15 there is no other way.
fn probe(cookie: u64) -> Target {
    let (file, provider, name) = ("/proc/self/exe".into(), "rawbpf_test".into(), "args".into());
    Target::Usdt(Usdt { file, provider, name, pid: Some(std::process::id()), cookie })
}

/// The arguments as a program saw them.
fn arguments(loaded: &Loaded) -> Vec<u64> {
    (4..10).map(|n| seen(loaded, n)).collect()
}

#[test]
fn arguments_by_the_older_layout() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("usdt", &[]).expect("it loads");
        let program = loaded.program("on_args").expect("it was loaded");
        nobody_listens();
        let link = require!(UPROBE, links::attach_on(kernel(), program, &probe(77)));
        // The kernel counts each mapping of the file; a printed backtrace leaves a second one.
        assert!(listeners() >= 1);
        fire(1 << 40, -2, &[10, 20, 30, 40], 3);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1), seen(&loaded, 2)), (1, 6, 77));
        // No argument by two registers in this layout.
        assert_eq!(arguments(&loaded), [1 << 40, -2i64 as u64, 30, BAD, -5i64 as u64, BAD]);
        let note = link.note().expect("two arguments cannot be read");
        assert!(
            note.contains("argument 3 is in memory by two registers") && note.contains("argument 5 (`8f@"),
            "{note}"
        );
        drop(link);
        nobody_listens();
        fire(1, 1, &[0; 4], 0);
        assert_eq!(seen(&loaded, 0), 1);
    });
}

#[test]
fn arguments_by_the_newer_layout() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("usdt_sib", &[]).expect("it loads");
        let program = loaded.program("on_args").expect("it was loaded");
        let link = require!(UPROBE, links::attach_on(kernel(), program, &probe(78)));
        fire(1 << 40, -2, &[10, 20, 30, 40], 3);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 1), seen(&loaded, 2)), (1, 6, 78));
        assert_eq!(arguments(&loaded), [1 << 40, -2i64 as u64, 30, 40, -5i64 as u64, BAD]);
        drop(link);
    });
}

#[test]
fn in_all_processes_by_its_section() {
    require!(ROOT);
    leaves_nothing(|| {
        let loaded = load("usdt", &[]).expect("it loads");
        let link = require!(UPROBE_MULTI, auto(&loaded, "on_args"));
        fire(5, 6, &[1, 2, 3, 4], 0);
        assert_eq!((seen(&loaded, 0), seen(&loaded, 4), seen(&loaded, 5)), (1, 5, 6));
        drop(link);
    });
}

/// From the command line: one process, or another.
#[test]
fn in_one_process() {
    use crate::gate::PERF_LINK;
    use crate::net::{in_namespace, mount_bpffs, object, rawbpf_json, rawbpf_ok};
    require!(ROOT);
    require!(PERF_LINK, kernel().has(rawbpf::kernel::Feature::PerfLink).allows());
    let exe = std::env::current_exe().expect("it has a path");
    let mine = std::process::id();
    leaves_nothing(|| {
        in_namespace(|| {
            mount_bpffs();
            let mut other = std::process::Command::new("sleep").arg("1000").spawn().expect("it starts");
            let counts = |pid: u32| {
                let hook = format!("on_args=usdt/{}:rawbpf_test:args", exe.display());
                let (set, pid) = (format!("pid={mine}"), pid.to_string());
                let load = ["load", &object("usdt.o"), "--name", "usdt_pid", "--set", &set, "--pid", &pid];
                let said = rawbpf_ok(&[&load[..], &["--cookie", "79", "--attach", &hook]].concat());
                assert!(said.contains(&format!("in process {pid}")), "{said}");
                fire(7, -2, &[10, 20, 30, 40], 3);
                let dump = rawbpf_json(&["map", "dump", "/sys/fs/bpf/rawbpf/usdt_pid/maps/_bss"]);
                rawbpf_ok(&["unload", "usdt_pid"]);
                let seen = &dump["elements"][0]["value"]["seen"];
                [&seen[0], &seen[2], &seen[4]].map(|n| n.as_u64().unwrap_or_else(|| panic!("{dump}")))
            };
            let here = counts(mine);
            let there = counts(other.id());
            let _ = other.kill();
            let _ = other.wait();
            assert_eq!((here, there), ([1, 79, 7], [0, 0, 0]));
        });
        nobody_listens();
    });
}

#[test]
fn places_for_arguments_are_given_back() {
    require!(ROOT);
    leaves_nothing(|| {
        let mut small = object("usdt");
        small.map_mut("__bpf_usdt_specs").expect("it has it").max_entries = 4;
        let loaded = load_object(small, &[]).expect("it loads");
        let program = loaded.program("on_args").expect("it was loaded");
        // More cookies than the map has room for.
        for cookie in 0..6 {
            drop(require!(UPROBE, links::attach_on(kernel(), program, &probe(cookie))));
        }
        let specs = loaded.map("__bpf_usdt_specs").expect("it has it");
        let mut used = 0;
        specs.for_each(|_, value| used += usize::from(value.iter().any(|&b| b != 0))).expect("it is read");
        assert_eq!(used, 0);
    });
}

#[test]
fn a_probe_that_a_file_does_not_have() {
    require!(ROOT);
    let loaded = load("usdt", &[]).expect("it loads");
    let fail = |hook: &str| attach(&loaded, "on_args", hook).expect_err("there is none").to_string();
    assert_eq!(
        fail("usdt//proc/self/exe:rawbpf_test:arg"),
        "cannot attach `on_args` to usdt//proc/self/exe:rawbpf_test:arg: there is no USDT probe `rawbpf_test:arg` in /proc/self/exe (nearest: rawbpf_test:args)"
    );
    let other = load("kprobe", &["anywhere"]).expect("it loads");
    let target = probe(0);
    let e =
        links::attach_on(kernel(), other.program("anywhere").expect("loaded"), &target).expect_err("no map");
    assert!(
        e.to_string().ends_with(
            "the program has no map `__bpf_usdt_specs`: include <bpf/usdt.bpf.h>, and read an argument"
        ),
        "{e}"
    );
}
