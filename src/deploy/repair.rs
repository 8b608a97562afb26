//! Hooks put right while programs and maps stay: after an interface came back, a filter was deleted, or when other hooks
//! are wanted.
//!
//! Each step is whole by itself: a link is pinned where the pin of the dead one was, a program that a hook keeps is
//! written down before. Killed anywhere, the next command sees what is and makes the steps that are left.

use super::attach::{Taken, attach, take_away};
use super::diff::DeployStep;
use super::error::{DeployError, Result};
use super::hook::ProgramFacts;
use super::made::{Decision, Deployed, Made};
use super::mend::{self, unique};
use super::record::LoadRecord;
use super::remove::end;
use super::request::{Loading, Request, WantedHook};
use super::state::Actual;
use super::store::{LoadEntry, PinPart, unpin};
use crate::links::inventory::{Look, survey};
use crate::links::{Lifetime, Link, Scope};
use crate::progs::Program;

/// Makes the steps. If one fails, those that were made are undone, and nothing was detached yet.
pub(super) fn run(
    entry: &LoadEntry,
    request: &Request,
    loading: &Loading,
    decision: Decision,
) -> Result<Deployed> {
    let programs = loading.programs();
    let mut work = Work {
        entry,
        loading,
        programs,
        decision: &decision,
        made: Vec::new(),
        failed: Vec::new(),
        undo: Vec::new(),
    };
    if let Err(e) = work.all() {
        work.back();
        return Err(e);
    }
    if request.strict && !work.failed.is_empty() {
        let (_, e) = work.failed.swap_remove(0);
        work.back();
        return Err(e);
    }
    let (made, failed) = (work.made, work.failed);
    for back in work.undo {
        match back {
            Back::Updated { link, .. } if link.lifetime() == Lifetime::Hook => link.leak(),
            _ => {}
        }
    }
    if decision.state.record.as_ref() != Some(&request.record) {
        LoadRecord::remove(entry)?;
        request.record.write(entry);
    }
    Ok(Deployed { decision, loaded: None, made, failed, replaced: true, migrated: Vec::new() })
}

/// How to go back from one step.
enum Back {
    /// Detach what was attached.
    Attached { pin: String, linked: bool },
    /// Give the link its program back.
    Updated { link: Link, before: Program },
    /// Attach again what was detached.
    Taken { taken: Taken, pin: String },
}

struct Work<'a> {
    entry: &'a LoadEntry,
    loading: &'a Loading,
    programs: Vec<ProgramFacts>,
    decision: &'a Decision,
    made: Vec<Made>,
    failed: Vec<(String, DeployError)>,
    undo: Vec<Back>,
}

