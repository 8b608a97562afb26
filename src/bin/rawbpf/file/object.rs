//! One `[[object]]`: read, with its file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rawbpf::deploy::{LoadRecord, digest};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::keys;
use super::place::Source;
use crate::options::LoadOptions;
use crate::ui::error::{CliError, whole};

/// An object, and how it is loaded and attached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectPart {
    /// The file; a relative path starts at the folder of the configuration.
    pub(crate) path: Spanned<PathBuf>,
    /// What to call it; the file name up to its first dot if not given.
    pub(crate) name: Option<String>,
    /// The options of `rawbpf load`, without the dashes.
    #[serde(default)]
    pub(crate) load: BTreeMap<Spanned<String>, Spanned<Value>>,
}

/// An object that was read, and what is wanted of it.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) how: LoadOptions,
    pub(crate) object: rawbpf::Object,
}

impl ObjectPart {
    /// The options, each mistake at its place.
    pub(crate) fn options(&self, source: &Source) -> Result<LoadOptions, CliError> {
        let mut how = LoadOptions::default();
        for (key, value) in &self.load {
            if !keys::KEYS.contains(&key.get_ref().as_str()) {
                let near = crate::select::near(key.get_ref(), keys::KEYS.iter().copied());
                let problem = format!("`rawbpf load` has no option --{}{near}", key.get_ref());
                return Err(source.at(key.span(), problem));
            }
            keys::set(&mut how, key.get_ref(), value.get_ref())
                .map_err(|problem| source.at(value.span(), problem))?;
        }
        keys::check(&how).map_err(|(key, problem)| {
            let at = self
                .load
                .iter()
                .find(|(k, _)| k.get_ref() == key)
                .map_or(self.path.span(), |(_, v)| v.span());
            source.at(at, problem)
        })?;
        // Files that the options name stand beside the configuration, too.
        for path in [&mut how.overrides.btf, &mut how.overrides.kconfig].into_iter().flatten() {
            *path = source.beside(path);
        }
        Ok(how)
    }

    /// Reads the object; nothing is loaded yet.
    pub(crate) fn read(&self, source: &Source) -> Result<Named, CliError> {
        let path = source.beside(self.path.get_ref());
        let how = self.options(source)?;
        let object = how.overrides.object(&path).map_err(|e| source.at(self.path.span(), whole(&e)))?;
        let name = self.name.clone().unwrap_or_else(|| object.name.clone());
        Ok(Named { name, path, how, object })
    }
}

/// What is written down beside the pins: the `[[object]]` that would make it again.
pub(crate) fn record(name: &str, path: &std::path::Path, how: &LoadOptions) -> Result<LoadRecord, CliError> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut bytes = std::fs::read(path).map_err(CliError::io(format!("read {}", path.display())))?;
    bytes.extend(keys::of_loading(how).bytes());
    let line = |key: &str, value: &Value| format!("{key} = {value}\n");
    let mut text = line("path", &Value::String(whole.display().to_string()));
    text.push_str(&line("name", &Value::String(name.into())));
    let load: Vec<String> = keys::all(how).iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if !load.is_empty() {
        text.push_str(&format!("load = {{ {} }}\n", load.join(", ")));
    }
    Ok(LoadRecord { digest: digest(&bytes), text })
}

/// The options that a record has; `None` if it was not written by this command.
pub(crate) fn recorded(record: &LoadRecord) -> Option<(ObjectPart, LoadOptions)> {
    let source = Source::new("record".as_ref(), record.text.clone());
    let part: ObjectPart = toml::from_str(source.text()).ok()?;
    let how = part.options(&source).ok()?;
    Some((part, how))
}
