//! Where in the file: an error names the file, the line and the key.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::ui::error::CliError;

/// The file that is read.
pub(crate) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub(crate) fn new(path: &Path, text: String) -> Source {
        Source { path: path.into(), text }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A path in the file: a relative one starts at the file's own folder.
    pub(crate) fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// An error about what stands there.
    pub(crate) fn at(&self, span: Range<usize>, problem: impl Display) -> CliError {
        let before = self.text.get(..span.start).unwrap_or_default();
        let key = DeTable::parse(&self.text).ok().and_then(|table| key_at(table.get_ref(), &span));
        CliError::Config {
            file: self.path.clone(),
            line: before.matches('\n').count() + 1,
            key: key.map_or_else(String::new, |key| format!("{key}: ")),
            problem: problem.to_string(),
        }
    }
}

/// The path of the innermost key that the span is of. A table's own span is its head alone, so what is in it is
/// looked at first.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref().as_ref();
        let here = || (holds(&key.span(), span) || holds(&value.span(), span)).then(|| name.to_string());
        inside(value.get_ref(), span).map(|inner| format!("{name}{inner}")).or_else(here)
    })
}

fn inside(value: &DeValue<'_>, span: &Range<usize>) -> Option<String> {
    match value {
        DeValue::Table(table) => key_at(table, span).map(|key| format!(".{key}")),
        DeValue::Array(items) => items.iter().enumerate().find_map(|(n, item)| {
            let here = || holds(&item.span(), span).then(String::new);
            inside(item.get_ref(), span).or_else(here).map(|inner| format!("[{n}]{inner}"))
        }),
        _ => None,
    }
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
