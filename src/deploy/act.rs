//! The steps of a loaded object: which of its programs goes where.

use super::attach::{Undo, attach, keep_before, take_away};
use super::diff::DeployStep;
use super::error::{DeployError, Result};
use super::made::Made;
use super::request::WantedHook;
use super::state::Actual;
use super::store::{LoadEntry, PinPart};
use super::{struct_ops, table};
use crate::kernel::Kernel;
use crate::links::Link;
use crate::loader::Loaded;
use crate::progs::Program;

/// What was attached, and what could not be.
pub(super) type Built = (Vec<Made>, Vec<(String, DeployError)>);

/// What attaches the programs of a loaded object.
pub(super) struct Act<'a> {
    /// Where to write down what hooks keep; none for what is not pinned.
    pub(super) entry: Option<&'a LoadEntry>,
    pub(super) kernel: &'a Kernel,
    pub(super) loaded: &'a Loaded,
    pub(super) made: Vec<Made>,
    pub(super) failed: Vec<(String, DeployError)>,
}

impl Act<'_> {
    /// Everything that is to be attached where nothing of ours is.
    pub(super) fn attach_all(&mut self, steps: &[DeployStep]) -> Result<()> {
        for step in steps {
            match step {
                DeployStep::Attach { wanted, .. } => {
                    let Some(program) = self.loaded.program(&wanted.program) else { continue };
                    match self.attach(program, wanted) {
                        Ok(made) => self.made.push(made),
                        Err(e) if wanted.by_section => self.failed.push((wanted.program.clone(), e)),
                        Err(e) => return Err(e),
                    }
                }
                DeployStep::Table { map } => {
                    let Some(found) = struct_ops::tables(self.loaded).find(|m| m.name() == map) else {
                        continue;
                    };
                    match table::attach(self.entry, self.loaded, found) {
                        Ok(made) => self.made.push(made),
                        Err(e) => self.failed.push((map.clone(), e)),
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attach(&self, program: &Program, wanted: &WantedHook) -> Result<Made> {
        let taken = |pin: &str| self.made.iter().any(|m| m.pin == pin);
        attach(self.entry, self.kernel, self.loaded.maps(), program, wanted, taken)
    }

    /// Puts a program of ours behind a link of the old one's.
    pub(super) fn update(
        &mut self,
        old: &LoadEntry,
        actual: &Actual,
        program: &str,
        place: &str,
        undo: &mut Undo,
    ) -> Result<()> {
        let Some(after) = self.loaded.program(program) else {
            let (program, place) = (program.to_string(), place.to_string());
            return Err(DeployError::NoSuccessor { program, place });
        };
        let path = old.path(PinPart::Links, &actual.pin);
        let open = || Link::open_pin(&path).map_err(DeployError::open("link", &path));
        let before = Program::open_id(actual.prog_id)
            .map_err(DeployError::sys("open the program that is attached"))?;
        if let Some(new) = self.entry {
            keep_before(new, &actual.pin, &before)?;
        }
        // Both are opened before anything is changed: what cannot be undone is not done.
        let (link, again) = (open()?, open()?);
        undo.swapped.push((again, before));
        let before = undo.swapped.last().map(|(_, before)| before);
        link.update(after, before).map_err(DeployError::sys(format!("replace the program of {place}")))?;
        let key = actual.key.clone();
        let (program, place, pin) = (program.into(), place.into(), actual.pin.clone());
        self.made.push(Made { link: Some(link), program, place, pin, key, kept: true });
        Ok(())
    }

    /// Detaches an XDP program and attaches its successor in another way.
    pub(super) fn again(
        &mut self,
        old: &LoadEntry,
        actual: &Actual,
        wanted: &WantedHook,
        undo: &mut Undo,
    ) -> Result<()> {
        let Some(program) = self.loaded.program(&wanted.program) else { return Ok(()) };
        undo.again.push(take_away(old, actual, wanted)?);
        let made = self.attach(program, wanted)?;
        self.made.push(made);
        Ok(())
    }

    /// An error if there is nothing but failures, or any at all if all has to succeed.
    pub(super) fn finish(mut self, strict: bool) -> Result<Built> {
        if self.failed.is_empty() || !strict && !self.made.is_empty() {
            return Ok((self.made, self.failed));
        }
        Err(self.failed.swap_remove(0).1)
    }
}
