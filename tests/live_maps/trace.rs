//! What programs print, and which program it was.

use std::time::{Duration, Instant};

use super::{load, run};
use crate::gate::{JIT, ROOT, STACKTRACE, TRACE_INSTANCE, require};
use rawbpf::events::{TraceEvent, TracePipe};

/// What this thread made the program print: other tests do too.
fn wait_for(pipe: &mut TracePipe, count: usize) -> Vec<TraceEvent> {
    let me = nix::unistd::gettid().as_raw() as u32;
    let (mut found, begin) = (Vec::new(), Instant::now());
    while found.len() < count && begin.elapsed() < Duration::from_secs(10) {
        while let Some(event) = pipe.next_event().expect("read") {
            if event.pid == me && event.message.starts_with("hello from 64 bytes") {
                found.push(event);
            }
        }
        pipe.poll(Some(Duration::from_millis(100))).expect("poll");
    }
    found
}

#[test]
fn what_a_program_prints_comes_with_its_name() {
    require!(ROOT);
    let loaded = load("print");
    let program = loaded.program("print_hello").expect("it is there");
    let mut pipe = require!(TRACE_INSTANCE, TracePipe::private());
    require!(TRACE_INSTANCE, pipe.is_private());
    let mut other = TracePipe::private().expect("a second reader");
    run(program, 3);
    let found = wait_for(&mut pipe, 3);
    assert_eq!(found.len(), 3);
    assert_eq!(wait_for(&mut other, 3).len(), 3, "a reader takes nothing away from another");
    let event = &found[0];
    // The emulated interpreter of the tests' thread name is cut to 15 letters.
    assert_eq!(event.cpu, found[1].cpu);
    assert!(event.time_ns <= found[1].time_ns && event.pid != 0);
    let info = program.info().expect("info");
    // Only machine code has a symbol of its own.
    require!(JIT, info.jited_size > 0);
    let from = event.program.as_ref();
    require!(STACKTRACE, from.is_some());
    let from = from.expect("checked");
    assert_eq!((from.tag.clone(), from.name.as_str()), (info.tag_hex(), "print_hello"));
}

#[test]
fn the_machines_own_trace_is_read() {
    require!(ROOT);
    let loaded = load("print");
    let mut pipe = require!(TRACE_INSTANCE, TracePipe::global());
    run(loaded.program("print_hello").expect("it is there"), 2);
    let found = wait_for(&mut pipe, 2);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].program, None);
}

#[test]
fn an_instance_goes_with_its_reader() {
    require!(ROOT);
    let pipe = require!(TRACE_INSTANCE, TracePipe::private());
    let mine = format!("rawbpf-{}-", std::process::id());
    let count = || {
        let dirs =
            std::fs::read_dir("/sys/kernel/tracing/instances").expect("tracefs").filter_map(Result::ok);
        dirs.filter(|d| d.file_name().to_string_lossy().starts_with(&mine)).count()
    };
    let before = count();
    assert!(before >= 1);
    drop(pipe);
    assert!(count() < before);
}
