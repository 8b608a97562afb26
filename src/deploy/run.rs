//! Makes the steps: the way in to what loads and attaches.
//!
//! ```text
//!   decide   read the state, look the places up, diff           nothing is changed
//!   replace  programs are new: NAME~ beside NAME, see `mend`    undone if a step fails
//!   repair   programs stay: hooks of NAME are put right         undone if a step fails
//!   check    the machine is asked whether it is so
//! ```

use super::act::Act;
use super::decide::{decide, within};
use super::diff::Programs;
use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::made::{Deployed, How};
use super::mend::mend;
use super::repair;
use super::replace::{load, replace};
use super::request::{Loading, Request};
use super::state::{self, Actual, state};
use super::store::{LoadEntry, PinPart, Store};
use crate::links::Link;

/// Makes what is wanted so, pinned in the store. The caller holds the [lock](Store::lock).
///
/// # Errors
/// The first failure; what was there before is there again, as far as the kernel lets it.
pub fn deploy(store: &Store, request: &Request, loading: &Loading, how: How) -> Result<Deployed> {
    let entry = store.entry(&request.name)?;
    mend(&entry)?;
    if how == How::Fresh && entry.exists()? {
        return Err(DeployError::Loaded { name: request.name.clone(), path: entry.dir });
    }
    let decision = decide(Some(&entry), request, loading, how)?;
    let done = within(request.netns.as_ref(), || {
        let done = if decision.wish.programs == Programs::Same {
            repair::run(&entry, request, loading, decision)?
        } else {
            replace(&entry, request, loading, decision)?
        };
        if let Err(e) = check(&entry, &done) {
            done.leave();
            return Err(e);
        }
        Ok(done)
    });
    if done.is_err() {
        store.tidy();
    }
    done
}

/// Loads and attaches without pins: it lasts as long as the answer lives.
///
/// # Errors
/// The first failure; nothing is left then.
pub fn hold(request: &Request, loading: &Loading) -> Result<Deployed> {
    let decision = decide(None, request, loading, How::Fresh)?;
    within(request.netns.as_ref(), || {
        let loaded = load(&decision)?;
        let mut act = Act {
            entry: None,
            kernel: &loading.kernel,
            loaded: &loaded,
            made: Vec::new(),
            failed: Vec::new(),
        };
        act.attach_all(&decision.steps)?;
        let (made, failed) = act.finish(request.strict)?;
        Ok(Deployed { decision, loaded: Some(loaded), made, failed, replaced: false, migrated: Vec::new() })
    })
}

/// Asks the machine whether what was made stands: for links one question each, for the rest the hooks.
fn check(entry: &LoadEntry, done: &Deployed) -> Result<()> {
    for made in &done.made {
        let Some(link) = made.link.as_ref().filter(|link| link.fd().is_some()) else { continue };
        let info = link.info().map_err(DeployError::sys("ask about a link"))?;
        if let Some(why) = state::dead(&info.hook) {
            let what = format!("`{}` at {}", made.program, made.place);
            return Err(DeployError::NotSo { what, why: why.into() });
        }
        if made.kept {
            continue;
        }
        // Its pin is all that keeps it.
        let path = entry.path(PinPart::Links, &made.pin);
        let pinned =
            Link::open_pin(&path).and_then(|l| l.info()).map_err(DeployError::open("link", &path))?;
        if pinned.id != info.id {
            let what = format!("`{}` at {}", made.program, made.place);
            return Err(DeployError::NotSo { what, why: format!("{} is not its pin", path.display()) });
        }
    }
    if done.made.iter().all(|m| !m.is_linkless()) {
        return Ok(());
    }
    let state = state(entry, &[])?;
    for made in done.made.iter().filter(|m| m.is_linkless()) {
        let there = |a: &Actual| {
            a.is_alive() && a.program == made.program && (made.key.is_none() || a.key == made.key)
        };
        let asked = !matches!(
            made.key,
            None | Some(HookKey::Untold { .. } | HookKey::StructOps { .. } | HookKey::Sockmap { .. })
        );
        if asked && !state.attached.iter().any(there) {
            let what = format!("`{}` at {}", made.program, made.place);
            return Err(DeployError::NotSo { what, why: "the hook does not have it".into() });
        }
    }
    Ok(())
}
