//! From what is wanted and what is to the steps between: pure, printed, and tested as text.
//!
//! Wanted and actual meet by their [`HookKey`], never by a name:
//!
//! ```text
//!   wanted ∖ actual    attach                       the place has nothing of ours
//!   wanted ∩ actual    keep                         the programs stay (repair)
//!                      put another program there    in one step, where the kernel can
//!                      attach beside, or anew       where it cannot, or it is to run in another way
//!   actual ∖ wanted    detach                       or keep with the new program, if hooks stay as they are
//!   dead, gone         take the pin away            nothing runs there any more
//!   wanted, no place   wait                         if that is wanted; else an error before any step
//! ```

use std::fmt;

use super::error::{DeployError, Result};
use super::hook::{HookKey, MapKey, may_be_same};
use super::request::{Rest, WantedHook};
use super::state::{Actual, Condition, DeployState, Neighbour};
use crate::links::{Anchor, AttachedMode, Place, Share, Target, Via, XdpMode};

/// What is wanted, with its places looked up.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Programs and places.
    pub wanted: Vec<WantedHook>,
    /// struct_ops tables to be put to use, by name.
    pub tables: Vec<String>,
    /// What becomes of other hooks.
    pub rest: Rest,
    /// Where hooks that stay may be made again, if what they were at is gone: what was wanted before.
    pub before: Vec<WantedHook>,
    /// The programs that there will be.
    pub programs: Programs,
    /// Maps, and what becomes of each.
    pub maps: Vec<(String, Fate)>,
}

/// Where the programs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Programs {
    /// They are loaded; these are their names.
    New(Vec<String>),
    /// Those that are there stay: hooks alone are put right.
    Same,
}

impl Default for Programs {
    fn default() -> Programs {
        Programs::New(Vec::new())
    }
}

/// What becomes of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, with what is in it.
    Kept,
    /// It is made; there was none of the name, or nothing of it is kept.
    New,
    /// There was one, which is gone with what was in it: why it could not stay.
    Changed(String),
    /// It is made, and elements are copied from the old one: why it could not stay.
    Migrated(String),
    /// There was one, and the new object has none.
    Gone,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeployStep {
    /// Load the object.
    Load {
        /// How many programs.
        programs: usize,
    },
    /// What becomes of a map.
    Map {
        /// Its name.
        name: String,
        /// What becomes of it.
        fate: Fate,
    },
    /// It is as wanted.
    Keep {
        /// What is there.
        actual: Actual,
    },
    /// Attach a program.
    Attach {
        /// What is wanted.
        wanted: WantedHook,
        /// What it takes the place of afterwards; empty if that is nothing.
        instead: String,
    },
    /// Put a program in the place of another, without a moment in which none runs.
    Update {
        /// What is there.
        actual: Actual,
        /// The program from now on.
        program: String,
        /// The place in words.
        place: String,
    },
    /// Detach and attach again; for a moment no program runs.
    Again {
        /// What is there.
        actual: Actual,
        /// What is wanted.
        wanted: WantedHook,
        /// Why it cannot stay.
        why: String,
    },
    /// Detach.
    Detach {
        /// What is there.
        actual: Actual,
    },
    /// Take away the pin of a dead link, or a record that no hook answers to.
    Clear {
        /// What is left of it.
        actual: Actual,
        /// Why it does nothing.
        why: String,
    },
    /// Put a struct_ops table to use.
    Table {
        /// The map.
        map: String,
    },
    /// The place is not there; nothing can be done now.
    Wait {
        /// What is wanted.
        wanted: WantedHook,
        /// What is missing.
        why: String,
    },
}

impl DeployStep {
    /// True if it changes something.
    pub fn acts(&self) -> bool {
        !matches!(
            self,
            DeployStep::Keep { .. } | DeployStep::Wait { .. } | DeployStep::Map { fate: Fate::Kept, .. }
        )
    }
}

