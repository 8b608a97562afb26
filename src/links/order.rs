//! Several programs at one hook: which runs first, and by which call each is attached.
//!
//! Newer hooks hold a *list* of programs. A newcomer says where in the list it wants to stand:
//!
//! ```text
//!   tcx ingress of eth0, revision 7      1: drop_bad   2: count   3: police
//!                                      ▲             ▲          ▲           ▲
//!                                    first     before count  after count   last
//! ```
//!
//! Whoever looked at the list first can give the *revision* that was seen: the kernel then refuses (`ESTALE`) if the
//! list has changed meanwhile, instead of putting the program into a place that nobody meant.

use std::fmt;
use std::str::FromStr;

use crate::progs;

/// Where in a hook's list a program is to stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// The place.
    pub place: Place,
    /// Only if the list still has this revision (see [`HookPrograms::revision`](crate::sys::HookPrograms)).
    pub expected_revision: Option<u64>,
}

/// A place in a list of programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// Where the kernel puts it: at the end of the list, but for classic tc filters, of which the newest runs first.
    #[default]
    Default,
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Just before this one.
    #[doc(alias = "BPF_F_BEFORE")]
    Before(Anchor),
    /// Just after this one.
    #[doc(alias = "BPF_F_AFTER")]
    After(Anchor),
}

/// A program that stands in a list already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// By the id of the program. Finds only programs that are attached without a link.
    #[doc(alias = "BPF_F_ID")]
    Program(u32),
    /// By the id of the link that attaches it.
    #[doc(alias = "BPF_F_LINK")]
    Link(u32),
    /// By the program's id, or by its name if only one at this hook has it, however it is attached.
    Any(String),
}

/// How a program is attached: by a link object, or without.
///
/// A link belongs to whoever holds it, and ends with the last that does. Without one the attachment belongs to the
/// hook: it stays when the process ends, anybody with the privilege can remove it, and it cannot be pinned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Via {
    /// By a link where the kernel has links for the hook, else without.
    #[default]
    Auto,
    /// By a link, or not at all.
    Link,
    /// Without a link: `BPF_PROG_ATTACH`, or netlink.
    #[doc(alias = "BPF_PROG_ATTACH")]
    Direct,
}

/// `BPF_F_REPLACE`
pub(super) const REPLACE: u32 = 1 << 2;
/// `BPF_F_BEFORE`
const BEFORE: u32 = 1 << 3;
/// `BPF_F_AFTER`
const AFTER: u32 = 1 << 4;
/// `BPF_F_ID`: the anchor is given by its id, not by a descriptor.
const ID: u32 = 1 << 5;
/// `BPF_F_LINK`: the anchor is a link, not a program.
const LINK: u32 = 1 << 13;

/// An order as the kernel takes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RawOrder {
    pub(super) flags: u32,
    pub(super) relative: u32,
    pub(super) revision: u64,
}

impl Order {
    /// At this place, whatever the revision.
    pub fn at(place: Place) -> Order {
        Order { place, expected_revision: None }
    }

    /// Flags, anchor and revision; the error names an anchor that is not there. `standing` is what stands at the hook
    /// now: program id and link id (0 without) of each.
    pub(super) fn raw(&self, standing: &[(u32, u32)]) -> Result<RawOrder, String> {
        let (flags, anchor) = match &self.place {
            Place::Default => (0, None),
            Place::First => (BEFORE, None),
            Place::Last => (AFTER, None),
            Place::Before(anchor) => (BEFORE, Some(anchor)),
            Place::After(anchor) => (AFTER, Some(anchor)),
        };
        let (more, relative) = match anchor {
            None => (0, 0),
            Some(anchor) => anchor.raw(standing)?,
        };
        Ok(RawOrder { flags: flags | more, relative, revision: self.expected_revision.unwrap_or(0) })
    }
}

impl Anchor {
    fn raw(&self, standing: &[(u32, u32)]) -> Result<(u32, u32), String> {
        match self.find(standing)? {
            (program, 0) => Ok((ID, program)),
            (_, link) => Ok((ID | LINK, link)),
        }
    }

    /// The one of `standing` that is meant.
    pub(super) fn find(&self, standing: &[(u32, u32)]) -> Result<(u32, u32), String> {
        let name = |id: u32| progs::Program::open_id(id).map(|p| p.name().to_string()).unwrap_or_default();
        let is_meant = |&(program, link): &(u32, u32)| match self {
            Anchor::Program(id) => program == *id && link == 0,
            Anchor::Link(id) => link == *id,
            Anchor::Any(text) => {
                text.parse().map_or_else(|_| name(program) == *text, |id: u32| program == id)
            }
        };
        let mut meant = standing.iter().copied().filter(is_meant);
        match (meant.next(), meant.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(format!("{self} stands there more than once; name it by its link")),
            (None, _) if standing.is_empty() => Err(format!("{self} does not stand there: nothing does")),
            (None, _) => {
                let known: Vec<String> = standing
                    .iter()
                    .map(|&(program, link)| match link {
                        0 => format!("`{}` (program {program})", name(program)),
                        link => format!("`{}` (program {program}, link {link})", name(program)),
                    })
                    .collect();
                Err(format!("{self} does not stand there; there are: {}", known.join(", ")))
            }
        }
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Anchor::Program(id) => write!(f, "program {id}"),
            Anchor::Link(id) => write!(f, "link {id}"),
            Anchor::Any(text) => write!(f, "`{text}`"),
        }
    }
}

impl FromStr for Anchor {
    type Err = String;

    /// `NAME`, `id:N` (a program), `link:N`; a blank will do for the colon.
    fn from_str(text: &str) -> Result<Anchor, String> {
        let wrong = || format!("`{text}` is neither a program's NAME nor id:N nor link:N");
        match text.split_once([':', ' ']) {
            None if text.is_empty() => Err(wrong()),
            None => Ok(Anchor::Any(text.into())),
            Some(("id", id)) => {
                id.trim().parse::<u32>().map(|id| Anchor::Any(id.to_string())).map_err(|_| wrong())
            }
            Some(("link", id)) => id.trim().parse().map(Anchor::Link).map_err(|_| wrong()),
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("at the default place"),
            Place::First => f.write_str("first"),
            Place::Last => f.write_str("last"),
            Place::Before(anchor) => write!(f, "before {anchor}"),
            Place::After(anchor) => write!(f, "after {anchor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_that_a_link_attaches_is_named_by_the_link() {
        let standing = [(7, 0), (8, 3)];
        let raw = |place: Place| Order::at(place).raw(&standing).map(|r| (r.flags, r.relative));
        assert_eq!(raw(Place::Before(Anchor::Program(7))), Ok((BEFORE | ID, 7)));
        assert_eq!(raw(Place::After(Anchor::Any("8".into()))), Ok((AFTER | ID | LINK, 3)));
        assert_eq!(raw(Place::First), Ok((BEFORE, 0)));
        assert!(
            raw(Place::Before(Anchor::Link(9))).is_err_and(|e| e.starts_with("link 9 does not stand there"))
        );
    }

    #[test]
    fn an_anchor_is_read_as_it_is_typed() {
        assert_eq!("count".parse(), Ok(Anchor::Any("count".into())));
        assert_eq!("id:12".parse(), Ok(Anchor::Any("12".into())));
        assert_eq!("link 3".parse(), Ok(Anchor::Link(3)));
        assert!("link:x".parse::<Anchor>().is_err());
        assert!("".parse::<Anchor>().is_err());
    }
}
