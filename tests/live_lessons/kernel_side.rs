//! What the kernel gives: fields of its types, symbols, functions of modules, programs that make system calls.

use std::os::fd::{FromRawFd as _, OwnedFd};

use super::{kernel, load, load_object, object};
use crate::gate::{
    BTF, CONNTRACK, KSYM_VARIABLE, RAW_TP_RUN, ROOT, SLEEPABLE_UPROBE, SYSCALL_PROGRAM, require,
};
use crate::net::in_namespace;
use rawbpf::sys::TestRun;
use rawbpf::uapi::MapType;
use rawbpf::{Map, Options};

#[test]
fn fields_types_and_values_of_this_kernel() {
    require!(ROOT);
    require!(BTF, kernel().btf());
    let lesson = load("core").expect("it loads");
    require!(RAW_TP_RUN, lesson.loaded.program("look").expect("loaded").test_run(&TestRun::default()));
    let (process, thread) = (i64::from(std::process::id()), i64::from(nix::unistd::gettid().as_raw()));
    // A list head is two pointers, an array map is type 2.
    assert_eq!(lesson.numbers("found", 4), [process, thread, process, 16, 2, 7, 0]);
}

#[test]
fn symbols_by_address_and_by_type() {
    require!(ROOT);
    require!(BTF, kernel().btf());
    let lesson = require!(KSYM_VARIABLE, load("ksyms"));
    require!(RAW_TP_RUN, lesson.loaded.program("look").expect("loaded").test_run(&TestRun::default()));
    let address = kernel().symbols().named("schedule").next().expect("every kernel has it").address;
    assert_eq!(lesson.number("address") as u64, address);
    assert_eq!((lesson.number("lost"), lesson.number("cpu_found")), (0, 1));
    // How many programs run on that CPU right now: small, and no longer what it was before.
    assert!((0..100).contains(&lesson.number("active")), "{}", lesson.number("active"));
}

#[test]
fn a_function_of_a_module_is_called() {
    require!(ROOT);
    in_namespace(|| {
        let lesson = require!(CONNTRACK, load("conntrack"));
        // Nobody knows a connection from nowhere to nowhere.
        assert_eq!(lesson.xdp("look_up", 64), libc::ENOENT);
    });
}

#[test]
fn a_program_makes_a_map() {
    require!(ROOT);
    let lesson = require!(SYSCALL_PROGRAM, load("syscall"));
    let order = [5i32, -1, -1].map(i32::to_ne_bytes).concat();
    let program = lesson.loaded.program("make_map").expect("it is loaded");
    // The order is written in place, so it is given and taken by the same call.
    let ran = program.test_run(&TestRun { ctx: order, ..TestRun::default() }).expect("it runs");
    let answer: Vec<i32> = ran.ctx.chunks(4).map(|b| i32::from_ne_bytes(b.try_into().expect("4"))).collect();
    assert_eq!((ran.retval, answer[2]), (0, 0));
    assert!(answer[1] > 2, "{answer:?}");
    // SAFETY: the program opened it in this process, and nobody else knows of it.
    let map = Map::from_fd(unsafe { OwnedFd::from_raw_fd(answer[1]) }).expect("a map");
    assert_eq!((map.info().map_type, map.info().max_entries), (MapType::Array, 5));
}

/// What is watched.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn rawbpf_lesson_sleep(n: u64) -> u64 {
    std::hint::black_box(n)
}

#[test]
fn a_program_that_may_sleep_reads_memory_that_is_not_there_yet() {
    require!(ROOT);
    // A page of a file that nobody has looked at: only who may sleep can have it brought in.
    let mut file = tempfile::tempfile().expect("a file");
    std::io::Write::write_all(&mut file, &0x1234_5678_9abc_u64.to_ne_bytes()).expect("written");
    let (size, private) = (4096.try_into().expect("not 0"), nix::sys::mman::MapFlags::MAP_PRIVATE);
    // SAFETY: a new mapping, which only the program reads.
    let page =
        unsafe { nix::sys::mman::mmap(None, size, nix::sys::mman::ProtFlags::PROT_READ, private, &file, 0) };
    let page = page.expect("it is mapped");
    let mut sleepable = object("sleepable");
    for (name, value) in [("pid", u64::from(std::process::id())), ("where", page.as_ptr() as u64)] {
        sleepable.global(name).expect("it has it").set(value).expect("a number");
    }
    let lesson = require!(SLEEPABLE_UPROBE, load_object(sleepable, &Options::default()));
    let program = lesson.loaded.program("read_memory").expect("it is loaded");
    let link = require!(SLEEPABLE_UPROBE, rawbpf::links::auto(kernel(), program));
    rawbpf_lesson_sleep(1);
    assert_eq!(lesson.numbers("seen", 8)[..3], [1, 0x1234_5678_9abc, 0]);
    // SAFETY: the mapping from above, which nobody uses any more.
    unsafe { nix::sys::mman::munmap(page, 4096) }.expect("unmapped");
    drop(link);
}