/// The steps from what is to what is wanted, in the order in which they are made.
///
/// # Errors
/// What cannot be done in one step and would leave a hook empty without need; a hook that stays and whose program has no
/// successor.
pub fn diff(wish: &Wishes, state: &DeployState) -> Result<Vec<DeployStep>> {
    let mut out = Vec::new();
    if let Programs::New(names) = &wish.programs {
        out.push(DeployStep::Load { programs: names.len() });
    }
    out.extend(
        wish.maps.iter().map(|(name, fate)| DeployStep::Map { name: name.clone(), fate: fate.clone() }),
    );
    let mut left: Vec<&Actual> = state.attached.iter().collect();
    // First those with a program of the same name: of several in one list, each gets its own.
    let mut found: Vec<Option<&Actual>> = vec![None; wish.wanted.len()];
    for by_name in [true, false] {
        for (wanted, slot) in wish.wanted.iter().zip(&mut found).filter(|(_, slot)| slot.is_none()) {
            let at = left
                .iter()
                .position(|a| is_there(wish, wanted, a) && (!by_name || a.program == wanted.program));
            *slot = at.map(|at| left.remove(at));
        }
    }
    let mut late = Vec::new();
    for (wanted, found) in wish.wanted.iter().zip(found) {
        let step = of_wanted(wish, state, wanted, found)?;
        // What is attached beside the old takes its place when the old one goes.
        late.extend(found.filter(|_| matches!(step, DeployStep::Attach { .. })).cloned());
        out.push(step);
    }
    tables(wish, &mut left, &mut out)?;
    out.extend(late.into_iter().map(|actual| DeployStep::Detach { actual }));
    for actual in left {
        out.extend(of_rest(wish, state, actual)?);
    }
    Ok(out)
}

/// True if the attachment stands where it is wanted, and what it stands at stays.
fn is_there(wish: &Wishes, wanted: &WantedHook, actual: &Actual) -> bool {
    let (Some(key), Some(there)) = (&wanted.key, &actual.key) else { return false };
    actual.is_alive() && may_be_same(key, there) && stays(wish, there)
}

/// A map of sockets that is made anew takes its hooks with it.
fn stays(wish: &Wishes, key: &HookKey) -> bool {
    match key {
        HookKey::Sockmap { map: MapKey::Own(name), .. } => {
            wish.programs == Programs::Same
                || wish.maps.iter().any(|(n, fate)| n == name && *fate == Fate::Kept)
        }
        _ => true,
    }
}

fn of_wanted(
    wish: &Wishes,
    state: &DeployState,
    wanted: &WantedHook,
    found: Option<&Actual>,
) -> Result<DeployStep> {
    if let (None, Some(why), false) = (&wanted.key, &wanted.absent, wanted.by_section) {
        return Ok(DeployStep::Wait { wanted: wanted.clone(), why: why.clone() });
    }
    let attach = |instead: String| DeployStep::Attach { wanted: wanted.clone(), instead };
    let Some(actual) = found else { return Ok(attach(dead_at(state, wanted))) };
    let single = actual.key.as_ref().is_some_and(HookKey::is_single);
    match differs(wanted, actual) {
        Some(why) if single && can_go_back(actual) => {
            Ok(DeployStep::Again { actual: actual.clone(), wanted: wanted.clone(), why })
        }
        // The kernel takes no program beside one that shares the hook in another way.
        Some(why) if single || why.starts_with(SHARED) => {
            Err(DeployError::NotInPlace { what: actual.place.clone(), why })
        }
        // In a list the new one is put beside the old, which then goes.
        Some(why) => Ok(attach(why)),
        None if wish.programs == Programs::Same && actual.program == wanted.program => {
            Ok(DeployStep::Keep { actual: actual.clone() })
        }
        None if actual.can_update => {
            let (program, place) = (wanted.program.clone(), wanted.place());
            Ok(DeployStep::Update { actual: actual.clone(), program, place })
        }
        None => Ok(attach("beside the old one, which then goes".into())),
    }
}

/// The old program can be put back if the new one is refused.
fn can_go_back(actual: &Actual) -> bool {
    matches!(actual.key, Some(HookKey::Xdp { .. }))
}

/// What stood at this place before it went, in words.
fn dead_at(state: &DeployState, wanted: &WantedHook) -> String {
    let pin = wanted.pin();
    let left = state.attached.iter().find(|a| !a.is_alive() && a.pin.starts_with(&pin));
    match left.map(|a| &a.condition) {
        Some(Condition::Dead(why)) => format!("the old one is dead: {why}"),
        Some(Condition::Gone) => "no hook keeps the old one any more".into(),
        _ => String::new(),
    }
}

/// How a difference in sharing begins.
const SHARED: &str = "the hook is shared as";

