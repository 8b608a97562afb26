//! Maps that change, fill up, lose their pins and are replaced; and clients of all kinds.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rawbpf::Map;
use rawbpf::maps::Builder;
use rawbpf::uapi::MapType;

use super::{Exporter, config};
use crate::gate::{ROOT, require};
use crate::net::{in_namespace, mount_bpffs, rawbpf_bpffs, up};

const PIN: &str = "/sys/fs/bpf/numbers";

/// A map of numbers by number.
fn numbers(max: u32, pairs: &[(u32, u64)]) -> Map {
    let builder = Builder::new(MapType::Hash, "numbers").keys::<u32>().values::<u64>();
    let map = builder.max_entries(max).create().expect("a map");
    pairs.iter().for_each(|(key, value)| set(&map, *key, *value));
    map
}

fn set(map: &Map, key: u32, value: u64) {
    map.set(&key.to_ne_bytes(), &value.to_ne_bytes(), 0).expect("it is written");
}

fn start(dir: &Path, from: &str) -> Exporter {
    let text = format!(
        "[[map]]\nname = \"numbers\"\nfrom = \"{from}\"\n\n[[metric]]\nname = \"number\"\ntype = \"gauge\"\n\
         map = \"numbers\"\nmax_series = 3\nlabels = {{ key = \"key\" }}\n"
    );
    Exporter::start(&config(dir, &text))
}

/// Runs a test with a bpffs, and a directory for the configuration.
fn with_bpffs(test: impl FnOnce(&Path) + Send) {
    in_namespace(|| {
        up(1).expect("lo comes up");
        mount_bpffs();
        assert!(rawbpf_bpffs());
        test(tempfile::tempdir().expect("a directory").path());
    });
}

#[test]
fn zeros_take_no_places() {
    require!(ROOT);
    with_bpffs(|dir| {
        let map =
            Builder::new(MapType::Array, "numbers").values::<u64>().max_entries(16).create().expect("a map");
        set(&map, 9, 90);
        map.pin(PIN).expect("it is pinned");
        let text = format!(
            "[[map]]\nname = \"numbers\"\nfrom = \"{PIN}\"\n\n[[metric]]\nname = \"number\"\ntype = \"gauge\"\n\
             map = \"numbers\"\nmax_series = 3\nskip_zeros = true\nlabels = {{ key = \"key\" }}\n"
        );
        let exporter = Exporter::start(&config(dir, &text));
        let page = exporter.scrape();
        assert_eq!(page.value("number{key=\"9\"}"), 90.0);
        assert_eq!(
            page.value("rawbpf_export_dropped_elements_total{metric=\"number\",reason=\"max_series\"}"),
            0.0
        );
        exporter.stop();
    });
}

#[test]
fn there_are_as_many_series_as_may_be_and_who_came_first_stays() {
    require!(ROOT);
    with_bpffs(|dir| {
        let map = numbers(16, &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]);
        map.pin(PIN).expect("it is pinned");
        let exporter = start(dir, PIN);
        let dropped = "rawbpf_export_dropped_elements_total{metric=\"number\",reason=\"max_series\"}";
        let series = || -> BTreeMap<u32, f64> {
            let page = exporter.scrape();
            let key = |name: &str| name.split('"').nth(1).expect("a label").parse().expect("a number");
            page.of("number").into_iter().map(|(name, value)| (key(name), value)).collect()
        };
        let first = series();
        assert_eq!(first.len(), 3);
        assert!(first.iter().all(|(key, value)| *value == f64::from(key * 10)), "{first:?}");
        let page = exporter.scrape();
        assert_eq!(page.value(dropped), 4.0, "two, twice");
        assert_eq!(page.value("rawbpf_map_entries{map=\"numbers\"}"), 5.0);
        // One goes, another gets in; who was there stays.
        let gone = *first.keys().next().expect("three");
        map.delete(&gone.to_ne_bytes()).expect("it is deleted");
        let second = series();
        assert_eq!(second.len(), 3);
        assert!(!second.contains_key(&gone));
        assert!(first.keys().filter(|key| **key != gone).all(|key| second.contains_key(key)), "{second:?}");
        exporter.stop();
    });
}

