//! Reads what is and decides what to do. Nothing is changed here.

use super::diff::{DeployStep, Programs, Wishes, diff};
use super::error::Result;
use super::made::{Decision, How};
use super::request::{Loading, Request, WantedHook, resolve};
use super::state::{DeployState, state};
use super::store::LoadEntry;
use super::{maps, struct_ops};
use crate::links::NetNs;

/// Does something in the network namespace of a request.
///
/// # Errors
/// The namespace cannot be entered; those of `act`.
pub fn within<T: Send>(netns: Option<&NetNs>, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match netns {
        None | Some(NetNs::Current) => act(),
        Some(netns) => netns.open()?.enter(act)?,
    }
}

/// Reads what is and decides what to do; changes nothing. `entry` is none for what is not to be pinned.
///
/// # Errors
/// Those of planning; a place that is not there; a state that cannot be read.
pub fn decide(entry: Option<&LoadEntry>, request: &Request, loading: &Loading, how: How) -> Result<Decision> {
    within(request.netns.as_ref(), || {
        let expected: Vec<NetNs> = request.netns.iter().cloned().collect();
        let state = match entry {
            Some(entry) if entry.exists()? => state(entry, &expected)?,
            _ => DeployState::default(),
        };
        decide_from(entry, request, loading, how, state)
    })
}

/// The same with a state that was read already; for a thread that is where the request wants to be.
///
/// # Errors
/// As for [`decide`].
pub fn decide_from(
    entry: Option<&LoadEntry>,
    request: &Request,
    loading: &Loading,
    how: How,
    state: DeployState,
) -> Result<Decision> {
    let programs = loading.programs();
    let wanted = resolve(&request.wishes, &programs, request.wait)?;
    let before = resolve(&request.before, &programs, true)?;
    let tables = if request.tables { loading.tables() } else { Vec::new() };
    let mut wish = Wishes { wanted, tables, rest: request.rest, before, ..Wishes::default() };
    if how == How::Apply && is_same(request, &state, &wish) {
        wish.programs = Programs::Same;
        let steps = diff(&wish, &state)?;
        if !needs_load(&steps) {
            return Ok(Decision { plan: None, state, wish, steps });
        }
    }
    let mut plan = loading.plan()?;
    wish.tables = struct_ops::planned(&plan).into_iter().filter(|t| wish.tables.contains(t)).collect();
    wish.programs = Programs::New(plan.programs.iter().map(|p| p.name.clone()).collect());
    if let Some(entry) = entry {
        wish.maps = maps::fates(&mut plan, &state, entry, request.maps);
    }
    let steps = diff(&wish, &state)?;
    Ok(Decision { plan: Some(plan), state, wish, steps })
}

/// True if the programs that are there are those of the request.
fn is_same(request: &Request, state: &DeployState, wish: &Wishes) -> bool {
    let digest = state.record.as_ref().map(|r| r.digest.as_str()).filter(|digest| !digest.is_empty());
    let pinned = |w: &WantedHook| state.programs.iter().any(|(name, _)| *name == w.program);
    digest == Some(request.record.digest.as_str()) && wish.wanted.iter().all(pinned)
}

/// A table is registered with the programs of the load that filled it, and no program stands twice in a list: beside
/// itself it has to be loaded anew.
fn needs_load(steps: &[DeployStep]) -> bool {
    steps.iter().any(|step| match step {
        DeployStep::Attach { wanted, .. } => steps.iter().any(|other| {
            matches!(other, DeployStep::Detach { actual } if actual.key == wanted.key && actual.program == wanted.program)
        }),
        other => matches!(other, DeployStep::Table { .. }),
    })
}