/// In what way an attachment runs otherwise than wanted.
fn differs(wanted: &WantedHook, actual: &Actual) -> Option<String> {
    let (via, order) = match &wanted.target {
        Target::Xdp(xdp) => return mode_differs(xdp.mode, Via::Link, actual),
        Target::XdpNetlink(xdp) => return mode_differs(xdp.mode, Via::Direct, actual),
        Target::Tc(tc) if matches!(actual.key, Some(HookKey::Tcx { .. })) => (tc.via, Some(&tc.order.place)),
        Target::Tc(tc) => (Via::Auto, Some(&tc.order.place)),
        Target::Netkit(netkit) => (netkit.via, Some(&netkit.order.place)),
        Target::Cgroup(group) => {
            if actual.share.is_some_and(|share| share != group.share)
                || actual.link.is_some() && group.share != Share::Multi
            {
                let now = actual.share.unwrap_or(Share::Multi);
                return Some(format!("{SHARED} `{now}`, and `{}` is wanted", group.share));
            }
            (group.via, Some(&group.order.place))
        }
        Target::Sockmap(sockmap) => (sockmap.via, None),
        Target::Netns(hook) => (hook.via, None),
        _ => return None,
    };
    via_differs(via, actual).or_else(|| order.and_then(|place| place_differs(place, actual)))
}

fn mode_differs(wanted: XdpMode, via: Via, actual: &Actual) -> Option<String> {
    let is = match wanted {
        XdpMode::Auto => return via_differs(via, actual),
        XdpMode::Native => AttachedMode::Native,
        XdpMode::Generic => AttachedMode::Generic,
        XdpMode::Offloaded => AttachedMode::Offloaded,
    };
    let now = actual.mode.filter(|now| *now != is);
    now.map(|now| format!("it runs in {} mode, and {} is wanted", now.name(), is.name()))
        .or_else(|| via_differs(via, actual))
}

fn via_differs(wanted: Via, actual: &Actual) -> Option<String> {
    match (wanted, actual.link) {
        (Via::Direct, Some(_)) => Some("it is attached by a link, and is wanted without".into()),
        (Via::Link, None) => Some("it is attached without a link, and is wanted with one".into()),
        _ => None,
    }
}

fn place_differs(wanted: &Place, actual: &Actual) -> Option<String> {
    let is = |n: &Neighbour, anchor: &Anchor| match anchor {
        Anchor::Program(id) => n.prog_id == *id,
        Anchor::Link(id) => n.link == Some(*id),
        Anchor::Any(text) => n.program == *text || n.prog_id.to_string() == *text,
    };
    let (right, place) = match wanted {
        Place::Default => return None,
        Place::First => (actual.before.is_empty(), "first".to_string()),
        Place::Last => (actual.after.is_empty(), "last".to_string()),
        Place::Before(anchor) => {
            (actual.after.first().is_some_and(|n| is(n, anchor)), format!("before {anchor}"))
        }
        Place::After(anchor) => {
            (actual.before.last().is_some_and(|n| is(n, anchor)), format!("after {anchor}"))
        }
    };
    (!right).then(|| format!("it runs as number {}, and is wanted {place}", actual.before.len() + 1))
}

/// struct_ops tables: a table behind a link is replaced, one without cannot be.
fn tables(wish: &Wishes, left: &mut Vec<&Actual>, out: &mut Vec<DeployStep>) -> Result<()> {
    let is_new = matches!(wish.programs, Programs::New(_));
    for map in &wish.tables {
        let key = HookKey::StructOps { map: map.clone() };
        let at = left.iter().position(|a| a.is_alive() && a.key.as_ref() == Some(&key));
        match at.map(|at| left.remove(at)) {
            None => out.push(DeployStep::Table { map: map.clone() }),
            Some(actual) if !is_new => out.push(DeployStep::Keep { actual: actual.clone() }),
            Some(actual) if actual.link.is_some() => {
                let (program, place) = (map.clone(), actual.place.clone());
                out.push(DeployStep::Update { actual: actual.clone(), program, place });
            }
            Some(actual) => return Err(not_in_one_step(actual)),
        }
    }
    match left.iter().find(|a| is_new && a.link.is_none() && matches!(a.key, Some(HookKey::StructOps { .. })))
    {
        Some(actual) => Err(not_in_one_step(actual)),
        None => Ok(()),
    }
}

fn not_in_one_step(actual: &Actual) -> DeployError {
    DeployError::NotInPlace {
        what: format!("struct_ops map `{}`", actual.program),
        why: "it is registered without a link, so another cannot take its place in one step".into(),
    }
}

