//! Stack traces that a program took, with names.

use super::{load_with, map};
use crate::gate::{ROOT, STACKTRACE, require};
use rawbpf::Kernel;
use rawbpf::maps::{Array, Frames, StackTraces};
use rawbpf::symbolize::{KernelSymbols, ProcessSymbols};
use rawbpf::sys::TestRun;

/// The frames of the traces that bpf/stacks.bpf.c takes: the kernel's and this process's.
fn traces() -> Option<[Vec<u64>; 2]> {
    // The map keeps one trace in each bucket and refuses another one there: with few buckets kernel's and process's meet
    // now and then, by the addresses that this process happened to get.
    let loaded = load_with("stacks", |object| {
        for map in object.maps.iter_mut().filter(|m| m.name == "stacks") {
            map.max_entries = 1 << 13;
        }
    });
    let program = loaded.program("take_stacks").expect("it is there");
    program.test_run(&TestRun::default()).expect("it runs");
    let ids = Array::<i64>::try_from(map(&loaded, "stack_ids")).expect("its type");
    let stacks = StackTraces::try_from(map(&loaded, "stacks")).expect("its type");
    let mut both = [0, 1].map(|at| {
        let id = ids.get(at).expect("get").expect("there");
        let id = u32::try_from(id).ok()?;
        assert!(stacks.ids().expect("list").contains(&id));
        match stacks.get(id).expect("get").expect("there") {
            Frames::Addresses(frames) => Some(frames),
            other => panic!("{other:?}"),
        }
    });
    Some([both[0].take()?, both[1].take().unwrap_or_default()])
}

#[test]
fn a_kernel_stack_has_the_kernels_names() {
    require!(ROOT);
    let [kernel, _] = require!(STACKTRACE, traces().ok_or("no stack was taken"));
    let symbols = KernelSymbols::new(Kernel::host().symbols());
    let names: Vec<String> = kernel.iter().map(|a| symbols.frame(*a).to_string()).collect();
    assert!(!names.is_empty());
    // The program was run by the system call.
    assert!(names.iter().any(|n| n.contains("sys_bpf")), "{names:#?}");
}

#[test]
fn a_process_stack_has_its_files_names() {
    require!(ROOT);
    let mut symbols = ProcessSymbols::of(std::process::id()).expect("this process");
    let here = a_process_stack_has_its_files_names as fn() as usize as u64;
    let frame = symbols.frame(here);
    let (name, offset) = frame.symbol.expect("the test binary has its symbols");
    assert!(name.contains("a_process_stack_has_its_files_names") && offset == 0, "{name}+{offset}");
    let [_, user] = require!(STACKTRACE, traces().ok_or("no stack was taken"));
    // Without frame pointers there is one frame; it is in a file all the same.
    let first = user.first().map(|a| symbols.frame(*a));
    assert!(first.is_some_and(|f| f.file.is_some()), "{user:x?}");
}

#[test]
fn what_is_nowhere_stays_a_number() {
    let mut symbols = ProcessSymbols::of(std::process::id()).expect("this process");
    assert_eq!(symbols.frame(16).to_string(), "0x10");
    assert!(ProcessSymbols::of(u32::MAX).is_err());
}
