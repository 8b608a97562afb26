//! Loading and attaching what the file names, as `rawbpf load --foreground` does.

use std::path::PathBuf;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use rawbpf::Loaded;
use rawbpf::links::Lifetime;
use toml::Value;

use super::config::ObjectPart;
use super::place::Source;
use crate::keep::attach::{self, Attachments};
use crate::keep::report::{LoadReport, report};
use crate::keep::{self, struct_ops};
use crate::options::LoadOptions;
use crate::select;
use crate::targets::{self, net};
use crate::ui::error::{CliError, whole};

/// The options of `rawbpf load` that stand in the file.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Words {
    #[command(flatten)]
    how: LoadOptions,
}

/// An object that the file names, and how it is to be loaded.
pub(super) struct Wanted {
    pub(super) name: String,
    path: PathBuf,
    pub(super) how: LoadOptions,
    pub(super) object: rawbpf::Object,
}

/// An object that is loaded, and attached while this lives.
pub(super) struct Held {
    pub(super) name: String,
    pub(super) loaded: Loaded,
    report: LoadReport,
    attached: Attachments,
}

impl Held {
    /// What to say of it, and what to keep.
    pub(super) fn split(self) -> (LoadReport, (Loaded, Attachments)) {
        (self.report, (self.loaded, self.attached))
    }

    /// True if something is attached that does not go away by itself when the process ends.
    pub(super) fn has_to_be_detached(&self) -> bool {
        self.attached.done.iter().any(|a| a.link.lifetime() == Lifetime::Hook)
    }
}

impl Wanted {
    /// Reads the object; nothing is loaded yet.
    pub(super) fn read(source: &Source, part: &ObjectPart) -> Result<Wanted, CliError> {
        let path: PathBuf = source.beside(part.path.get_ref());
        let how = options(source, part)?;
        let object = how.overrides.object(&path).map_err(|e| source.at(part.path.span(), whole(&e)))?;
        let name = part.name.clone().unwrap_or_else(|| object.name.clone());
        Ok(Wanted { name, path, how, object })
    }

    /// Loads and attaches. What is to be done in another network namespace is done by a thread that goes there and
    /// ends there: this one listens where it is.
    pub(super) fn load(self) -> Result<Held, CliError> {
        if self.how.net.netns.is_none() {
            return self.load_here();
        }
        let name = self.name.clone();
        std::thread::spawn(|| self.load_here()).join().unwrap_or_else(|_| {
            Err(CliError::Option(format!("loading `{name}` in its network namespace came to no end")))
        })
    }

    fn load_here(self) -> Result<Held, CliError> {
        let how = &self.how;
        let (object, plan) = targets::prepare(&self.path, how)?;
        net::enter(how.net.netns.as_ref())?;
        let targets = targets::all(&object, &plan, how)?;
        let loaded = plan.run()?;
        let mut attached = attach::attach(None, &loaded, &targets, how)?;
        struct_ops::attach_all(None, &loaded, how, &[], &mut attached);
        let attached = attached.or_error(how.strict)?;
        let wanted = keep::wanted::Wanted { object: &self.path, how, plan: &plan, targets: &targets };
        let report = report(&wanted, &self.name, None, &loaded, &attached)?;
        Ok(Held { name: self.name, loaded, report, attached })
    }
}

/// The keys of `load` as the words that the command line would have.
fn options(source: &Source, part: &ObjectPart) -> Result<LoadOptions, CliError> {
    let mut command = Words::command();
    let mut words = Vec::new();
    for (key, value) in &part.load {
        let known: Vec<&str> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        let key_word = key.get_ref().as_str();
        if !known.contains(&key_word) {
            let near = select::near(key_word, known.iter().copied());
            let problem = format!("`rawbpf load` has no option --{key_word}{near}");
            return Err(source.at(key.span(), problem));
        }
        let more = spell(key_word, value.get_ref()).map_err(|problem| source.at(value.span(), problem))?;
        words.extend(more);
    }
    let parsed = command.try_get_matches_from_mut(&words).and_then(|m| Words::from_arg_matches(&m));
    parsed.map(|words| words.how).map_err(|e| {
        let text = e.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let first: Vec<&str> = text.lines().map(str::trim).take_while(|l| !l.is_empty()).collect();
        // The longest, for --xdp stands in --xdp-mode, too.
        let named = part.load.iter().filter(|(key, _)| text.contains(&format!("--{}", key.get_ref())));
        let named = named.max_by_key(|(key, _)| key.get_ref().len());
        let span = named.map_or(part.path.span(), |(_, value)| value.span());
        source.at(span, first.join(" "))
    })
}

/// `xdp = ["a", "b"]`, `no-attach = true`, `set = { pid = 7 }` as words.
fn spell(key: &str, value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(n) => Ok(n.to_string()),
        Value::Float(n) => Ok(n.to_string()),
        Value::Boolean(b) => Ok(b.to_string()),
        other => Err(format!("{} is no value of an option", other.type_str())),
    };
    let word = |text: String| format!("--{key}={text}");
    match value {
        Value::Boolean(true) => Ok(vec![format!("--{key}")]),
        Value::Boolean(false) => Ok(Vec::new()),
        Value::Array(items) => items.iter().map(|item| one(item).map(word)).collect(),
        Value::Table(pairs) => {
            pairs.iter().map(|(name, value)| Ok(word(format!("{name}={}", one(value)?)))).collect()
        }
        other => one(other).map(|text| vec![word(text)]),
    }
}