#[test]
fn a_pin_that_is_another_map_now_is_followed_if_its_elements_are_alike() {
    require!(ROOT);
    with_bpffs(|dir| {
        let map = numbers(16, &[(1, 10)]);
        map.pin(PIN).expect("it is pinned");
        let exporter = start(dir, PIN);
        let look = || {
            let page = exporter.scrape();
            let of_map = |what: &str| page.value(&format!("rawbpf_map_{what}{{map=\"numbers\"}}"));
            (
                page.of("number").values().copied().collect::<Vec<_>>(),
                of_map("stale"),
                of_map("replaced_total"),
            )
        };
        assert_eq!(look(), (vec![10.0], 0.0, 0.0));
        // Without its pin, and without its maker, the map is as it was.
        fs::remove_file(PIN).expect("it is unpinned");
        set(&map, 1, 11);
        drop(map);
        assert_eq!(look(), (vec![11.0], 1.0, 0.0));
        let unlike = Builder::new(MapType::Hash, "numbers").keys::<u64>().values::<u64>().max_entries(4);
        unlike.create().expect("a map").pin(PIN).expect("it is pinned");
        assert_eq!(look(), (vec![11.0], 1.0, 0.0), "its keys are of another size");
        fs::remove_file(PIN).expect("it is unpinned");
        numbers(16, &[(1, 100), (2, 200)]).pin(PIN).expect("it is pinned");
        assert_eq!(look(), (vec![100.0, 200.0], 0.0, 1.0));
        exporter.stop();
    });
}

#[test]
fn a_map_that_is_written_to_all_the_time_is_read_all_the_time() {
    require!(ROOT);
    with_bpffs(|dir| {
        let map = numbers(4096, &[]);
        let exporter = start(dir, &format!("id {}", map.info().id));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    (0..2000).for_each(|key| set(&map, key, 1));
                    for key in 0..2000u32 {
                        let _ = map.delete(&key.to_ne_bytes());
                    }
                }
            });
            for _ in 0..20 {
                let page = exporter.scrape();
                assert_eq!(page.value("rawbpf_map_up{map=\"numbers\"}"), 1.0);
                assert!(page.of("number").len() <= 3);
            }
            over.store(true, Ordering::Relaxed);
        });
        exporter.stop();
    });
}

#[test]
fn clients_of_all_kinds_get_an_answer_and_hold_up_nobody() {
    require!(ROOT);
    with_bpffs(|dir| {
        let map = numbers(4, &[(1, 1)]);
        let exporter = start(dir, &format!("id {}", map.info().id));
        // They say nothing, or rubbish, and stay.
        let mut others: Vec<TcpStream> =
            (0..20).map(|_| TcpStream::connect(&exporter.address).expect("it listens")).collect();
        others.iter_mut().take(10).for_each(|s| s.write_all(b"\0\xff rubbish").expect("it is taken"));
        for (request, status, body) in [
            ("GET /healthz HTTP/1.1", "200", "ok\n"),
            ("HEAD /metrics HTTP/1.1", "200", ""),
            ("GET /other HTTP/1.1", "404", "there are /metrics and /healthz\n"),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 0", "405", "only GET and HEAD\n"),
        ] {
            let (head, said) = exporter.ask(request);
            assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
            assert_eq!(said, body, "{request}");
        }
        // Who does not ask for OpenMetrics gets what everybody reads.
        let (head, body) = exporter.ask("GET /metrics HTTP/1.1");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        assert!(
            body.contains("# TYPE rawbpf_export_scrapes_total counter\n") && !body.contains("# EOF"),
            "{body}"
        );
        drop(others);
        exporter.stop();
    });
}
