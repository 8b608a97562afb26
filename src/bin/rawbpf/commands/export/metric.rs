//! A metric: what is read of each element of a map, and what becomes of it.

use std::sync::Arc;

use rawbpf::Map;

use super::amount::Amount;
use super::buckets::Buckets;
use super::cell::{Cell, Shape, Side};
use super::config::{Kind, LabelPart, MetricPart};
use super::label::Label;
use super::names::Names;
use super::page::{Family, Number, Point};
use super::series::{Reading, Series};
use crate::file::place::Source;
use crate::ui::error::CliError;

/// What is read for a series.
#[derive(Debug)]
enum What {
    Number(Cell),
    Buckets(Buckets),
}

/// A metric of one map.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) kind: Kind,
    help: String,
    what: What,
    scale: Option<f64>,
    labels: Vec<Label>,
    by_cpu: bool,
    skip_zeros: bool,
    pub(super) series: Series,
}

impl Metric {
    /// Looks up in the types of the map all that the file says.
    pub(super) fn new(
        source: &Source,
        shape: &Shape,
        part: &MetricPart,
        max: usize,
    ) -> Result<Metric, CliError> {
        let name = name_of(part).map_err(|e| source.at(part.name.span(), e))?;
        let kind = *part.kind.get_ref();
        let path = part.value.as_ref();
        let value_span = path.map_or(part.map.span(), |p| p.span());
        let value = Cell::new(shape, path.map_or("value", |p| p.get_ref().as_str()))
            .map_err(|e| source.at(value_span.clone(), e))?;
        let what = what(source, shape, part, value)?;
        let wrong = match &what {
            What::Number(cell) => cell.not_a_number(),
            What::Buckets(buckets) => buckets.not_a_number(),
        };
        if let Some(ty) = wrong {
            let problem = format!("this is {ty}, and no number; `value` names the member, as in value.NAME");
            return Err(source.at(value_span, problem));
        }
        let labels = labels(source, shape, part)?;
        let by_cpu = labels.iter().any(Label::is_cpu);
        let scale = part.scale.as_ref().map(|scale| *scale.get_ref());
        if let (Some(scale), Some(part)) = (scale, &part.scale) {
            if !scale.is_finite() || scale <= 0.0 {
                return Err(source.at(part.span(), "a scale is a number above 0"));
            }
        }
        let help = part.help.clone().unwrap_or_else(|| default_help(shape, part));
        let series = Series::new(part.max_series.unwrap_or(max));
        let skip_zeros = part.skip_zeros;
        Ok(Metric { name, kind, help, what, scale, labels, by_cpu, skip_zeros, series })
    }

    /// Takes in an element.
    pub(super) fn element(&mut self, map: &Map, key: &[u8], value: &[u8], names: &mut Names) {
        let slots: Vec<(u32, &[u8])> = map.slots(value).collect();
        if self.by_cpu {
            slots.into_iter().for_each(|slot| self.slots(key, &[slot], names));
        } else {
            self.slots(key, &slots, names);
        }
    }

    fn slots(&mut self, key: &[u8], slots: &[(u32, &[u8])], names: &mut Names) {
        let Some((cpu, first)) = slots.first() else { return };
        let values: Vec<&[u8]> = slots.iter().map(|(_, slot)| *slot).collect();
        // Before it takes a place: the limit is for what is shown.
        if let (true, What::Number(cell)) = (self.skip_zeros, &self.what) {
            if Amount::sum(cell, key, values.iter().copied()).is_some_and(Amount::is_zero) {
                return;
            }
        }
        let labels = self.labels.iter().map(|l| l.read(key, first, *cpu, names)).collect::<Option<Vec<_>>>();
        let Some(labels) = labels else {
            self.series.unreadable += 1;
            return;
        };
        let (what, scale) = (&self.what, self.scale);
        let empty = || match what {
            What::Number(_) => Reading::Number(Amount::ZERO),
            What::Buckets(buckets) => Reading::Counts(buckets.empty()),
        };
        self.series.add(labels, empty, |reading| match (what, reading) {
            (What::Number(cell), Reading::Number(sum)) => {
                let amount = Amount::sum(cell, key, values.iter().copied())?;
                *sum = sum.plus(amount.scaled(scale));
                Some(())
            }
            (What::Buckets(buckets), Reading::Counts(counts)) => buckets.add(counts, key, &values),
            _ => None,
        });
    }

