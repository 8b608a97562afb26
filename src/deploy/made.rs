//! What is decided, and what was done: the values that pass between the files that decide and act.

use super::diff::{DeployStep, Wishes};
use super::error::DeployError;
use super::hook::HookKey;
use super::maps::Migrated;
use super::state::DeployState;
use crate::links::{Lifetime, Link};
use crate::loader::{Loaded, Plan};

/// What to do if something is deployed under the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is an error.
    Fresh,
    /// It is replaced.
    Replace,
    /// It is changed as far as it is otherwise than wanted.
    Apply,
}

/// An attachment that stands.
#[derive(Debug)]
pub struct Made {
    /// Its link; `None` for what its hook keeps and kept before.
    pub link: Option<Link>,
    /// The program, or the map of a struct_ops table.
    pub program: String,
    /// The hook, for people.
    pub place: String,
    /// The name of its pin.
    pub pin: String,
    /// The place.
    pub key: Option<HookKey>,
    /// It was there before, with another program.
    pub kept: bool,
}

/// What was decided.
#[derive(Debug)]
pub struct Decision {
    /// How the object is loaded; `None` if its programs stay.
    pub plan: Option<Plan>,
    /// What is.
    pub state: DeployState,
    /// What is wanted.
    pub wish: Wishes,
    /// The steps between.
    pub steps: Vec<DeployStep>,
}

impl Decision {
    /// True if a step changes something.
    pub fn acts(&self) -> bool {
        self.steps.iter().any(DeployStep::acts)
    }
}

/// What was done.
#[derive(Debug)]
pub struct Deployed {
    /// What was decided, and done.
    pub decision: Decision,
    /// The loaded object; `None` if the programs stayed.
    pub loaded: Option<Loaded>,
    /// What is attached now by this; as long as these values live, where nothing is pinned.
    pub made: Vec<Made>,
    /// What could not be attached where sections say, by the name of its program.
    pub failed: Vec<(String, DeployError)>,
    /// Something was there before.
    pub replaced: bool,
    /// Maps whose elements were copied.
    pub migrated: Vec<Migrated>,
}

impl Deployed {
    /// Leaves programs to the hooks that keep them, and closes the rest: what is pinned stays.
    pub fn leave(self) {
        leave(self.made);
    }
}

fn leave(made: Vec<Made>) {
    let links = made.into_iter().filter_map(|m| m.link);
    links.filter(|link| link.lifetime() == Lifetime::Hook).for_each(Link::leak);
}

impl Made {
    /// The hook keeps it, and no link.
    pub fn is_linkless(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.lifetime() == Lifetime::Hook)
    }
}
