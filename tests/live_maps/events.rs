//! Each event channel: what is sent comes, what does not is said.

use std::time::Duration;

use super::{load, make, map, run};
use crate::gate::{GUEST, HOTPLUG, JIT, RB_OVERWRITE, RINGBUF, ROOT, STREAMS, USER_RINGBUF, require};
use crate::net::stay_on;
use rawbpf::events::{
    PerfBuffer, PerfOptions, PerfRecord, ProgStream, RingBuf, RingSet, StreamKind, UserRingBuf,
};
use rawbpf::insn::{Asm, R0};
use rawbpf::maps::{Array, Builder, MapError, Mismatch, Plain as _};
use rawbpf::sys::map::flags;
use rawbpf::sys::{self, Errno};
use rawbpf::uapi::MapType;
use rawbpf::{Loaded, Program};

rawbpf::plain! {
    /// `struct event` of bpf/ring_events.bpf.c and bpf/perf_events.bpf.c.
    #[derive(Debug, PartialEq)]
    pub(super) struct Event { pub(super) nth: u64, pub(super) cpu: u32, pub(super) size: u32 }
}

const SOON: Option<Duration> = Some(Duration::from_secs(5));
const NOW: Option<Duration> = Some(Duration::ZERO);
/// Bytes of the ring that an event takes.
const TAKES: u64 = 24;

fn sender(loaded: &Loaded) -> &Program {
    loaded.program("send_event").expect("it is in the object")
}

#[test]
fn a_ring_gives_what_was_sent_in_its_order() {
    require!(ROOT);
    stay_on(0);
    let loaded = load("ring_events");
    let mut ring = RingBuf::new(map(&loaded, "events")).expect("mapped");
    assert!(ring.next().is_none());
    assert!(!ring.poll(NOW).expect("poll"));
    run(sender(&loaded), 20);
    assert!(ring.poll(SOON).expect("poll"));
    assert_eq!(ring.positions().lag(), 20 * TAKES);
    let mut seen = Vec::new();
    while let Some(record) = ring.next() {
        let event: &Event = record.cast().expect("an event");
        assert_eq!((record.len(), event.size, event.cpu), (16, 16, 0));
        seen.push(event.nth);
    }
    // Every eighth was discarded.
    assert_eq!(seen, (0..20).filter(|n| n % 8 != 7).collect::<Vec<u64>>());
    let positions = ring.positions();
    assert_eq!((positions.lag(), positions.consumer, positions.size), (0, 20 * TAKES, 65536));
    assert!(!ring.poll(NOW).expect("poll"));
}

#[test]
fn a_ring_goes_round() {
    require!(ROOT);
    stay_on(0);
    let loaded = load("ring_events");
    let mut ring = RingBuf::new(map(&loaded, "events")).expect("mapped");
    let mut next = 0;
    // 3 times 65536 bytes, in pieces that do not divide it.
    for _ in 0..100 {
        run(sender(&loaded), 83);
        let count = ring.consume(|record| {
            let event = Event::read(record).expect("an event");
            next += u64::from(next % 8 == 7);
            assert_eq!(event.nth, next);
            next += 1;
        });
        assert!(count > 70, "{count}");
    }
    assert_eq!(next, 8300);
}

#[test]
fn a_full_ring_drops_and_goes_on() {
    require!(ROOT);
    stay_on(0);
    let loaded = load("ring_events");
    let mut ring = RingBuf::new(map(&loaded, "events")).expect("mapped");
    let fits = 65536 / TAKES;
    run(sender(&loaded), 10_000);
    assert!(ring.positions().fill() > 0.99, "{:?}", ring.positions());
    let first = ring.consume(|_| {});
    assert_eq!(first, fits - fits / 8);
    run(sender(&loaded), 1);
    let mut last = 0;
    ring.consume(|record| last = Event::read(record).expect("an event").nth);
    assert_eq!(last, 10_000);
}