/// What becomes of an attachment that nothing wished for.
fn of_rest(wish: &Wishes, state: &DeployState, actual: &Actual) -> Result<Option<DeployStep>> {
    let why = match &actual.condition {
        Condition::Dead(why) => Some((*why).to_string()),
        Condition::Gone => Some("no hook keeps the program any more".to_string()),
        Condition::Alive => None,
    };
    let Some(why) = why else {
        return match wish.rest {
            Rest::Stay
                if stays(wish, actual.key.as_ref().unwrap_or(&HookKey::Untold { name: String::new() })) =>
            {
                stay(wish, actual).map(Some)
            }
            _ => Ok(Some(DeployStep::Detach { actual: actual.clone() })),
        };
    };
    // It was meant to stay: where it was wanted before, it is made again.
    let again = wish.before.iter().find(|w| wish.rest == Rest::Stay && actual.pin.starts_with(&w.pin()));
    let is_there = |w: &WantedHook| {
        state
            .attached
            .iter()
            .any(|a| a.is_alive() && a.key.is_some() && a.key == w.key && a.program == w.program)
    };
    if let Some(wanted) = again.filter(|w| !is_there(w)) {
        return match (&wanted.key, &wanted.absent) {
            (None, Some(absent)) => {
                Ok(Some(DeployStep::Wait { wanted: wanted.clone(), why: absent.clone() }))
            }
            _ => Ok(Some(DeployStep::Attach {
                wanted: wanted.clone(),
                instead: format!("the old one is dead: {why}"),
            })),
        };
    }
    Ok(Some(DeployStep::Clear { actual: actual.clone(), why }))
}

/// The hook stays as it is, with the new program of the old one's name.
fn stay(wish: &Wishes, actual: &Actual) -> Result<DeployStep> {
    let Programs::New(names) = &wish.programs else { return Ok(DeployStep::Keep { actual: actual.clone() }) };
    if !names.contains(&actual.program) {
        let (program, place) = (actual.program.clone(), actual.place.clone());
        return Err(DeployError::NoSuccessor { program, place });
    }
    if !actual.can_update {
        let same =
            |w: &&WantedHook| w.key.as_ref().zip(actual.key.as_ref()).is_some_and(|(w, a)| may_be_same(w, a));
        let instead = "beside the old one, which then goes".to_string();
        return Ok(match wish.before.iter().find(same) {
            Some(wanted) => DeployStep::Attach { wanted: wanted.clone(), instead },
            None => DeployStep::Detach { actual: actual.clone() },
        });
    }
    let (program, place) = (actual.program.clone(), actual.place.clone());
    Ok(DeployStep::Update { actual: actual.clone(), program, place })
}

impl fmt::Display for DeployStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeployStep::Load { programs: 1 } => f.write_str("load 1 program"),
            DeployStep::Load { programs } => write!(f, "load {programs} programs"),
            DeployStep::Map { name, fate } => write!(f, "map {name}: {fate}"),
            DeployStep::Keep { actual } => write!(f, "keep {} at {}", actual.program, actual.place),
            DeployStep::Attach { wanted, instead } => {
                write!(f, "attach {} to {}", wanted.program, wanted.place())?;
                if instead.is_empty() { Ok(()) } else { write!(f, " ({instead})") }
            }
            DeployStep::Update { actual, program, place } if actual.program == *program => {
                write!(f, "put the new {program} in the place of the old one: {place}")
            }
            DeployStep::Update { actual, program, place } => {
                write!(f, "put {program} in the place of {}: {place}", actual.program)
            }
            DeployStep::Again { wanted, why, .. } => {
                let place = wanted.place();
                write!(
                    f,
                    "detach {} from {place} and attach it again, with a moment without it ({why})",
                    wanted.program
                )
            }
            DeployStep::Detach { actual } => write!(f, "detach {} from {}", actual.program, actual.place),
            DeployStep::Clear { actual, why } => write!(f, "remove what is left of {} ({why})", actual.pin),
            DeployStep::Table { map } => write!(f, "register struct_ops {map}"),
            DeployStep::Wait { wanted, why } => {
                write!(f, "wait with {} for {} ({why})", wanted.program, wanted.place())
            }
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Kept => f.write_str("kept"),
            Fate::New => f.write_str("new"),
            Fate::Changed(why) => write!(f, "new, what was in the old one goes ({why})"),
            Fate::Migrated(why) => write!(f, "new, with the elements of the old one ({why})"),
            Fate::Gone => f.write_str("removed with what is in it"),
        }
    }
}
