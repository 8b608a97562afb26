//! Operations on maps against the raw system calls: `rawbpf-oracle --bench-maps DIR`.
//!
//! The other side is what a C program would write: `syscall(SYS_bpf, ...)` with buffers that are used again, and no
//! check of anything.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rawbpf::maps::{Builder, ElemFlags, HashMap, Map, PerCpuArray, PerCpuHash};
use rawbpf::uapi::MapType;

use crate::race::{CpuTime, Race, race};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const LOOKUP: u32 = 1;
const UPDATE: u32 = 2;
const LOOKUP_BATCH: u32 = 24;
const UPDATE_BATCH: u32 = 26;
const DELETE_BATCH: u32 = 27;

/// `struct { ... } batch` of `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// The element's struct of `union bpf_attr`.
#[repr(C)]
struct ElemAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

fn bpf<T>(cmd: u32, attr: &mut T) -> std::io::Result<()> {
    // SAFETY: `attr` is a live struct of the command's layout; its pointers hold what the callers say.
    match unsafe { libc::syscall(libc::SYS_bpf, cmd, std::ptr::from_mut(attr), size_of::<T>()) } {
        0.. => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn at<T>(of: &[T]) -> u64 {
    of.as_ptr() as u64
}

fn fd(map: &Map) -> u32 {
    map.as_fd().as_raw_fd() as u32
}

pub fn run() -> Fallible<()> {
    per_cpu()?;
    batches()
}

fn say(what: &str, times: u32, race: Race) {
    let each = |d: Duration| d.as_nanos() as f64 / f64::from(times);
    let (theirs, ours) = (each(race.theirs), each(race.ours));
    println!("{what:<44} raw {theirs:>7.1} ns   rawbpf {ours:>7.1} ns   ratio {:.2}", race.ratio);
}

fn timed(f: impl FnOnce() -> Fallible<()>) -> Fallible<Duration> {
    let start = CpuTime::now();
    f()?;
    Ok(start.elapsed())
}

fn per_cpu() -> Fallible<()> {
    const TIMES: u32 = 20_000;
    let cpus = rawbpf::sys::possible_cpus().expect("sysfs tells");
    let array = Builder::new(MapType::PercpuArray, "bench").values::<u64>().max_entries(1024).create()?;
    let hash = Builder::new(MapType::PercpuHash, "bench").keys::<u32>().values::<u64>().max_entries(1024);
    let hash = hash.create()?;
    let values = vec![7u64; cpus];
    for key in 0..1024u32 {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
        hash.set(&key.to_ne_bytes(), &bytes, 0)?;
    }
    let raw = |map: &Map, cmd: u32, flags: u64| {
        let map_fd = fd(map);
        let buffer = vec![7u64; cpus];
        move || {
            timed(|| {
                for n in 0..TIMES {
                    let key = [n % 1024];
                    let mut attr = ElemAttr { map_fd, pad: 0, key: at(&key), value: at(&buffer), flags };
                    bpf(cmd, &mut attr)?;
                    std::hint::black_box(&buffer);
                }
                Ok(())
            })
        }
    };
    let typed = PerCpuArray::<u64>::try_from(&array)?;
    let ours = || {
        timed(|| {
            for n in 0..TIMES {
                std::hint::black_box(typed.get(n % 1024)?);
            }
            Ok(())
        })
    };
    say("per-CPU array, get", TIMES, race(21, raw(&array, LOOKUP, 0), ours)?);
    let ours = || {
        let values = rawbpf::maps::PerCpu::all(7u64).expect("the CPUs are known");
        timed(|| {
            for n in 0..TIMES {
                typed.set(n % 1024, &values)?;
            }
            Ok(())
        })
    };
    say("per-CPU array, set", TIMES, race(21, raw(&array, UPDATE, 0), ours)?);
    let typed = PerCpuHash::<u32, u64>::try_from(&hash)?;
    let ours = || {
        timed(|| {
            for n in 0..TIMES {
                std::hint::black_box(typed.get(&(n % 1024))?);
            }
            Ok(())
        })
    };
    say("per-CPU hash, get", TIMES, race(21, raw(&hash, LOOKUP, 0), ours)?);
    let ours = || {
        let values = rawbpf::maps::PerCpu::all(7u64).expect("the CPUs are known");
        timed(|| {
            for n in 0..TIMES {
                typed.set(&(n % 1024), &values)?;
            }
            Ok(())
        })
    };
    say("per-CPU hash, set", TIMES, race(21, raw(&hash, UPDATE, 0), ours)?);
    let ours = || {
        let mut buffer = vec![0; hash.value_len()];
        timed(|| {
            for n in 0..TIMES {
                hash.get_into(&(n % 1024).to_ne_bytes(), &mut buffer, ElemFlags::ANY)?;
                std::hint::black_box(&buffer);
            }
            Ok(())
        })
    };
    say("per-CPU hash, get into a buffer", TIMES, race(21, raw(&hash, LOOKUP, 0), ours)?);
    Ok(())
}

fn batches() -> Fallible<()> {
    const ENTRIES: u32 = 200_000;
    let map =
        Builder::new(MapType::Hash, "bench").keys::<u32>().values::<u64>().max_entries(ENTRIES).create()?;
    let map_fd = fd(&map);
    let keys: Vec<u32> = (0..ENTRIES).collect();
    let values = vec![7u64; keys.len()];
    let typed = HashMap::<u32, u64>::try_from(&map)?;
    let many = |cmd: u32| {
        let mut attr =
            BatchAttr { keys: at(&keys), values: at(&values), count: ENTRIES, map_fd, ..Default::default() };
        bpf(cmd, &mut attr)
    };
    // Once before: the first writes into new memory are dearer than all others.
    many(UPDATE_BATCH)?;
    let theirs = || timed(|| Ok(many(UPDATE_BATCH)?));
    let result = race(21, theirs, || timed(|| Ok(typed.set_many(&keys, &values)?)))?;
    say("200,000 elements of a hash, set in batches", ENTRIES, result);
    let sum = |sum: &mut u64, value: u64| *sum = sum.wrapping_add(value);
    let theirs = || {
        timed(|| {
            // As many at a time as rawbpf takes.
            let at_a_time = 16_384;
            let (mut keys, mut values) = (vec![0u32; at_a_time], vec![0u64; at_a_time]);
            let (mut position, mut first, mut total) = ([0u64], true, 0);
            loop {
                let mut attr = BatchAttr {
                    in_batch: if first { 0 } else { at(&position) },
                    out_batch: at(&position),
                    keys: at(&keys),
                    values: at(&values),
                    count: at_a_time as u32,
                    map_fd,
                    ..Default::default()
                };
                let result = bpf(LOOKUP_BATCH, &mut attr);
                values.iter().take(attr.count as usize).for_each(|v| sum(&mut total, *v));
                std::hint::black_box((&mut keys, &mut values, &mut position));
                match result {
                    Ok(()) => first = false,
                    Err(e) if e.raw_os_error() == Some(libc::ENOENT) => break,
                    Err(e) => return Err(e.into()),
                }
            }
            assert_eq!(total, 7 * u64::from(ENTRIES));
            Ok(())
        })
    };
    let ours = || {
        timed(|| {
            let mut total = 0;
            for element in typed.iter() {
                sum(&mut total, element?.1);
            }
            assert_eq!(total, 7 * u64::from(ENTRIES));
            Ok(())
        })
    };
    say("200,000 elements of a hash, read in batches", ENTRIES, race(21, theirs, ours)?);
    let theirs = || {
        many(UPDATE_BATCH)?;
        timed(|| Ok(many(DELETE_BATCH)?))
    };
    let ours = || {
        many(UPDATE_BATCH)?;
        timed(|| Ok(typed.delete_many(&keys).map(drop)?))
    };
    say("200,000 elements of a hash, deleted in batches", ENTRIES, race(21, theirs, ours)?);
    Ok(())
}
