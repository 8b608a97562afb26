//! Walks over maps that others write to: they end, show nothing twice, and say whether they saw all.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hash;
use crate::gate::{ROOT, require};
use rawbpf::maps::{Builder, HashMap, Ip4, LpmTrie, Map, Prefix, Walk};
use rawbpf::uapi::MapType;

/// Keys below are there all the time; those above come and go.
const STAYS: u32 = 1_000_000;

/// An emulated machine takes 20 seconds for as many.
fn stays() -> u32 {
    if std::env::var_os("RAWBPF_GUEST").is_some() { STAYS / 5 } else { STAYS }
}

/// Ends the writer, also when the test fails: a scope waits for its threads.
struct End<'s>(&'s AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_walk_over_a_million_elements_ends_while_another_thread_writes() {
    require!(ROOT);
    // 100 bytes an element: a guest has the memory.
    let map: HashMap<u32, u64> =
        HashMap::try_from(hash("million", stays() + 50_000).create().expect("hash")).expect("its type");
    let keys: Vec<u32> = (0..stays()).collect();
    let values: Vec<u64> = keys.iter().map(|k| u64::from(*k) * 3).collect();
    for (keys, values) in keys.chunks(50_000).zip(values.chunks(50_000)) {
        map.set_many(keys, values).expect("filled");
    }
    drop((keys, values));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let key = stays() + (written as u32).wrapping_mul(2_654_435_761) % 40_000;
                map.set(&key, &u64::from(key)).expect("set");
                map.delete(&key.wrapping_sub(1).max(stays())).expect("delete");
                written += 1;
            }
            written
        });
        let end = End(&stop);
        // A bit for each key that stays, and a set for the others.
        let mut seen = vec![false; stays() as usize];
        let mut others = HashSet::new();
        let mut iter = map.iter();
        for element in iter.by_ref() {
            let (key, value) = element.expect("read");
            if key < stays() {
                assert!(!std::mem::replace(&mut seen[key as usize], true), "key {key} came twice");
                assert_eq!(value, u64::from(key) * 3);
            } else {
                assert!(others.insert(key), "key {key} came twice");
            }
        }
        let walk = iter.walk();
        drop(end);
        let written = writer.join().expect("it wrote");
        let found = seen.iter().filter(|s| **s).count();
        eprintln!("{written} writes during the walk; {walk:?}");
        assert!(written > 100, "the writer did not get to write");
        assert!(walk.complete);
        assert_eq!(found, stays() as usize, "it said that it was complete");
        assert_eq!(walk.elements, (found + others.len()) as u64);
    });
}

/// Does this with one number after the other until it is told to stop.
fn count_until(stop: &AtomicBool, mut act: impl FnMut(u32)) {
    let mut n = 0u32;
    while !stop.load(Ordering::Relaxed) {
        n = n.wrapping_add(1);
        act(n);
    }
}

/// A map type whose walk starts again when its place is deleted: nothing twice all the same.
#[test]
fn a_walk_over_a_trie_ends_while_another_thread_writes() {
    require!(ROOT);
    let builder = Builder::new(MapType::LpmTrie, "trie").key_size(8).values::<u32>().max_entries(20_000);
    let trie: LpmTrie<Ip4, u32> = LpmTrie::try_from(builder.create().expect("trie")).expect("its type");
    let prefix = |n: u32| Prefix::<Ip4>::whole(std::net::Ipv4Addr::from(n.wrapping_mul(2_654_435_761)));
    for n in 0..5000 {
        trie.set(&prefix(n), &n).expect("filled");
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            count_until(&stop, |n| {
                let _ = trie.set(&prefix(10_000 + n % 5000), &n);
                let _ = trie.delete(&prefix(10_000 + n.wrapping_add(2500) % 5000));
            });
        });
        let end = End(&stop);
        for _ in 0..5 {
            let mut seen = HashSet::new();
            let walk = trie.for_each(|key, _| assert!(seen.insert(key), "{key} came twice")).expect("read");
            let stayed = (0..5000).filter(|n| seen.contains(&prefix(*n))).count();
            eprintln!("{walk:?}, {stayed} of 5000 that stayed");
            assert!(!walk.complete || stayed == 5000, "it said that it was complete");
            assert_eq!(walk.elements, seen.len() as u64);
        }
        drop(end);
        writer.join().expect("it wrote");
    });
}

/// Wide values, so that a batch is far less than an eighth of the map: threads read it, from two sides if it is a hash.
const WIDE: u32 = 1000;

fn wide(map_type: MapType, entries: u32) -> Builder<'static> {
    Builder::new(map_type, "wide").key_size(4).value_size(WIDE).max_entries(entries)
}

fn wide_value(map: &Map, n: u32) -> Vec<u8> {
    let mut value = vec![0; map.value_len()];
    value[..4].copy_from_slice(&n.to_ne_bytes());
    value
}

/// The keys that a walk with threads shows; each once, with its value.
fn read_ahead(map: &Map) -> (HashSet<u32>, Walk) {
    let (mut seen, mut elements) = (HashSet::new(), map.elements_ahead());
    while let Some((key, value)) = elements.next_entry().expect("read") {
        let key = u32::from_ne_bytes(key.try_into().expect("four bytes"));
        assert!(seen.insert(key), "key {key} came twice");
        assert_eq!(value[..4], key.to_ne_bytes(), "another element's value");
    }
    (seen, elements.walk())
}

