//! From the file to what is read: which metric is of which map.

use std::collections::HashSet;
use std::path::PathBuf;

use rawbpf::Map;
use rawbpf::sys::{self, ProgFd};
use rawbpf::uapi::MapType;

use super::cell::Shape;
use super::collect::Collector;
use super::config::{Config, Existing, MetricPart};
use super::load::{Held, Wanted};
use super::metric::Metric;
use super::names::Names;
use super::page::Family;
use super::report::{ExportReport, MapRow, MetricRow};
use super::watch::Watch;
use crate::file::place::Source;
use crate::select::{self, map as map_select};
use crate::ui::error::{CliError, whole};

/// Looks at everything that can be looked at without asking the kernel.
pub(super) fn check(source: &Source, config: &Config, wanted: &[Wanted]) -> Result<ExportReport, CliError> {
    let mut names = HashSet::new();
    for (w, part) in wanted.iter().zip(&config.object) {
        if !names.insert(w.name()) {
            let problem = format!("two objects are called `{}`; give one another name with `name`", w.name());
            return Err(source.at(part.path.span(), problem));
        }
    }
    for parts in [&config.map, &config.program] {
        let mut names = HashSet::new();
        for part in parts {
            if !names.insert(part.name.get_ref()) {
                let problem = format!("`{}` is there twice; give one another name", part.name.get_ref());
                return Err(source.at(part.name.span(), problem));
            }
        }
    }
    let mut shapes = Vec::new();
    for w in wanted {
        let defs = w.object().maps.iter().filter(|def| def.autocreate);
        shapes.extend(defs.map(|def| Shape::of_def(w.name(), def, w.object().btf.as_ref())));
    }
    let elsewhere: Vec<&str> = config.map.iter().map(|m| m.name.get_ref().as_str()).collect();
    let mut report = ExportReport::default();
    let mut samples = HashSet::new();
    for part in &config.metric {
        let is_elsewhere = elsewhere.contains(&part.map.get_ref().as_str());
        let found = find(source, part, &shapes, &elsewhere);
        if is_elsewhere && shapes.iter().all(|shape| !is_meant(shape, part)) {
            report.unchecked.push(part.name.get_ref().clone());
            continue;
        }
        let (_, shape) = found?;
        let metric = Metric::new(source, shape, part, config.max_series)?;
        for name in Family::sample_names(&metric.name, metric.kind) {
            if !samples.insert(name) {
                return Err(source.at(part.name.span(), "another metric has this name already"));
            }
        }
        report.metrics.push(MetricRow::new(&metric, part.map.get_ref()));
    }
    Ok(report)
}

/// Opens all that is read, and says what it is.
pub(super) fn open(
    source: &Source,
    config: &Config,
    held: &[Held],
) -> Result<(Collector, ExportReport), CliError> {
    let mut watches = Vec::new();
    for object in held {
        let watch =
            |m: &Map| Watch::new(Shape::of_map(Some(&object.name), m.name(), m), m.clone(), None, false);
        watches.extend(object.loaded.maps().map(watch));
    }
    for part in &config.map {
        watches.push(existing(source, part)?);
    }
    let mut report = ExportReport::default();
    let shapes: Vec<Shape> = watches.iter().map(|w| w.shape.clone()).collect();
    for part in &config.metric {
        let (at, shape) = find(source, part, &shapes, &[])?;
        let metric = Metric::new(source, shape, part, config.max_series)?;
        report.metrics.push(MetricRow::new(&metric, part.map.get_ref()));
        if let Some(watch) = watches.get_mut(at) {
            watch.metrics.push(metric);
        }
    }
    watches.retain(Watch::matters);
    report.maps = watches.iter().map(MapRow::new).collect();
    let stats = if config.stats {
        sys::enable_stats().map_err(|e| report.notes.push(no_stats(&e))).ok()
    } else {
        None
    };
    let names = Names::new(config.cgroup_root.clone());
    let programs = programs(source, config, held)?;
    Ok((Collector { watches, programs, stats, names, scrapes: 0 }, report))
}

fn no_stats(e: &sys::SysError) -> String {
    format!("runs and run time of programs are not counted, but where kernel.bpf_stats_enabled is 1: {e}")
}

/// A map that is on the machine already. Its elements are counted, if it is one that fills up.
fn existing(source: &Source, part: &Existing) -> Result<Watch, CliError> {
    let words: Vec<String> = part.from().get_ref().split_whitespace().map(String::from).collect();
    let found = map_select::find(&words).map_err(|e| source.at(part.from().span(), whole(&e)))?;
    let pin = words.last().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let fills_up = matches!(
        found.info().map_type,
        MapType::Hash
            | MapType::PercpuHash
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
            | MapType::HashOfMaps
            | MapType::Sockhash
            | MapType::DevmapHash
            | MapType::Rhash
    );
    let shape = Shape::of_map(None, part.name.get_ref(), &found);
    Ok(Watch::new(shape, found, pin, fills_up))
}

/// The programs of the objects, and those that the file names.
fn programs(
    source: &Source,
    config: &Config,
    held: &[Held],
) -> Result<Vec<(String, String, ProgFd)>, CliError> {
    let copy =
        |program: &rawbpf::Program| program.as_ref().try_clone().map_err(CliError::sys("copy a descriptor"));
    let mut out = Vec::new();
    for object in held {
        for program in object.loaded.programs() {
            out.push((object.name.clone(), program.name().into(), copy(program)?));
        }
    }
    for part in &config.program {
        let words: Vec<String> = part.from().get_ref().split_whitespace().map(String::from).collect();
        let found = select::program(&words).map_err(|e| source.at(part.from().span(), whole(&e)))?;
        out.push((String::new(), part.name.get_ref().clone(), copy(&found.program)?));
    }
    Ok(out)
}

fn is_meant(shape: &Shape, part: &MetricPart) -> bool {
    let wanted = part.map.get_ref();
    let full = shape.object.as_ref().map(|object| format!("{object}/{}", shape.name));
    shape.name == *wanted || full.is_some_and(|full| full == *wanted)
}

/// The map that a metric is of.
fn find<'s>(
    source: &Source,
    part: &MetricPart,
    shapes: &'s [Shape],
    elsewhere: &[&str],
) -> Result<(usize, &'s Shape), CliError> {
    let mut found = shapes.iter().enumerate().filter(|(_, shape)| is_meant(shape, part));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            let problem = format!("several maps are called `{0}`; write OBJECT/{0}", part.map.get_ref());
            Err(source.at(part.map.span(), problem))
        }
        (None, _) => {
            let known: Vec<&str> =
                shapes.iter().map(|s| s.name.as_str()).chain(elsewhere.iter().copied()).collect();
            let known = if known.is_empty() {
                "there are none".into()
            } else {
                format!("there are {}", known.join(", "))
            };
            Err(source.at(part.map.span(), format!("there is no map `{}`; {known}", part.map.get_ref())))
        }
    }
}