#[test]
fn records_that_are_left_stay_for_the_next_consumer() {
    require!(ROOT);
    stay_on(0);
    let loaded = load("ring_events");
    run(sender(&loaded), 5);
    let nth = |ring: &mut RingBuf| Event::read(&ring.next().expect("a record")).map(|e| e.nth);
    let mut first = RingBuf::new(map(&loaded, "events")).expect("mapped");
    assert_eq!((nth(&mut first), nth(&mut first)), (Some(0), Some(1)));
    drop(first);
    let mut second = RingBuf::new(map(&loaded, "events")).expect("mapped");
    assert_eq!(nth(&mut second), Some(2));
}

#[test]
fn several_rings_are_read_together() {
    require!(ROOT);
    stay_on(0);
    let (one, two) = (load("ring_events"), load("ring_events"));
    let mut rings = RingSet::new().expect("epoll");
    let first = rings.add(RingBuf::new(map(&one, "events")).expect("mapped")).expect("added");
    let second = rings.add(RingBuf::new(map(&two, "events")).expect("mapped")).expect("added");
    assert_eq!(rings.poll(NOW, |_, _| panic!("nothing was sent")).expect("poll"), 0);
    run(sender(&two), 3);
    let mut seen = Vec::new();
    rings.poll(SOON, |ring, record| seen.push((ring, record.len()))).expect("poll");
    assert_eq!(seen, [(second, 16); 3]);
    run(sender(&one), 1);
    run(sender(&two), 1);
    let mut seen = Vec::new();
    rings.consume(|ring, _| seen.push(ring));
    assert_eq!(seen, [first, second]);
}

#[test]
fn only_a_ring_buffer_is_read_as_one() {
    require!(ROOT);
    let loaded = load("ring_events");
    let Err(MapError::Mismatch { mismatch: Mismatch::Type { found, .. }, .. }) =
        RingBuf::new(map(&loaded, "event_counts"))
    else {
        panic!("no ring buffer")
    };
    assert_eq!(found, MapType::PercpuArray);
}

#[test]
fn an_overwritten_ring_keeps_the_newest() {
    require!(ROOT);
    stay_on(0);
    let builder = Builder::new(MapType::Ringbuf, "events").max_entries(4096).flags(flags::RB_OVERWRITE);
    let ring = require!(RB_OVERWRITE, make(&builder));
    let loaded = super::load_with("ring_events", |object| {
        let def = object.map_mut("events").expect("it is there");
        (def.flags, def.max_entries) = (flags::RB_OVERWRITE, 4096);
    });
    drop(ring);
    let mut ring = RingBuf::new(map(&loaded, "events")).expect("mapped");
    run(sender(&loaded), 1000);
    let mut seen = Vec::new();
    ring.consume(|record| seen.push(Event::read(record).expect("an event").nth));
    let lost = ring.positions().lost;
    assert_eq!(lost % TAKES, 0, "whole records are overwritten");
    assert_eq!(seen, (lost / TAKES..1000).filter(|n| n % 8 != 7).collect::<Vec<u64>>());
    assert!(seen.len() as u64 > 4096 / TAKES * 7 / 8 - 3, "{}", seen.len());
}

#[test]
fn a_program_takes_what_user_space_sends() {
    require!(ROOT);
    require!(USER_RINGBUF, make(&Builder::new(MapType::UserRingbuf, "orders")));
    // The program takes what was sent in a callback, and the interpreter has none.
    require!(JIT);
    let loaded = load("orders");
    let mut orders = UserRingBuf::new(map(&loaded, "orders")).expect("mapped");
    let taken = Array::<u64>::try_from(map(&loaded, "taken")).expect("array");
    for n in [1u64, 2, 3] {
        assert!(orders.push(&n).expect("push"));
    }
    let void = orders.reserve(8).expect("reserve").expect("room");
    drop(void);
    let mut late = orders.reserve(8).expect("reserve").expect("room");
    late.copy_from_slice(100u64.bytes());
    late.commit();
    assert_eq!(run(loaded.program("take_orders").expect("it is there"), 1), 4);
    assert_eq!((taken.get(0).expect("get"), taken.get(1).expect("get")), (Some(4), Some(106)));
    assert_eq!(orders.fill(), (0, 4096));
    assert_eq!(orders.reserve(5000).expect_err("it never fits").errno, Errno::E2BIG);
    while orders.push(&1u64).expect("push") {}
    assert!(orders.reserve(8).expect("reserve").is_none());
    assert!(orders.reserve_wait(8, Some(Duration::from_millis(20))).expect("reserve").is_none());
    std::thread::scope(|scope| {
        scope.spawn(|| run(loaded.program("take_orders").expect("it is there"), 1));
        let slot = orders.reserve_wait(8, SOON).expect("reserve").expect("the program makes room");
        slot.discard();
    });
}

