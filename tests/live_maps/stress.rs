//! Producers on all CPUs and a slow reader: what was produced is what was read and what was counted as lost.

use std::collections::HashMap as StdMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::events::Event;
use super::{load, map, run};
use crate::gate::{ROOT, require};
use crate::net::stay_on;
use rawbpf::Program;
use rawbpf::events::{PerfBuffer, PerfOptions, PerfRecord, RingBuf};
use rawbpf::maps::{PerCpuArray, Plain as _};
use rawbpf::sys;

rawbpf::plain! {
    /// `struct counts` of bpf/ring_events.bpf.c.
    #[derive(Debug)]
    struct Counts { sent: u64, taken_back: u64, dropped: u64 }
}

/// How often the reader lets the buffer fill up.
const ROUNDS: u32 = 10;

/// Runs the program on every CPU from a thread of its own for as long as `read` takes; how often it ran.
fn produce(program: &Program, read: impl FnOnce()) -> u64 {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let done = &done;
        let producer = |cpu: u32| {
            move || {
                stay_on(cpu as usize);
                let mut runs = 0;
                while !done.load(Ordering::SeqCst) {
                    run(program, 500);
                    runs += 500;
                }
                runs
            }
        };
        let producers: Vec<_> = sys::online_cpus()
            .expect("sysfs tells")
            .into_iter()
            .map(|cpu| scope.spawn(producer(cpu)))
            .collect();
        read();
        done.store(true, Ordering::SeqCst);
        producers.into_iter().map(|p| p.join().expect("it ran")).sum()
    })
}

/// The slow reader: sleeps until it is too late.
fn sleep_until(full: impl Fn() -> bool) {
    let begin = Instant::now();
    while !full() && begin.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(5));
}

#[test]
fn a_ring_buffer_loses_nothing_unseen() {
    require!(ROOT);
    let loaded = load("ring_events");
    let mut ring = RingBuf::new(map(&loaded, "events")).expect("mapped");
    let program = loaded.program("send_event").expect("it is there");
    let (mut read, mut last) = (0u64, StdMap::<u32, u64>::new());
    let mut each = |record: &[u8]| {
        let event = Event::read(record).expect("an event");
        assert_eq!((record.len(), event.size), (16, 16), "a torn record");
        // In the order of each CPU, nothing twice.
        if let Some(before) = last.insert(event.cpu, event.nth) {
            assert!(event.nth > before, "{} after {before} on CPU {}", event.nth, event.cpu);
        }
        read += 1;
    };
    let runs = produce(program, || {
        for _ in 0..ROUNDS {
            sleep_until(|| ring.positions().fill() > 0.99);
            assert!(ring.poll(None).expect("poll"));
            // Not all: producers and reader meet in the middle of the ring too.
            for _ in 0..1000 {
                each(&ring.next().expect("it was full"));
            }
        }
    });
    ring.consume(&mut each);
    let counts = PerCpuArray::<Counts>::try_from(map(&loaded, "event_counts")).expect("its type");
    let counts = counts.get(0).expect("get").expect("there");
    let sum = |f: fn(&Counts) -> u64| counts.iter().map(f).sum::<u64>();
    let (sent, taken_back, dropped) = (sum(|c| c.sent), sum(|c| c.taken_back), sum(|c| c.dropped));
    eprintln!("{runs} runs: {sent} sent, {taken_back} taken back, {dropped} dropped; {read} read");
    assert_eq!(sent + taken_back + dropped, runs, "every run was counted");
    assert_eq!(read, sent, "what was sent was read");
    assert!(dropped > 0, "the reader was not slow enough to try anything");
    assert_eq!(ring.positions().lag(), 0);
}

#[test]
fn a_perf_buffer_loses_nothing_unseen() {
    require!(ROOT);
    let loaded = load("perf_events");
    let options = PerfOptions { pages: 4, ..PerfOptions::default() };
    let mut buffer = PerfBuffer::new(map(&loaded, "events"), options).expect("opened");
    let program = loaded.program("send_event").expect("it is there");
    let (mut read, mut last) = (0u64, StdMap::<u32, u64>::new());
    let mut each = |event: PerfRecord<'_>| {
        let PerfRecord::Sample { cpu, data } = event else { return };
        let event = Event::read(data).expect("an event");
        assert_eq!((event.cpu, event.size), (cpu, 16), "a torn record");
        if let Some(before) = last.insert(event.cpu, event.nth) {
            assert!(event.nth > before, "{} after {before} on CPU {}", event.nth, event.cpu);
        }
        read += 1;
    };
    let mut runs = produce(program, || {
        for _ in 0..ROUNDS {
            sleep_until(|| buffer.fill().all(|(_, used, size)| used + 64 > size));
            assert!(buffer.poll(None).expect("poll"));
            for _ in 0..200 {
                each(buffer.next().expect("it was full"));
            }
        }
    });
    buffer.consume(&mut each);
    // The kernel tells of the last losses with the next event on each CPU.
    for cpu in sys::online_cpus().expect("sysfs tells") {
        stay_on(cpu as usize);
        run(program, 1);
        runs += 1;
    }
    buffer.consume(&mut each);
    let tried = PerCpuArray::<u64>::try_from(map(&loaded, "tried")).expect("its type");
    let tried: u64 = tried.get(0).expect("get").expect("there").sum();
    eprintln!("{runs} runs: {read} read, {} lost", buffer.lost());
    assert_eq!(tried, runs, "every run was counted");
    assert_eq!(read + buffer.lost(), runs, "what was not read was counted as lost");
    assert!(buffer.lost() > 0, "the reader was not slow enough to try anything");
}
