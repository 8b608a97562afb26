//! Real packets, and what is served of them.

use std::collections::BTreeMap;
use std::fs;

use rawbpf::Kernel;

use super::{Exporter, Page, config, frame, traffic_config};
use crate::gate::{RINGBUF, ROOT, VETH, require};
use crate::net::{Veth, in_namespace, rawbpf_json, up};

const RUNS: &str = "rawbpf_program_runs_total{object=\"traffic\",program=\"count_traffic\"}";

fn exporter() -> Exporter {
    let dir = tempfile::tempdir().expect("a directory");
    Exporter::start(&config(dir.path(), &traffic_config("near0")))
}

/// Sends 3 UDP packets of 60 bytes, 2 TCP packets of 1000, and an ICMP packet of 1400; what comes of it.
fn send(veth: &Veth, exporter: &Exporter) -> Page {
    for (source, proto, len, times) in [(1, 17, 60, 3), (2, 6, 1000, 2), (1, 1, 1400, 1)] {
        (0..times).for_each(|_| veth.send_frame(&frame(source, proto, len)));
    }
    // The kernel counts a run when it is over: after what the program wrote.
    exporter.scrape_until(|page| page.packets() == 6.0 && page.value(RUNS) == 6.0)
}

#[test]
fn what_is_served_is_what_the_maps_hold() {
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(
            RINGBUF,
            rawbpf::maps::Builder::new(rawbpf::uapi::MapType::Ringbuf, "r").max_entries(4096).create()
        );
        let exporter = exporter();
        let page = send(&veth, &exporter);
        // The same as another reader of the map counts.
        let (mut bytes, mut packets) = (BTreeMap::new(), 0);
        let flows = exporter.map("flows");
        let walk = flows.for_each(|key, value| {
            let number = |slot: &[u8], at| u64::from_ne_bytes(slot[at..at + 8].try_into().expect("8 bytes"));
            let proto = match u32::from_ne_bytes(key[4..8].try_into().expect("4 bytes")) {
                1 => "PROTO_ICMP",
                6 => "PROTO_TCP",
                _ => "PROTO_UDP",
            };
            let source = format!("{}.{}.{}.{}", key[0], key[1], key[2], key[3]);
            let name =
                format!("traffic_bytes_total{{interface=\"near0\",proto=\"{proto}\",source=\"{source}\"}}");
            bytes.insert(name, flows.slots(value).map(|(_, slot)| number(slot, 8)).sum::<u64>() as f64);
            packets += flows.slots(value).map(|(_, slot)| number(slot, 0)).sum::<u64>();
        });
        assert!(walk.expect("the map is read").complete);
        let served = page.of("traffic_bytes_total");
        assert_eq!(served, bytes.iter().map(|(name, n)| (name.as_str(), *n)).collect());
        assert_eq!(served.values().copied().collect::<Vec<_>>(), [1400.0, 2000.0, 180.0]);
        assert_eq!(packets, 6);
        // Labels that are not there are added up.
        assert_eq!(page.value("traffic_packets_total{proto=\"PROTO_UDP\"}"), 3.0);
        let by_cpu = page.of("cpu_packets_total");
        assert_eq!(by_cpu.values().sum::<f64>(), 6.0);
        assert!(by_cpu.keys().all(|name| name.starts_with("cpu_packets_total{cpu=\"")), "{by_cpu:?}");
        histograms(&page);
        assert_eq!(page.value("rawbpf_map_entries{object=\"traffic\",map=\"flows\"}"), 3.0);
        assert_eq!(page.value("rawbpf_map_max_entries{object=\"traffic\",map=\"flows\"}"), 1024.0);
        assert!(page.value(&RUNS.replace("runs", "run_seconds")) > 0.0);
    });
}