fn perf(loaded: &Loaded, pages: usize) -> PerfBuffer {
    let options = PerfOptions { pages, ..PerfOptions::default() };
    PerfBuffer::new(map(loaded, "events"), options).expect("opened")
}

#[test]
fn a_perf_buffer_gives_what_was_sent_on_each_cpu() {
    require!(ROOT);
    let loaded = load("perf_events");
    let mut buffer = perf(&loaded, 8);
    let cpus = sys::online_cpus().expect("sysfs tells");
    assert_eq!(buffer.cpus().collect::<Vec<_>>(), cpus);
    assert!(!buffer.poll(NOW).expect("poll"));
    for cpu in &cpus {
        stay_on(*cpu as usize);
        assert_eq!(run(sender(&loaded), 300), 2, "XDP_PASS: it found room");
    }
    let mut next = vec![0; cpus.len()];
    while buffer.poll(NOW).expect("poll") {
        while let Some(event) = buffer.next() {
            let PerfRecord::Sample { cpu, data } = event else { panic!("{event:?}") };
            let event = Event::read(data).expect("an event");
            let at = cpus.iter().position(|c| *c == cpu).expect("a CPU");
            assert_eq!((event.nth, event.cpu), (next[at], cpu));
            next[at] += 1;
        }
    }
    assert_eq!(next, vec![300; cpus.len()]);
    assert_eq!(buffer.lost(), 0);
}

#[test]
fn a_full_perf_buffer_counts_what_it_loses() {
    require!(ROOT);
    stay_on(0);
    let loaded = load("perf_events");
    let mut buffer = perf(&loaded, 1);
    assert_eq!(run(sender(&loaded), 1000), 1, "XDP_DROP: no room");
    let first = buffer.consume(|_| {});
    assert!((50..200).contains(&first), "{first} of 4096 bytes");
    // The kernel says what was lost with the next event that finds room.
    run(sender(&loaded), 1);
    let mut lost = 0;
    let second = buffer.consume(|event| {
        if let PerfRecord::Lost { count, .. } = event {
            lost += count;
        }
    });
    assert_eq!((second, lost, buffer.lost()), (1, 1000 - first, 1000 - first));
}

#[test]
fn cpus_that_come_and_go_are_followed() {
    require!(ROOT);
    require!(GUEST);
    let switch = "/sys/devices/system/cpu/cpu1/online";
    require!(HOTPLUG, std::path::Path::new(switch).exists());
    stay_on(0);
    let loaded = load("perf_events");
    let options = PerfOptions { rescan: Some(Duration::ZERO), ..PerfOptions::default() };
    let mut buffer = PerfBuffer::new(map(&loaded, "events"), options).expect("opened");
    for round in 0..2 {
        std::fs::write(switch, "0").expect("off");
        buffer.poll(NOW).expect("poll");
        assert_eq!(buffer.cpus().collect::<Vec<_>>(), [0], "round {round}");
        std::fs::write(switch, "1").expect("on");
        buffer.poll(NOW).expect("poll");
        assert_eq!(buffer.cpus().collect::<Vec<_>>(), [0, 1], "round {round}");
        stay_on(1);
        assert_eq!(run(sender(&loaded), 1), 2, "round {round}");
        stay_on(0);
        assert!(buffer.poll(SOON).expect("poll"));
        assert!(matches!(buffer.next(), Some(PerfRecord::Sample { cpu: 1, .. })), "round {round}");
        assert!(buffer.next().is_none());
    }
}

