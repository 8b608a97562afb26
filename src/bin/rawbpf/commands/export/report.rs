//! What the command says before it serves, or instead.

use std::io::{self, Write};

use serde::Serialize;

use super::config::Kind;
use super::metric::Metric;
use super::watch::Watch;
use crate::keep::report::LoadReport;
use crate::ui::output::Report;
use crate::ui::style::count;
use crate::ui::table::Table;

/// What is exported.
#[derive(Debug, Default, Serialize)]
pub(super) struct ExportReport {
    /// Where the metrics are; null with --check.
    pub(super) url: Option<String>,
    pub(super) objects: Vec<LoadReport>,
    pub(super) maps: Vec<MapRow>,
    pub(super) metrics: Vec<MetricRow>,
    /// The capabilities that were kept; null with --check.
    pub(super) capabilities: Option<Vec<String>>,
    /// Metrics that --check could not look at: their maps are on the machine.
    pub(super) unchecked: Vec<String>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct MapRow {
    object: Option<String>,
    name: String,
    map_type: String,
    id: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct MetricRow {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    map: String,
    labels: Vec<String>,
}

impl MapRow {
    pub(super) fn new(watch: &Watch) -> MapRow {
        let info = watch.map().info();
        MapRow {
            object: watch.shape.object.clone(),
            name: watch.shape.name.clone(),
            map_type: info.map_type.to_string(),
            id: info.id,
        }
    }
}

impl MetricRow {
    pub(super) fn new(metric: &Metric, map: &str) -> MetricRow {
        let total = if metric.kind == Kind::Counter { "_total" } else { "" };
        MetricRow {
            name: format!("{}{total}", metric.name),
            kind: metric.kind.name(),
            map: map.into(),
            labels: metric.label_names(),
        }
    }
}

impl Report for ExportReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for object in &self.objects {
            object.text(out)?;
        }
        let mut table = Table::new(&[]);
        for m in &self.metrics {
            let labels =
                if m.labels.is_empty() { String::new() } else { format!("by {}", m.labels.join(", ")) };
            table.row(vec!["  metric".into(), m.name.clone(), m.kind.into(), m.map.clone(), labels]);
        }
        table.write(out)?;
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        if !self.unchecked.is_empty() {
            let names = self.unchecked.join(", ");
            writeln!(out, "not checked, as their maps are not in the objects: {names}")?;
        }
        if let Some(kept) = &self.capabilities {
            let kept = if kept.is_empty() { "none".into() } else { kept.join(", ") };
            writeln!(out, "capabilities kept: {kept}")?;
        }
        match &self.url {
            Some(url) => writeln!(out, "serving {} at {url}", count(self.metrics.len(), "metric")),
            None => writeln!(out, "the file is in order: {}", count(self.metrics.len(), "metric")),
        }
    }
}
