//! What is wanted beside what is: the steps that are left, read as a statement.

use super::diff::{DeployStep, Wishes, diff};
use super::error::Result;
use super::state::{Condition, DeployState};

/// A program and a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusLine {
    /// The program, or the map of a struct_ops table.
    pub program: String,
    /// The place in words.
    pub place: String,
    /// Its link, if it has one.
    pub link: Option<u32>,
    /// How it is.
    pub now: Now,
}

/// How it is with a program at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// As wanted.
    Attached,
    /// Wanted, and not there: why, as far as it is known.
    Missing(String),
    /// There, in another way than wanted.
    Otherwise(String),
    /// Wanted, and somebody else's program stands there.
    Taken(String),
    /// There, and not wanted.
    Unwanted,
    /// Wanted, and the place is not there.
    NoPlace(String),
    /// The link is left of something that is gone, and nothing of it is wanted.
    Dead(String),
}

impl Now {
    /// True if it is as wanted.
    pub fn is_right(&self) -> bool {
        *self == Now::Attached
    }

    /// In a word or a few.
    pub fn words(&self) -> String {
        match self {
            Now::Attached => "attached".into(),
            Now::Missing(why) if why.is_empty() => "not attached".into(),
            Now::Missing(why) => format!("not attached: {why}"),
            Now::Otherwise(why) => format!("otherwise: {why}"),
            Now::Taken(by) => format!("taken by {by}"),
            Now::Unwanted => "attached, and not wanted".into(),
            Now::NoPlace(why) => format!("not attached: {why}"),
            Now::Dead(why) => format!("dead: {why}"),
        }
    }
}

/// Compares what is wanted, of programs that are there, with what is.
///
/// # Errors
/// As for [`diff`].
pub fn compare(wish: &Wishes, state: &DeployState) -> Result<Vec<StatusLine>> {
    let steps = diff(wish, state)?;
    let is_made_again = |pin: &str| {
        steps.iter().any(|s| match s {
            DeployStep::Attach { wanted, .. } | DeployStep::Wait { wanted, .. } => {
                pin.starts_with(&wanted.pin())
            }
            _ => false,
        })
    };
    let line =
        |program: &str, place: String, link, now| StatusLine { program: program.into(), place, link, now };
    let mut out = Vec::new();
    for step in &steps {
        out.push(match step {
            DeployStep::Keep { actual } => {
                line(&actual.program, actual.place.clone(), actual.link, Now::Attached)
            }
            DeployStep::Attach { wanted, instead } => {
                let other = state.others.iter().find(|o| Some(&o.key) == wanted.key.as_ref());
                let now = match (other, &wanted.absent) {
                    (Some(other), _) => Now::Taken(other.program.clone()),
                    (None, Some(why)) => Now::NoPlace(why.clone()),
                    (None, None) => Now::Missing(instead.clone()),
                };
                line(&wanted.program, wanted.place(), None, now)
            }
            DeployStep::Update { actual, program, place } => {
                let now = Now::Otherwise(format!("`{}` runs there", actual.program));
                line(program, place.clone(), actual.link, now)
            }
            DeployStep::Again { actual, wanted, why } => {
                line(&wanted.program, wanted.place(), actual.link, Now::Otherwise(why.clone()))
            }
            DeployStep::Detach { actual } => {
                line(&actual.program, actual.place.clone(), actual.link, Now::Unwanted)
            }
            DeployStep::Clear { actual, .. } if is_made_again(&actual.pin) => continue,
            DeployStep::Clear { actual, why } => {
                line(&actual.program, actual.place.clone(), actual.link, Now::Dead(why.clone()))
            }
            DeployStep::Table { map } => {
                line(map, format!("struct_ops {map}"), None, Now::Missing(String::new()))
            }
            DeployStep::Wait { wanted, why } => {
                line(&wanted.program, wanted.place(), None, Now::NoPlace(why.clone()))
            }
            DeployStep::Load { .. } | DeployStep::Map { .. } => continue,
        });
    }
    Ok(out)
}

/// The same where it is not known what was wanted: what is attached is right, what is dead is not.
pub fn compare_pins(state: &DeployState) -> Vec<StatusLine> {
    let line = |a: &super::state::Actual| {
        let now = match a.condition {
            Condition::Alive => Now::Attached,
            Condition::Dead(why) => Now::Dead(why.into()),
            Condition::Gone => Now::Missing("no hook keeps the program any more".into()),
        };
        StatusLine { program: a.program.clone(), place: a.place.clone(), link: a.link, now }
    };
    state.attached.iter().map(line).collect()
}