#[test]
fn a_cpu_that_went_and_came_unseen_is_opened_anew() {
    require!(ROOT);
    require!(GUEST);
    let switch = "/sys/devices/system/cpu/cpu1/online";
    require!(HOTPLUG, std::path::Path::new(switch).exists());
    stay_on(0);
    let loaded = load("perf_events");
    let options = PerfOptions { rescan: Some(Duration::from_millis(1)), ..PerfOptions::default() };
    let mut buffer = PerfBuffer::new(map(&loaded, "events"), options).expect("opened");
    std::fs::write(switch, "0").expect("off");
    std::fs::write(switch, "1").expect("on");
    for _ in 0..3 {
        buffer.poll(Some(Duration::from_millis(5))).expect("poll");
    }
    stay_on(1);
    assert_eq!(run(sender(&loaded), 1), 2, "XDP_PASS: somebody reads on this CPU");
    stay_on(0);
    assert_eq!(buffer.consume(|_| {}), 1);
}

#[test]
fn streams_of_a_runtime_give_what_was_sent() {
    require!(ROOT);
    stay_on(0);
    let (rings, perfs) = (load("ring_events"), load("perf_events"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ring = RingBuf::new(map(&rings, "events")).expect("mapped");
        let mut ring = rawbpf::events::RingStream::new(ring).expect("a stream");
        let mut perf = rawbpf::events::PerfStream::new(perf(&perfs, 8)).expect("a stream");
        for round in 0..3 {
            let (rings, perfs) = (&rings, &perfs);
            let send = async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                run(sender(rings), 2);
                run(sender(perfs), 2);
            };
            let read = async {
                for nth in 0..2 {
                    let record = next(&mut ring).await.expect("a record");
                    assert_eq!(Event::read(&record).map(|e| e.nth), Some(round * 2 + nth));
                    let event = next(&mut perf).await.expect("an event");
                    assert!(
                        matches!(event, rawbpf::events::PerfRecordOwned::Sample { cpu: 0, .. }),
                        "{event:?}"
                    );
                }
            };
            tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(send, read) })
                .await
                .expect("in time");
        }
    });
}

/// The next item of a stream.
async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> S::Item {
    let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx));
    next.await.expect("streams of events do not end")
}

#[test]
fn a_program_stream_has_the_kernels_reports() {
    require!(ROOT);
    // A loop without an end: the kernel stops it after a quarter of a second, and says so.
    let mut a = Asm::named("spin");
    let (top, out) = (a.label(), a.label());
    a.bind(top).may_goto(out).jump(top).bind(out).mov64(R0, 2).exit();
    let program = require!(STREAMS, super::assembled(&mut a));
    let mut stream = require!(STREAMS, ProgStream::new(&program, StreamKind::Err));
    assert_eq!(stream.read_now().expect("read"), b"");
    run(&program, 1);
    let text = String::from_utf8(stream.read_now().expect("read")).expect("text");
    // Not on every build of a kernel that has streams.
    require!(STREAMS, if text.is_empty() { Err("the kernel reports nothing") } else { Ok(()) });
    assert!(text.contains("Timeout detected for may_goto"), "{text}");
    assert_eq!(stream.read_now().expect("read"), b"");
    // And by the command.
    run(&program, 1);
    let id = program.info().expect("info").id.to_string();
    let said = crate::net::rawbpf_ok(&["prog", "stream", "err", "id", &id]);
    assert!(said.contains("Timeout detected for may_goto"), "{said}");
    assert_eq!(crate::net::rawbpf_ok(&["prog", "stream", "err", "id", &id, "--json"]), "");
    run(&program, 1);
    let said = crate::net::rawbpf_ok(&["prog", "stream", "err", "id", &id, "--json"]);
    let said: serde_json::Value = serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    assert_eq!(said["stream"], "err");
    assert!(said["text"].as_str().expect("text").contains("may_goto"), "{said}");
}

#[test]
fn the_kernel_has_ring_buffers() {
    require!(ROOT);
    require!(RINGBUF, make(&Builder::new(MapType::Ringbuf, "r").max_entries(1)));
}
