//! What is served at one moment, before it is written in a format.

use std::sync::Arc;

use super::amount::Amount;
use super::config::Kind;

/// A metric and all its series.
#[derive(Debug, Clone)]
pub(super) struct Family {
    /// Without `_total`.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) help: String,
    pub(super) points: Vec<Point>,
}

/// A series at one moment.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) labels: Vec<(Arc<str>, String)>,
    pub(super) number: Number,
}

/// What it says.
#[derive(Debug, Clone)]
pub(super) enum Number {
    One(Amount),
    /// Counts of slots, not yet summed up; the last has no bound.
    Histogram {
        bounds: Vec<f64>,
        counts: Vec<u128>,
        sum: Option<Amount>,
    },
}

impl Family {
    pub(super) fn new(kind: Kind, name: &str, help: &str) -> Family {
        Family { name: name.into(), kind, help: help.into(), points: Vec::new() }
    }

    /// Adds a series. A label without a value is none.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], amount: Amount) {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| (Arc::from(*name), value.to_string())).collect();
        self.points.push(Point { labels, number: Number::One(amount) });
    }

    /// The names of all its samples, so that no other metric may have them.
    pub(super) fn sample_names(name: &str, kind: Kind) -> Vec<String> {
        let ends: &[&str] = match kind {
            Kind::Counter => &["", "_total"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_count", "_sum"],
        };
        ends.iter().map(|end| format!("{name}{end}")).collect()
    }
}