#[test]
fn threads_show_what_one_reader_shows() {
    require!(ROOT);
    const ENTRIES: u32 = 8000;
    for map_type in
        [MapType::Hash, MapType::LruHash, MapType::PercpuHash, MapType::LruPercpuHash, MapType::Array]
    {
        let map = wide(map_type, ENTRIES).create().expect("a map");
        for n in 0..ENTRIES {
            map.set(&n.to_ne_bytes(), &wide_value(&map, n), 0).expect("filled");
        }
        let (seen, walk) = read_ahead(&map);
        assert!(walk.complete && walk.elements == seen.len() as u64, "{map_type}: {walk:?}");
        // An LRU may drop some before it is full.
        let mut there = HashSet::new();
        let one = |key: &[u8], _: &[u8]| _ = there.insert(u32::from_ne_bytes(key.try_into().expect("four")));
        map.for_each(one).expect("read");
        assert_eq!(seen, there, "{map_type}");
        assert!(map_type == MapType::LruHash || map_type == MapType::LruPercpuHash || seen.len() == 8000);
    }
}

#[test]
fn a_walk_with_threads_can_be_left() {
    require!(ROOT);
    let map = wide(MapType::Hash, 8000).create().expect("a map");
    for n in 0..8000u32 {
        map.set(&n.to_ne_bytes(), &wide_value(&map, n), 0).expect("filled");
    }
    for shown in [0, 1, 300, 3000] {
        let mut elements = map.elements_ahead();
        for _ in 0..shown {
            elements.next_entry().expect("read").expect("there are more");
        }
        assert_eq!((elements.walk().elements, elements.complete()), (shown, false));
    }
}

/// Every bucket is written to, those where the two threads meet as well.
#[test]
fn threads_show_nothing_twice_while_another_writes() {
    require!(ROOT);
    const STAY: u32 = 6000;
    let map = wide(MapType::Hash, 8192).create().expect("a map");
    for n in 0..STAY {
        map.set(&n.to_ne_bytes(), &wide_value(&map, n), 0).expect("filled");
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            count_until(&stop, |n| {
                let (new, old) = (STAY + n % 2000, STAY + n.wrapping_add(1000) % 2000);
                map.set(&new.to_ne_bytes(), &wide_value(&map, new), 0).expect("set");
                map.delete(&old.to_ne_bytes()).expect("delete");
            });
        });
        let end = End(&stop);
        for _ in 0..10 {
            let (seen, walk) = read_ahead(&map);
            assert!(walk.complete, "{walk:?}");
            assert_eq!((0..STAY).filter(|n| seen.contains(n)).count(), STAY as usize);
        }
        drop(end);
        writer.join().expect("it wrote");
    });
}

/// Then the lower thread gets past what the upper one has read first.
#[test]
fn threads_end_while_all_is_deleted() {
    require!(ROOT);
    let map = wide(MapType::Hash, 8192).create().expect("a map");
    for _ in 0..5 {
        for n in 0..6000u32 {
            map.set(&n.to_ne_bytes(), &wide_value(&map, n), 0).expect("filled");
        }
        std::thread::scope(|scope| {
            scope.spawn(|| (0..6000u32).for_each(|n| _ = map.delete(&n.to_ne_bytes()).expect("delete")));
            let (seen, walk) = read_ahead(&map);
            assert_eq!(walk.elements, seen.len() as u64);
        });
    }
}

/// The lower thread then reads again, less at a time: what stays is shown all the same.
#[test]
fn threads_lose_nothing_while_most_is_deleted() {
    require!(ROOT);
    let map = wide(MapType::Hash, 8192).create().expect("a map");
    for _ in 0..5 {
        for n in 0..6000u32 {
            map.set(&n.to_ne_bytes(), &wide_value(&map, n), 0).expect("filled");
        }
        std::thread::scope(|scope| {
            let gone = (0..6000u32).filter(|n| n % 10 != 0);
            scope.spawn(|| gone.for_each(|n| _ = map.delete(&n.to_ne_bytes()).expect("delete")));
            let (seen, walk) = read_ahead(&map);
            assert!(!walk.complete || (0..6000).step_by(10).all(|n| seen.contains(&n)), "{walk:?}");
        });
    }
}

#[test]
fn a_bucket_that_is_longer_than_a_batch_is_read() {
    require!(ROOT);
    // Few buckets' worth of elements in a map that was made for few: batches start small and must grow.
    let map: HashMap<u64, u64> = HashMap::try_from(
        Builder::new(MapType::Hash, "small")
            .keys::<u64>()
            .values::<u64>()
            .max_entries(2)
            .create()
            .expect("hash"),
    )
    .expect("its type");
    map.set_many(&[1, 2], &[1, 2]).expect("filled");
    let mut found: Vec<(u64, u64)> = map.iter().collect::<Result<_, _>>().expect("read");
    found.sort();
    assert_eq!(found, [(1, 1), (2, 2)]);
}

#[test]
fn an_empty_map_is_complete() {
    require!(ROOT);
    let map = hash("empty", 10).create().expect("hash");
    let walk = map.for_each(|_, _| panic!("nothing is in it")).expect("read");
    assert_eq!((walk.elements, walk.complete), (0, true));
}

#[test]
fn a_map_without_elements_says_so() {
    require!(ROOT);
    let map = Builder::new(MapType::Ringbuf, "ring").max_entries(4096).create().expect("ring");
    assert!(map.for_each(|_, _| {}).is_err());
}
