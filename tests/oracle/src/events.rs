//! How fast events are read, with libbpf and with rawbpf: `rawbpf-oracle --bench-events DIR`, where DIR holds
//! ring_events.o of bpf/.
//!
//! * drained: the ring is filled first, and only reading is measured, in processor time: `ring_buffer__consume` and `RingSet::consume`;
//! * live: a program writes on another CPU without a pause while `ring_buffer__poll` and `RingSet::poll` read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rawbpf::events::{RingBuf, RingSet};
use rawbpf::maps::PerCpuArray;
use rawbpf::sys::TestRun;
use rawbpf::{Kernel, Loaded, Map, Object, Options};

use crate::libbpf;
use crate::race::{CpuTime, race};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// Bytes of the ring; a record of ring_events takes 24, and an eighth of them is taken back.
const RING: u32 = 16 << 20;
const RECORDS: u32 = RING / 24;

/// One side: an object of its own, so that its ring is its own.
struct Side {
    loaded: Loaded,
    ring: Map,
}

impl Side {
    fn new(dir: &str) -> Fallible<Side> {
        let mut object = Object::open(format!("{dir}/ring_events.o"))?;
        for map in object.maps.iter_mut().filter(|m| m.name == "events") {
            map.max_entries = RING;
        }
        let loaded = object.plan(&Kernel::host(), &Options::default())?.run()?;
        let ring = loaded.map("events").ok_or("no ring")?.clone();
        Ok(Side { loaded, ring })
    }

    /// Runs the program so often.
    fn send(&self, times: u32) -> Fallible<()> {
        let program = self.loaded.program("send_event").ok_or("no program")?;
        program.test_run(&TestRun { data: vec![0; 64], repeat: times, ..Default::default() })?;
        Ok(())
    }

    /// How many events were sent so far, and how many found no room.
    fn counts(&self) -> Fallible<(u64, u64)> {
        let counts = self.loaded.map("event_counts").ok_or("no counts")?;
        let counts = PerCpuArray::<[u64; 3]>::try_from(counts)?.get(0)?.ok_or("no counts")?;
        let sum = |n: usize| counts.iter().map(|c| c.get(n).copied().unwrap_or(0)).sum();
        Ok((sum(0), sum(2)))
    }
}

/// What a reader makes of its events: it looks at each.
#[derive(Default, Clone, Copy, PartialEq, Debug)]
pub struct Seen {
    pub events: u64,
    pub sum: u64,
}

impl Seen {
    pub fn add(&mut self, record: &[u8]) {
        self.events += 1;
        let nth = record.first_chunk().map_or(0, |b| u64::from_ne_bytes(*b));
        self.sum = self.sum.wrapping_add(nth);
    }
}

pub fn run(dir: &str) -> Fallible<()> {
    let (theirs, ours) = (Side::new(dir)?, Side::new(dir)?);
    let mut reader = libbpf::Ring::new(&theirs.ring).map_err(std::io::Error::from_raw_os_error)?;
    let mut set = RingSet::new()?;
    set.add(RingBuf::new(ours.ring.clone())?)?;
    drained(&theirs, &mut reader, &ours, &mut set)?;
    if rawbpf::sys::online_cpus().expect("sysfs tells").len() > 1 {
        live(&theirs, &mut reader, &ours, &mut set)?;
    }
    Ok(())
}

fn drained(theirs: &Side, reader: &mut libbpf::Ring, ours: &Side, set: &mut RingSet) -> Fallible<()> {
    let expected = u64::from(RECORDS - RECORDS / 8);
    // Of each CPU every eighth; and the writer may be moved from one to another.
    let check = |seen: Seen| assert!(seen.events.abs_diff(expected) <= 8, "{seen:?} of {expected}");
    let libbpf = || {
        theirs.send(RECORDS)?;
        let start = CpuTime::now();
        let seen = reader.consume().map_err(std::io::Error::from_raw_os_error)?;
        let took = start.elapsed();
        check(seen);
        Fallible::Ok(took)
    };
    let rawbpf = || {
        ours.send(RECORDS)?;
        let start = CpuTime::now();
        let mut seen = Seen::default();
        set.consume(|_, record| seen.add(record));
        let took = start.elapsed();
        check(seen);
        Ok(took)
    };
    let result = race(21, libbpf, rawbpf)?;
    let rate = |took: Duration| expected as f64 / took.as_secs_f64() / 1e6;
    println!(
        "ring buffer, {expected} events drained    libbpf {:>6.1} M/s   rawbpf {:>6.1} M/s   as many: {:.2}",
        rate(result.theirs),
        rate(result.ours),
        1.0 / result.ratio
    );
    Ok(())
}

/// Reads for a while what a program on another CPU writes; events a second.
fn follow(side: &Side, mut poll: impl FnMut() -> Fallible<u64>) -> Fallible<(f64, f64)> {
    const WHILE: Duration = Duration::from_millis(400);
    let done = AtomicBool::new(false);
    let before = side.counts()?;
    let (events, took) = std::thread::scope(|scope| -> Fallible<_> {
        let writer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                side.send(2000).map_err(|e| e.to_string())?;
            }
            Ok::<(), String>(())
        });
        let (start, mut events) = (Instant::now(), 0);
        while start.elapsed() < WHILE {
            events += poll()?;
        }
        let took = start.elapsed();
        done.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| "the writer ended")??;
        // What is left belongs to no round.
        poll()?;
        Ok((events, took))
    })?;
    let after = side.counts()?;
    let (sent, dropped) = (after.0 - before.0, after.1 - before.1);
    Ok((events as f64 / took.as_secs_f64(), dropped as f64 / (sent + dropped).max(1) as f64))
}

fn live(theirs: &Side, reader: &mut libbpf::Ring, ours: &Side, set: &mut RingSet) -> Fallible<()> {
    let mut lost = (0.0, 0.0);
    // As times for an event, so that it is a race like the others.
    let libbpf = || {
        let (rate, dropped) =
            follow(theirs, || Ok(reader.poll(10).map_err(std::io::Error::from_raw_os_error)?.events))?;
        lost.0 += dropped;
        Fallible::Ok(Duration::from_secs_f64(1000.0 / rate))
    };
    let rawbpf = || {
        let mut seen = Seen::default();
        let (rate, dropped) =
            follow(ours, || Ok(set.poll(Some(Duration::from_millis(10)), |_, record| seen.add(record))?))?;
        lost.1 += dropped;
        Ok(Duration::from_secs_f64(1000.0 / rate))
    };
    const ROUNDS: u32 = 9;
    let result = race(ROUNDS, libbpf, rawbpf)?;
    let rate = |took: Duration| 1000.0 / took.as_secs_f64() / 1e3;
    println!(
        "ring buffer, read while it is written    libbpf {:>6.0} k/s   rawbpf {:>6.0} k/s   as many: {:.2}   dropped: {:.1} % and {:.1} %",
        rate(result.theirs),
        rate(result.ours),
        1.0 / result.ratio,
        100.0 * lost.0 / f64::from(ROUNDS),
        100.0 * lost.1 / f64::from(ROUNDS),
    );
    Ok(())
}
