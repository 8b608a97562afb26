//! The grammar of the file, as types. What serde cannot say (that a map exists, that a name is one) is said where it
//! is used, by the same kind of error: see `place`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Spanned, Value};

use crate::file::object::ObjectPart;
use crate::file::place::Source;
use crate::ui::error::CliError;

/// Series of a metric, if neither the metric nor the file says.
pub(super) const MAX_SERIES: usize = 1000;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// Where to listen, unless --listen says.
    pub(super) listen: Option<SocketAddr>,
    /// Have the kernel count runs and run time of programs.
    #[serde(default = "yes")]
    pub(super) stats: bool,
    /// The most series of a metric that does not say.
    #[serde(default = "max_series")]
    pub(super) max_series: usize,
    /// Where the cgroup2 file system of the machine is mounted.
    #[serde(default = "cgroup_root")]
    pub(super) cgroup_root: PathBuf,
    #[serde(default)]
    pub(super) object: Vec<ObjectPart>,
    #[serde(default)]
    pub(super) map: Vec<Existing>,
    #[serde(default)]
    pub(super) program: Vec<Existing>,
    #[serde(default)]
    pub(super) metric: Vec<MetricPart>,
}

/// A map or program that is on the machine already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Existing {
    /// What to call it here.
    pub(super) name: Spanned<String>,
    /// Which: the path of a pin, `id N`, or a name, as the other commands take it; the name here if not given.
    pub(super) from: Option<Spanned<String>>,
}

impl Existing {
    /// The words of the selector, and where they stand.
    pub(super) fn from(&self) -> &Spanned<String> {
        self.from.as_ref().unwrap_or(&self.name)
    }
}

/// How a number grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// What becomes of a map.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricPart {
    pub(super) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) kind: Spanned<Kind>,
    pub(super) help: Option<String>,
    /// `MAP`, or `OBJECT/MAP`.
    pub(super) map: Spanned<String>,
    /// The number: a path that begins with `value` (or `key`).
    pub(super) value: Option<Spanned<String>>,
    /// What the number is multiplied by: 1e-9 makes seconds of nanoseconds.
    pub(super) scale: Option<Spanned<f64>>,
    pub(super) max_series: Option<usize>,
    /// Leave out series whose number is 0: arrays are full of them.
    #[serde(default)]
    pub(super) skip_zeros: bool,
    /// Name, and a path or a table: see [`LabelPart`].
    #[serde(default)]
    pub(super) labels: BTreeMap<Spanned<String>, Spanned<Value>>,
    pub(super) buckets: Option<Spanned<BucketsPart>>,
}

/// A label that is more than a path.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelPart {
    /// A path that begins with `key` or `value`; or `cpu`.
    pub(super) from: String,
    /// How to read it, where its type does not say.
    #[serde(rename = "as")]
    pub(super) format: Option<String>,
    /// Words for what it reads.
    #[serde(default)]
    pub(super) names: BTreeMap<String, String>,
}

/// How slots of a map are ranges of a measured value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketsPart {
    #[serde(rename = "type")]
    pub(super) kind: Spacing,
    /// Where the number of the slot is, if the value is no array of slots.
    pub(super) slot: Option<Spanned<String>>,
    /// How many slots there are; what is above is counted in the last.
    pub(super) count: Option<Spanned<usize>>,
    /// Linear: where slot 0 begins.
    #[serde(default)]
    pub(super) start: i64,
    /// Linear: how wide each is.
    pub(super) width: Option<u32>,
    /// Where the sum of all measured values is.
    pub(super) sum: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spacing {
    Log2,
    Linear,
}

fn yes() -> bool {
    true
}

fn max_series() -> usize {
    MAX_SERIES
}

fn cgroup_root() -> PathBuf {
    "/sys/fs/cgroup".into()
}

impl Config {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<(Source, Config), CliError> {
        let doing = format!("read the configuration {}", path.display());
        let text = std::fs::read_to_string(path).map_err(CliError::io(doing))?;
        let source = Source::new(path, text);
        let config = toml::from_str(source.text())
            .map_err(|e| source.at(e.span().unwrap_or_default(), e.message().trim_end()))?;
        Ok((source, config))
    }
}

impl LabelPart {
    /// A path alone, or a table.
    pub(super) fn of(value: &Value) -> Result<LabelPart, String> {
        match value {
            Value::String(from) => Ok(LabelPart { from: from.clone(), format: None, names: BTreeMap::new() }),
            Value::Table(_) => value.clone().try_into().map_err(|e| e.message().trim_end().to_string()),
            other => Err(format!(
                "a label is a path such as \"key.port\", or a table with `from`, and not {}",
                other.type_str()
            )),
        }
    }
}
