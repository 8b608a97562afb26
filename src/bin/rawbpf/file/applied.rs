//! The file of `rawbpf apply`: its objects. What it has for `rawbpf export` is left to that.

use std::collections::HashSet;
use std::path::Path;

use rawbpf::deploy::Maps;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::object::{Named, ObjectPart, record};
use super::place::Source;
use crate::targets::request::{self, Wanted};
use crate::ui::error::CliError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Applied {
    #[serde(default)]
    object: Vec<ObjectPart>,
    #[serde(rename = "listen")]
    _listen: Option<IgnoredAny>,
    #[serde(rename = "stats")]
    _stats: Option<IgnoredAny>,
    #[serde(rename = "max_series")]
    _max_series: Option<IgnoredAny>,
    #[serde(rename = "cgroup_root")]
    _cgroup_root: Option<IgnoredAny>,
    #[serde(rename = "map")]
    _map: Option<IgnoredAny>,
    #[serde(rename = "program")]
    _program: Option<IgnoredAny>,
    #[serde(rename = "metric")]
    _metric: Option<IgnoredAny>,
}

/// An object of the file: what is wanted, or why that cannot be said.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) named: Result<Wanted, CliError>,
}

/// Reads the file and its objects. What is wrong with one object is that object's matter; what is wrong with the file is
/// an error.
pub(crate) fn read(path: &Path) -> Result<Vec<Part>, CliError> {
    let doing = format!("read the configuration {}", path.display());
    let text = std::fs::read_to_string(path).map_err(CliError::io(doing))?;
    let source = Source::new(path, text);
    let file: Applied = toml::from_str(source.text())
        .map_err(|e| source.at(e.span().unwrap_or_default(), e.message().trim_end()))?;
    let mut names = HashSet::new();
    let mut out = Vec::new();
    for part in &file.object {
        let named = part.read(&source);
        let stem = |path: &Path| {
            let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            file.split('.').next().unwrap_or_default().to_string()
        };
        let name = match &named {
            Ok(named) => named.name.clone(),
            Err(_) => part.name.clone().unwrap_or_else(|| stem(part.path.get_ref())),
        };
        if !names.insert(name.clone()) {
            let problem = format!("two objects are called `{name}`; give one another name with `name`");
            return Err(source.at(part.path.span(), problem));
        }
        let named = named.and_then(|named| wanted(named).map_err(|e| at(&source, part, e)));
        out.push(Part { name, named });
    }
    Ok(out)
}

fn wanted(named: Named) -> Result<Wanted, CliError> {
    let Named { name, path, how, object } = named;
    let mut wanted = request::of(object, &name, &how)?;
    wanted.request.maps = how.maps(Maps::Keep);
    wanted.request.record = record(&name, &path, &how)?;
    Ok(wanted)
}

/// A mistake in an option is one of a line of the file: `--xdp: ...` is about the key `xdp`.
fn at(source: &Source, part: &ObjectPart, e: CliError) -> CliError {
    let CliError::Option(text) = &e else { return e };
    let key = text.strip_prefix("--").and_then(|t| t.split([':', ' ']).next());
    let found = key.and_then(|key| part.load.iter().find(|(k, _)| k.get_ref() == key));
    let problem = key.and_then(|key| text.strip_prefix(&format!("--{key}: "))).unwrap_or(text);
    let span = found.map_or(part.path.span(), |(_, value)| value.span());
    source.at(span, problem)
}
