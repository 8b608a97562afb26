//! A new object in the place of an old one, or of nothing: put together beside it, and then given its name.
//!
//! What happens if that is cut short stands in `mend`.

use super::act::{Act, Built};
use super::attach::{Undo, keep_before};
use super::diff::DeployStep;
use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::made::{Decision, Deployed, Made};
use super::remove::remove_entry;
use super::request::{Loading, Request};
use super::state::{Actual, DeployState};
use super::store::{LoadEntry, PinPart};
use super::{maps, mend, struct_ops, table};
use crate::kernel::Kernel;
use crate::links::inventory::{Look, survey};
use crate::links::{Link, Scope};
use crate::loader::Loaded;
use crate::progs::Program;

/// Loads the object and gives it the hooks; what was there before goes when all is done.
pub(super) fn replace(
    old: &LoadEntry,
    request: &Request,
    loading: &Loading,
    decision: Decision,
) -> Result<Deployed> {
    let loaded = load(&decision)?;
    let migrated = maps::migrate(&decision.steps, &decision.state, &loaded)?;
    let new = old.successor();
    new.make()?;
    let mut undo = Undo::default();
    let built = build(old, &new, request, &loading.kernel, &decision, &loaded, &mut undo);
    let built = built.and_then(|built| {
        request.record.write(&new);
        // What was begun is gone on with, once: the state in between is nobody's.
        mend::settle(old, &new).or_else(|e| finished(old, &new, e))?;
        Ok(built)
    });
    match built {
        Ok((made, failed)) => {
            undo.keep();
            let replaced = !decision.state.programs.is_empty() || !decision.state.attached.is_empty();
            Ok(Deployed { decision, loaded: Some(loaded), made, failed, replaced, migrated })
        }
        Err(e) => {
            // Once the old one has lost its name there is no way back: the next command goes on.
            if new.exists()? && !old.outgoing().exists()? {
                undo.run();
                let _ = remove_entry(&new);
            }
            Err(e)
        }
    }
}

/// After a failure between the renames: goes on from where it stands. The failure, if that fails too, or if the old one
/// has its name still.
fn finished(old: &LoadEntry, new: &LoadEntry, e: DeployError) -> Result<()> {
    if !old.outgoing().exists()? {
        return Err(e);
    }
    mend::mend(old).map_err(|_| e)?;
    if new.exists()? || !old.exists()? {
        let what = format!("the directory {}", old.dir.display());
        return Err(DeployError::Unseen { what, why: "its replacement is not whole".into() });
    }
    Ok(())
}

pub(super) fn load(decision: &Decision) -> Result<Loaded> {
    let missing = || DeployError::wish("programs", "there is no plan for loading them");
    Ok(decision.plan.as_ref().ok_or_else(missing)?.run()?)
}

/// Everything up to the change of names.
fn build(
    old: &LoadEntry,
    new: &LoadEntry,
    request: &Request,
    kernel: &Kernel,
    decision: &Decision,
    loaded: &Loaded,
    undo: &mut Undo,
) -> Result<Built> {
    let steps = &decision.steps;
    let mut act = Act { entry: Some(new), kernel, loaded, made: Vec::new(), failed: Vec::new() };
    for step in steps {
        match step {
            DeployStep::Update { actual, program, place } if actual.link.is_some() && !is_table(actual) => {
                act.update(old, actual, program, place, undo)?;
            }
            DeployStep::Again { actual, wanted, .. } => act.again(old, actual, wanted, undo)?,
            _ => {}
        }
    }
    act.attach_all(steps)?;
    let strict = request.strict || old.exists()?;
    let (mut made, failed) = act.finish(strict)?;
    pin(new, loaded, &made)?;
    let linkless = steps.iter().filter_map(|step| match step {
        DeployStep::Update { actual, program, place } if actual.link.is_none() && !is_table(actual) => {
            Some((actual, program.as_str(), place.as_str()))
        }
        _ => None,
    });
    made.extend(update_linkless(new, &decision.state, loaded, linkless.collect(), undo)?);
    // Last, as there is no way back: the old table's functions are not known any more.
    for step in steps {
        if let DeployStep::Update { actual, program, .. } = step {
            if is_table(actual) {
                let path = old.path(PinPart::Links, &actual.pin);
                let link = Link::open_pin(&path).map_err(DeployError::open("link", &path))?;
                made.push(table::replace(link, &actual.pin, program, loaded)?);
            }
        }
    }
    Ok((made, failed))
}

fn is_table(actual: &Actual) -> bool {
    matches!(actual.key, Some(HookKey::StructOps { .. }))
}

/// Pins everything. Links come last: once one is pinned, the program stays attached.
fn pin(entry: &LoadEntry, loaded: &Loaded, made: &[Made]) -> Result<()> {
    for program in loaded.programs() {
        let path = entry.pin(PinPart::Programs, program.name())?;
        program.pin(&path).map_err(DeployError::sys(format!("pin program `{}`", program.name())))?;
    }
    loaded.maps().try_for_each(|map| struct_ops::pin(entry, map))?;
    for m in made.iter().filter(|m| !m.kept && !m.is_linkless()) {
        let Some(link) = &m.link else { continue };
        let path = entry.pin(PinPart::Links, &m.pin)?;
        link.pin(&path).map_err(DeployError::sys(format!("pin the link of {}", m.place)))?;
    }
    Ok(())
}

/// Changes what hooks keep by themselves. What is to change is written down before.
fn update_linkless(
    new: &LoadEntry,
    state: &DeployState,
    loaded: &Loaded,
    steps: Vec<(&Actual, &str, &str)>,
    undo: &mut Undo,
) -> Result<Vec<Made>> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let own: Vec<(u32, String)> = state.maps.iter().map(|(_, m)| (m.info().id, m.name().into())).collect();
    let all = survey(&Look { scope: Scope::Everywhere, cgroups: true, maps: true, holders: false });
    let mut made = Vec::new();
    for (actual, program, place) in steps {
        let Some(after) = loaded.program(program) else { continue };
        let Some(key) = &actual.key else { continue };
        let doing = || format!("replace the program of {place}");
        let open = |id| Program::open_id(id).map_err(DeployError::sys("open the program that is attached"));
        new.note_linkless(&actual.pin, after)?;
        keep_before(new, &actual.pin, &open(actual.prog_id)?)?;
        let there = mend::at(&all, actual.prog_id, key, &own);
        // It was there a moment ago: what hides it now must not be taken for its end.
        if let (true, Some(problem)) = (there.is_empty(), all.problems.first()) {
            return Err(DeployError::Unseen { what: problem.what.clone(), why: problem.why.clone() });
        }
        if there.is_empty() {
            let what = format!("`{}` at {place}", actual.program);
            return Err(DeployError::NotSo { what, why: "the hook does not have it any more".into() });
        }
        for found in there {
            let before = open(actual.prog_id)?;
            let link = all.open(&found).map_err(DeployError::sys(doing()))?;
            let changed = link.update(after, Some(&before));
            undo.swapped.push((link, before));
            changed.map_err(DeployError::sys(doing()))?;
        }
        let (program, place, pin) = (program.to_string(), place.to_string(), actual.pin.clone());
        made.push(Made { link: None, program, place, pin, key: Some(key.clone()), kept: true });
    }
    Ok(made)
}
