//! What is attached without pins, while it lasts: whether it still is, and how it is made again.

use super::attach::attach;
use super::decide::within;
use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::made::{Deployed, Made};
use super::request::{Loading, Request, WantedHook, resolve};
use super::state::dead;
use crate::links::inventory::{Look, survey};
use crate::links::{Inventory, Lifetime, Scope};

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The program.
    pub program: String,
    /// Where it was attached.
    pub place: String,
    /// Why it is not any more.
    pub why: String,
}

impl Deployed {
    /// Takes out what is not attached any more, for whatever reason.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub fn lost(&mut self, request: &Request) -> Result<Vec<Lost>> {
        let needs_look = self.made.iter().any(|m| {
            m.is_linkless()
                && matches!(m.key, Some(HookKey::Xdp { .. } | HookKey::Clsact { .. } | HookKey::Tcx { .. }))
        });
        let all = match needs_look {
            true => within(request.netns.as_ref(), || {
                Ok(survey(&Look { scope: Scope::Here, cgroups: false, maps: false, holders: false }))
            })?,
            false => Inventory::default(),
        };
        let mut lost = Vec::new();
        let mut kept = Vec::new();
        for made in std::mem::take(&mut self.made) {
            match self.why_lost(&made, &all)? {
                None => kept.push(made),
                Some(why) => {
                    lost.push(Lost { program: made.program, place: made.place, why });
                    // There is nothing to be undone: it is gone.
                    if let Some(link) = made.link.filter(|l| l.lifetime() == Lifetime::Hook) {
                        link.leak();
                    }
                }
            }
        }
        self.made = kept;
        Ok(lost)
    }

    fn why_lost(&self, made: &Made, all: &Inventory) -> Result<Option<String>> {
        if let Some(link) = made.link.as_ref().filter(|link| link.fd().is_some()) {
            let info = link.info().map_err(DeployError::sys("ask about a link"))?;
            return Ok(dead(&info.hook).map(String::from));
        }
        let program = self.loaded.as_ref().and_then(|l| l.program(&made.program));
        let (Some(key @ (HookKey::Xdp { .. } | HookKey::Clsact { .. } | HookKey::Tcx { .. })), Some(program)) =
            (&made.key, program)
        else {
            return Ok(None);
        };
        let id = program.info().map_err(DeployError::sys("ask about a program"))?.id;
        let there = all
            .attachments
            .iter()
            .any(|a| a.prog_id == id && HookKey::of_attachment(a, &[]).as_ref() == Some(key));
        Ok((!there).then(|| "the hook does not have it any more".into()))
    }

    /// Attaches what is wanted and not attached: places that were not there and have come.
    ///
    /// # Errors
    /// A place is there, and the kernel refuses.
    pub fn catch_up(&mut self, request: &Request, loading: &Loading) -> Result<Vec<String>> {
        let Some(loaded) = &self.loaded else { return Ok(Vec::new()) };
        let made = &self.made;
        let new = within(request.netns.as_ref(), || {
            let wanted = resolve(&request.wishes, &loading.programs(), true)?;
            let is_missing = |w: &&WantedHook| {
                w.key.as_ref().is_some_and(|key| !key.is_traced())
                    && !made.iter().any(|m| m.program == w.program && m.key == w.key)
            };
            let mut new = Vec::new();
            for wanted in wanted.iter().filter(is_missing) {
                let Some(program) = loaded.program(&wanted.program) else { continue };
                new.push(attach(None, &loading.kernel, loaded.maps(), program, wanted, |_| false)?);
            }
            Ok(new)
        })?;
        let words = new.iter().map(|m| format!("{} is attached to {}", m.program, m.place)).collect();
        self.made.extend(new);
        Ok(words)
    }
}