fn histograms(page: &Page) {
    let bucket = |le: &str| page.value(&format!("packet_size_bytes_bucket{{le=\"{le}\"}}"));
    let want =
        [("31.0", 0.0), ("63.0", 3.0), ("511.0", 3.0), ("1023.0", 5.0), ("2047.0", 6.0), ("+Inf", 6.0)];
    for (le, count) in want {
        assert_eq!(bucket(le), count, "{le}");
    }
    assert_eq!(page.value("packet_size_bytes_count"), 6.0);
    assert_eq!(page.value("packet_size_bytes_sum"), 3580.0);
    let class =
        |proto, le: &str| page.value(&format!("packet_class_bucket{{proto=\"PROTO_{proto}\",le=\"{le}\"}}"));
    assert_eq!((class("UDP", "0.099"), class("TCP", "0.999"), class("TCP", "1.099")), (3.0, 0.0, 2.0));
    // 1400 bytes are above the last slot.
    assert_eq!((class("ICMP", "1.099"), class("ICMP", "+Inf")), (0.0, 1.0));
    assert_eq!(page.of("packet_class_count"), BTreeMap::new(), "no sum, no count");
}

#[test]
fn a_ring_buffer_that_is_full_is_seen_and_losses_that_the_program_counts() {
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(
            RINGBUF,
            rawbpf::maps::Builder::new(rawbpf::uapi::MapType::Ringbuf, "r").max_entries(1 << 16).create()
        );
        let exporter = exporter();
        let ring = |page: &Page, what: &str| {
            page.value(&format!("rawbpf_ringbuf_{what}{{object=\"traffic\",map=\"events\"}}"))
        };
        let page = send(&veth, &exporter);
        assert_eq!((ring(&page, "used_bytes"), ring(&page, "produced_bytes_total")), (96.0, 96.0));
        assert_eq!(page.value("lost_events_total"), 0.0);
        // A record takes 16 bytes: pages of a machine may be larger than 4 KiB, and so is the ring then.
        let size = ring(&page, "size_bytes");
        let more = (size / 16.0) as u32;
        (0..more).for_each(|_| veth.send_frame(&frame(3, 17, 60)));
        let page = exporter.scrape_until(|page| page.packets() == f64::from(6 + more));
        let lost = page.value("lost_events_total");
        assert!(lost >= 6.0, "{lost}");
        assert_eq!(ring(&page, "produced_bytes_total"), (f64::from(6 + more) - lost) * 16.0);
        // Looking at it takes nothing out of it; its consumer does.
        let mut consumer = rawbpf::events::RingBuf::new(exporter.map("events")).expect("a ring buffer");
        assert_eq!(consumer.consume(|_| ()) as f64, f64::from(6 + more) - lost);
        let page = exporter.scrape();
        assert_eq!(ring(&page, "used_bytes"), 0.0);
        assert_eq!(ring(&page, "consumed_bytes_total"), ring(&page, "produced_bytes_total"));
    });
}

#[test]
fn nothing_is_kept_that_is_not_needed_and_nothing_is_left_behind() {
    require!(ROOT);
    in_namespace(|| {
        up(1).expect("lo comes up");
        let veth = require!(VETH, Veth::new("near0", "far0"));
        require!(
            RINGBUF,
            rawbpf::maps::Builder::new(rawbpf::uapi::MapType::Ringbuf, "r").max_entries(4096).create()
        );
        let exporter = exporter();
        send(&veth, &exporter);
        let release = Kernel::host().release();
        let kept = exporter.document["capabilities"].as_array().expect("a list");
        // Since 5.19 a descriptor is enough.
        let all_in_one = serde_json::json!(["CAP_BPF"]);
        assert!(
            kept.is_empty()
                || (release.0, release.1) < (5, 19) && exporter.document["capabilities"] == all_in_one
        );
        let mask = if kept.is_empty() { 0 } else { 1u64 << 39 };
        let threads = fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("its threads");
        let mut count = 0;
        for thread in threads {
            let status =
                fs::read_to_string(thread.expect("a thread").path().join("status")).expect("a status");
            let field = |name: &str| {
                let line = status.lines().find_map(|l| l.strip_prefix(name)).expect("it is there");
                u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a number")
            };
            assert_eq!((field("CapEff"), field("CapPrm")), (mask, mask), "{status}");
            assert_eq!((field("CapInh"), field("CapAmb"), field("CapBnd")), (0, 0, 0), "{status}");
            assert_eq!(field("NoNewPrivs"), 1);
            count += 1;
        }
        assert!(count >= 2, "the server is a thread of its own");
        let attached = || {
            let links = rawbpf_json(&["link", "list"]);
            links["links"].as_array().expect("a list").iter().any(|l| l["hook"] == "XDP on near0")
        };
        assert!(attached());
        exporter.stop();
        assert!(!attached());
    });
}