impl Work<'_> {
    fn all(&mut self) -> Result<()> {
        for step in &self.decision.steps {
            match step {
                DeployStep::Attach { wanted, .. } => match self.attach(wanted) {
                    Err(e) if wanted.by_section => self.failed.push((wanted.program.clone(), e)),
                    other => other?,
                },
                DeployStep::Update { actual, program, place } => self.update(actual, program, place)?,
                DeployStep::Again { actual, wanted, .. } => {
                    let taken = take_away(self.entry, actual, wanted)?;
                    self.undo.push(Back::Taken { taken, pin: actual.pin.clone() });
                    self.clear(actual)?;
                    self.attach(wanted)?;
                }
                _ => {}
            }
        }
        // Only now, when all that is new stands, something is let go of.
        for step in &self.decision.steps {
            match step {
                DeployStep::Detach { actual } => self.detach(actual)?,
                DeployStep::Clear { actual, .. } if !self.is_reused(actual) => self.clear(actual)?,
                _ => {}
            }
        }
        let dead = self.decision.state.attached.iter().filter(|a| !a.is_alive());
        dead.filter(|a| !self.is_reused(a)).try_for_each(|a| self.clear(a))
    }

    /// True if a new attachment has the pin that a dead one had.
    fn is_reused(&self, actual: &Actual) -> bool {
        self.made.iter().any(|m| m.pin == actual.pin && m.is_linkless() == actual.link.is_none())
    }

    fn attach(&mut self, wanted: &WantedHook) -> Result<()> {
        let program = program(self.entry, &self.programs, &wanted.program)?;
        let maps: Vec<crate::Map> = self.decision.state.maps.iter().map(|(_, m)| m.clone()).collect();
        // The pin of what is dead is free; that of what lives is not.
        let pin = wanted.pin().replace('.', "_");
        for dead in self.decision.state.attached.iter().filter(|a| !a.is_alive() && a.pin == pin) {
            self.clear(dead)?;
        }
        let entry = self.entry;
        let taken = |pin: &str| entry.path(PinPart::Links, pin).exists();
        let made = attach(Some(entry), &self.loading.kernel, &maps, &program, wanted, taken)?;
        let linked = !made.is_linkless();
        if let Some(link) = made.link.as_ref().filter(|_| linked) {
            let path = entry.pin(PinPart::Links, &made.pin)?;
            link.pin(&path).map_err(DeployError::sys(format!("pin the link of {}", made.place)))?;
        }
        self.undo.push(Back::Attached { pin: made.pin.clone(), linked });
        self.made.push(made);
        Ok(())
    }

    fn update(&mut self, actual: &Actual, name: &str, place: &str) -> Result<()> {
        let doing = || format!("replace the program of {place}");
        let after = program(self.entry, &self.programs, name)?;
        let open = |id| Program::open_id(id).map_err(DeployError::sys("open the program that is attached"));
        let before = open(actual.prog_id)?;
        let link = if actual.link.is_some() {
            let path = self.entry.path(PinPart::Links, &actual.pin);
            Link::open_pin(&path).map_err(DeployError::open("link", &path))?
        } else {
            let pin = unique(&actual.pin, |pin| self.entry.path(PinPart::Linkless, pin).exists());
            self.entry.note_linkless(&pin, &after)?;
            let all = survey(&Look { scope: Scope::Everywhere, cgroups: true, maps: true, holders: false });
            let found = actual.key.as_ref().and_then(|key| mend::at(&all, actual.prog_id, key, &[]).pop());
            let found = found.ok_or_else(|| DeployError::NotSo {
                what: format!("`{}` at {place}", actual.program),
                why: "the hook does not have it".into(),
            })?;
            all.open(&found).map_err(DeployError::sys(doing()))?
        };
        let changed = link.update(&after, Some(&before)).map_err(DeployError::sys(doing()));
        let linkless = link.lifetime() == Lifetime::Hook;
        self.undo.push(Back::Updated { link, before });
        changed?;
        if linkless {
            self.entry.forget_linkless(&actual.pin)?;
        }
        Ok(())
    }

    fn detach(&self, actual: &Actual) -> Result<()> {
        let doing = || format!("detach {}", actual.place);
        if actual.link.is_some() {
            let path = self.entry.path(PinPart::Links, &actual.pin);
            let link = Link::open_pin(&path).map_err(DeployError::open("link", &path))?;
            end(link).map_err(DeployError::sys(doing()))?;
        } else if let Some(key) = &actual.key {
            let all = survey(&Look { scope: Scope::Everywhere, cgroups: true, maps: true, holders: false });
            for found in mend::at(&all, actual.prog_id, key, &[]) {
                all.open(&found).and_then(Link::detach).map_err(DeployError::sys(doing()))?;
            }
        }
        self.clear(actual)
    }

    /// Takes the pin of an attachment away, or the record of one without a link.
    fn clear(&self, actual: &Actual) -> Result<()> {
        match actual.link {
            Some(_) => unpin(&self.entry.path(PinPart::Links, &actual.pin)),
            None => self.entry.forget_linkless(&actual.pin),
        }
    }

    /// Undoes the steps that were made, the last first.
    fn back(self) {
        for back in self.undo.into_iter().rev() {
            match back {
                Back::Attached { pin, linked: true } => drop(unpin(&self.entry.path(PinPart::Links, &pin))),
                Back::Attached { pin, linked: false } => drop(self.entry.forget_linkless(&pin)),
                Back::Updated { link, before } => {
                    let _ = link.update(&before, None);
                    if link.lifetime() == Lifetime::Hook {
                        link.leak();
                    }
                }
                Back::Taken { taken, pin } => taken.put_back(self.entry, &pin),
            }
        }
        // What was made is dropped with its links, and by that detached.
        drop(self.made);
    }
}

/// A program of the entry, with what its section says of its hook.
fn program(entry: &LoadEntry, facts: &[ProgramFacts], name: &str) -> Result<Program> {
    let path = entry.path(PinPart::Programs, name);
    let program = Program::open_pin(&path).map_err(DeployError::open("program", &path))?;
    Ok(match facts.iter().find(|p| p.name == name) {
        Some(facts) => program.planned(&facts.name, facts.attach_type, &facts.section),
        None => program,
    })
}
