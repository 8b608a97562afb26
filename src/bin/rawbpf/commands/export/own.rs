//! The exporter's own figures: what programs cost, how full maps and rings are, and what was left out.

use rawbpf::sys;

use super::amount::Amount;
use super::collect::Collector;
use super::config::Kind::{self, Counter, Gauge};
use super::page::Family;
use super::watch::Watch;

/// One row for each figure of a map: what it says, `None` if nothing.
type OfMap = (&'static str, Kind, &'static str, fn(&Watch) -> Option<u64>);

const MAPS: &[OfMap] = &[
    ("rawbpf_map_up", Gauge, "1 if the map could be read in this scrape.", |w| Some(w.seen.up.into())),
    (
        "rawbpf_map_stale",
        Gauge,
        "1 if the pin of the map is gone or is another, unlike map now; the old one is still read.",
        |w| Some(w.seen.stale.into()),
    ),
    ("rawbpf_map_entries", Gauge, "Elements that the map holds.", |w| w.seen.entries),
    ("rawbpf_map_max_entries", Gauge, "Elements that the map can hold.", |w| {
        w.seen.entries.map(|_| w.shape.max_entries.into())
    }),
    ("rawbpf_map_memory_bytes", Gauge, "Memory that the map takes.", |w| w.seen.memory),
    (
        "rawbpf_map_incomplete_reads",
        Counter,
        "Scrapes in which the map changed too fast to be read whole.",
        |w| w.seen.entries.map(|_| w.seen.incomplete),
    ),
    ("rawbpf_map_replaced", Counter, "Times that another map came behind the pin.", |w| {
        Some(w.seen.replaced)
    }),
    ("rawbpf_ringbuf_size_bytes", Gauge, "Bytes that the ring buffer holds.", |w| Some(w.seen.ring?.size)),
    ("rawbpf_ringbuf_used_bytes", Gauge, "Bytes that wait to be read.", |w| Some(w.seen.ring?.used())),
    ("rawbpf_ringbuf_produced_bytes", Counter, "Bytes that programs wrote.", |w| Some(w.seen.ring?.produced)),
    ("rawbpf_ringbuf_consumed_bytes", Counter, "Bytes that were read.", |w| Some(w.seen.ring?.consumed)),
    (
        "rawbpf_ringbuf_overwritten_bytes",
        Counter,
        "Bytes that gave way to newer ones, in a ring buffer that overwrites.",
        |w| w.seen.ring.map(|r| r.overwritten),
    ),
];

/// All of them.
pub(super) fn families(collector: &Collector) -> Vec<Family> {
    let mut out = vec![build(), scrapes(collector)];
    out.extend(programs(collector));
    for (name, kind, help, figure) in MAPS {
        let mut family = Family::new(*kind, name, help);
        for watch in &collector.watches {
            if let Some(n) = figure(watch) {
                let object = watch.shape.object.as_deref().unwrap_or("");
                family.add(&[("object", object), ("map", &watch.shape.name)], Amount::Whole(n.into()));
            }
        }
        out.push(family);
    }
    out.push(dropped(collector));
    out.retain(|family| !family.points.is_empty());
    out
}

fn build() -> Family {
    let mut family = Family::new(Gauge, "rawbpf_build", "Always 1; the version is the label.");
    family.add(&[("version", env!("CARGO_PKG_VERSION"))], Amount::Whole(1));
    family
}

fn scrapes(collector: &Collector) -> Family {
    let mut family = Family::new(Counter, "rawbpf_export_scrapes", "Times that maps were read.");
    family.add(&[], Amount::Whole(collector.scrapes.into()));
    family
}

/// What programs cost. The kernel counts while somebody asks it to; without that the numbers stand still.
fn programs(collector: &Collector) -> Vec<Family> {
    let mut on = Family::new(
        Gauge,
        "rawbpf_program_stats_enabled",
        "1 if the exporter has the kernel count runs and run time.",
    );
    on.add(&[], Amount::Whole(collector.stats.is_some().into()));
    let mut runs = Family::new(Counter, "rawbpf_program_runs", "Times that the program ran.");
    let mut time = Family::new(Counter, "rawbpf_program_run_seconds", "Time that the program took.");
    let mut misses = Family::new(
        Counter,
        "rawbpf_program_recursion_misses",
        "Runs that were left out because the program was running on that CPU already.",
    );
    for (object, name, program) in &collector.programs {
        let Ok(info) = sys::prog_info(program) else { continue };
        let labels = [("object", object.as_str()), ("program", name.as_str())];
        runs.add(&labels, Amount::Whole(info.run_cnt.into()));
        time.add(&labels, Amount::Whole(info.run_time_ns.into()).scaled(Some(1e-9)));
        misses.add(&labels, Amount::Whole(info.recursion_misses.into()));
    }
    vec![on, runs, time, misses]
}

/// What is missing from the metrics, so that nobody takes them for the whole.
fn dropped(collector: &Collector) -> Family {
    let help = "Elements of maps that were left out, scrape by scrape: above max_series, or not to be read.";
    let mut family = Family::new(Counter, "rawbpf_export_dropped_elements", help);
    for metric in collector.watches.iter().flat_map(|w| &w.metrics) {
        for (reason, n) in
            [("max_series", metric.series.over_limit), ("unreadable", metric.series.unreadable)]
        {
            family.add(&[("metric", &metric.name), ("reason", reason)], Amount::Whole(n.into()));
        }
    }
    family
}
