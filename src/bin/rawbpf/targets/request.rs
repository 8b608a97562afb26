//! Options become a request of the stage that deploys: from a command line and from a file alike.

use std::path::Path;

use rawbpf::deploy::{LoadRecord, Loading, Maps, Request, Rest, Wish, is_traced};
use rawbpf::{Object, Target};

use crate::file::keys;
use crate::file::object::{record, recorded};
use crate::options::LoadOptions;
use crate::targets::{all, loading, section};
use crate::ui::error::CliError;

/// An object, and what is wanted of it.
pub(crate) struct Wanted {
    pub(crate) request: Request,
    pub(crate) loading: Loading,
}

/// Reads an object and says what is wanted of it. `maps` is what becomes of maps if the options do not say.
pub(crate) fn read(
    path: &Path,
    name: Option<&str>,
    how: &LoadOptions,
    maps: Maps,
) -> Result<Wanted, CliError> {
    let object = how.overrides.object(path)?;
    let name = name.map_or_else(|| object.name.clone(), String::from);
    let mut wanted = of(object, &name, how)?;
    wanted.request.maps = how.maps(maps);
    wanted.request.record = record(&name, path, how)?;
    Ok(wanted)
}

/// The same for an object that was read already, without a record.
pub(crate) fn of(object: Object, name: &str, how: &LoadOptions) -> Result<Wanted, CliError> {
    let loading = loading(object, how)?;
    let wish = |(program, target): (String, Target)| {
        let by_section = section::is_by_section(&program, &target, how);
        Wish { program, target, by_section }
    };
    let mut request = Request::new(name);
    request.wishes = all(&loading, how)?.into_iter().map(wish).collect();
    request.tables = !how.no_attach;
    request.netns = how.net.netns.clone();
    request.strict = how.strict;
    request.wait = how.wait;
    Ok(Wanted { request, loading })
}

impl Wanted {
    /// `load --replace` without a hook: those that are there stay, and where they were is known from the record.
    pub(crate) fn keep_hooks(
        &mut self,
        path: &Path,
        how: &LoadOptions,
        old: Option<&LoadRecord>,
    ) -> Result<(), CliError> {
        if !self.request.wishes.iter().all(|w| is_traced(&w.target)) {
            return Ok(());
        }
        self.request.rest = Rest::Stay;
        let Some((_, before)) = old.and_then(recorded) else { return Ok(()) };
        if self.request.netns.is_none() {
            self.request.netns = before.net.netns.clone();
        }
        let merged = keys::with_hooks_of(how, &before);
        // Its programs may have other names by now; then nothing of what was wanted can be.
        if let Ok(before) = how.overrides.object(path).and_then(|o| of(o, &self.request.name, &merged)) {
            self.request.before = before.request.wishes;
            self.request.record = record(&self.request.name, path, &merged)?;
        }
        Ok(())
    }
}