    /// All series, as they are served.
    pub(super) fn family(&mut self) -> Family {
        let bounds = match &self.what {
            What::Buckets(buckets) => buckets.bounds(self.scale),
            What::Number(_) => Vec::new(),
        };
        let names: Vec<Arc<str>> = self.labels.iter().map(|l| Arc::clone(&l.name)).collect();
        let point = |(labels, reading): (Vec<String>, Reading)| Point {
            labels: names.iter().cloned().zip(labels).collect(),
            number: match reading {
                Reading::Number(n) => Number::One(n),
                Reading::Counts(counts) => Number::Histogram {
                    bounds: bounds.clone(),
                    counts: counts.slots,
                    sum: counts.sum.map(|sum| sum.scaled(self.scale)),
                },
            },
        };
        let points = self.series.finish(self.skip_zeros).into_iter().map(point).collect();
        Family { name: self.name.clone(), kind: self.kind, help: self.help.clone(), points }
    }

    /// The names of its labels.
    pub(super) fn label_names(&self) -> Vec<String> {
        self.labels.iter().map(|l| l.name.to_string()).collect()
    }
}

/// A number, or buckets.
fn what(source: &Source, shape: &Shape, part: &MetricPart, value: Cell) -> Result<What, CliError> {
    match (part.kind.get_ref(), &part.buckets) {
        (Kind::Histogram, Some(buckets)) => {
            let made = Buckets::new(shape, value, buckets.get_ref());
            made.map(What::Buckets).map_err(|e| source.at(buckets.span(), e))
        }
        (Kind::Histogram, None) => Err(source.at(part.kind.span(), "a histogram needs `buckets`")),
        (_, Some(buckets)) => Err(source.at(buckets.span(), "buckets are for histograms")),
        (_, None) => Ok(What::Number(value)),
    }
}

fn labels(source: &Source, shape: &Shape, part: &MetricPart) -> Result<Vec<Label>, CliError> {
    let mut labels = Vec::new();
    for (name, value) in &part.labels {
        check_label(name.get_ref(), *part.kind.get_ref()).map_err(|e| source.at(name.span(), e))?;
        let label = LabelPart::of(value.get_ref()).and_then(|l| Label::new(shape, name.get_ref(), l));
        labels.push(label.map_err(|e| source.at(value.span(), e))?);
    }
    let by_cpu = labels.iter().any(Label::is_cpu);
    for (label, (_, value)) in labels.iter().zip(&part.labels) {
        if label.is_of_value() && shape.is_per_cpu() && !by_cpu {
            let problem =
                "each CPU has a value of its own: a label of the value needs another with from = \"cpu\"";
            return Err(source.at(value.span(), problem));
        }
    }
    Ok(labels)
}

/// The name without what is added to it when it is served.
fn name_of(part: &MetricPart) -> Result<String, String> {
    let name = part.name.get_ref().as_str();
    let counter = *part.kind.get_ref() == Kind::Counter;
    let bare = if counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
    if !is_name(bare, ":") {
        return Err(format!(
            "`{name}` cannot be the name of a metric: letters, digits, _ and :, no digit first"
        ));
    }
    if bare.starts_with("rawbpf_") {
        return Err(format!("`{name}`: names that begin with rawbpf_ are the exporter's own"));
    }
    let reserved = ["_total", "_bucket", "_count", "_sum", "_created", "_info"];
    match reserved.iter().find(|suffix| bare.ends_with(*suffix)) {
        Some(suffix) => Err(format!("`{name}`: the ending {suffix} has a meaning of its own in OpenMetrics")),
        None => Ok(bare.into()),
    }
}

fn check_label(name: &str, kind: Kind) -> Result<(), String> {
    if !is_name(name, "") || name.starts_with("__") {
        return Err(format!("`{name}` cannot be the name of a label: letters, digits and _, no digit first"));
    }
    if name == "le" && kind == Kind::Histogram {
        return Err("`le` is the label of the buckets".into());
    }
    Ok(())
}

fn is_name(name: &str, more: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn default_help(shape: &Shape, part: &MetricPart) -> String {
    let path = part.value.as_ref().map_or("value", |p| p.get_ref().as_str());
    let side = if path.starts_with("key") { Side::Key } else { Side::Value };
    match path.split_once('.').map(|(_, rest)| rest).filter(|_| side == Side::Value) {
        Some(member) => format!("{member} of the map {}.", shape.name),
        None => format!("What the map {} holds.", shape.name),
    }
}
