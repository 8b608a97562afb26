//! Loading and attaching what the file names, as `rawbpf load --foreground` does.

use rawbpf::Loaded;
use rawbpf::deploy::{self, Deployed, Made};

use crate::file::object::{Named, ObjectPart};
use crate::file::place::Source;
use crate::keep::report::{LoadReport, report};
use crate::targets::request::{self, Wanted as Request};
use crate::ui::error::CliError;

/// An object that the file names, and how it is to be loaded.
pub(super) struct Wanted(Named);

/// An object that is loaded, and attached while this lives.
pub(super) struct Held {
    pub(super) name: String,
    pub(super) loaded: Loaded,
    report: LoadReport,
    made: Vec<Made>,
}

impl Held {
    /// Returns what to report and what to keep open.
    pub(super) fn split(self) -> (LoadReport, (Loaded, Vec<Made>)) {
        (self.report, (self.loaded, self.made))
    }

    /// True if something is attached that does not go away by itself when the process ends.
    pub(super) fn has_to_be_detached(&self) -> bool {
        self.made.iter().any(Made::is_linkless)
    }
}

impl Wanted {
    /// Reads the object; nothing is loaded yet.
    pub(super) fn read(source: &Source, part: &ObjectPart) -> Result<Wanted, CliError> {
        let named = part.read(source)?;
        if named.how.wait {
            let at = part.load.iter().find(|(key, _)| key.get_ref() == "wait");
            let span = at.map_or(part.path.span(), |(_, value)| value.span());
            let problem = "when all is loaded, the rights that attaching takes are given up; let `rawbpf apply --watch` \
                           attach what comes later, and name its maps by [[map]]";
            return Err(source.at(span, problem));
        }
        Ok(Wanted(named))
    }

    pub(super) fn name(&self) -> &String {
        &self.0.name
    }

    pub(super) fn object(&self) -> &rawbpf::Object {
        &self.0.object
    }

    /// Loads and attaches. What is to be done in another network namespace is done by a thread that goes there and
    /// ends there: this one listens where it is.
    pub(super) fn load(self) -> Result<Held, CliError> {
        let Named { name, path, how, object } = self.0;
        let Request { request, loading } = request::of(object, &name, &how)?;
        let done = deploy::hold(&request, &loading)?;
        let report = report(&name, &path, None, &how, &done)?;
        let Deployed { loaded, made, .. } = done;
        let loaded = loaded.ok_or_else(|| CliError::Option(format!("`{name}` was not loaded")))?;
        Ok(Held { name, loaded, report, made })
    }
}
