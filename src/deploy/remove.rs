//! Taking away what is deployed under a name.
//!
//! First everything is read and opened: what cannot be, stops it before anything is removed. Then hooks are let go of,
//! and only what was let go of loses its pin: a detach that fails leaves its pin, so that it can be tried again.

use super::error::{DeployError, Result};
use super::record::LoadRecord;
use super::store::{LoadEntry, Pin, PinPart, Store, unpin};
use super::struct_ops;
use crate::links::inventory::{Look, survey};
use crate::links::{Link, Scope};
use crate::maps::Map;
use crate::progs::Program;
use crate::sys::Errno;

/// What was removed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Links.
    pub links: Vec<String>,
    /// Attachments without links.
    pub linkless: Vec<String>,
    /// Programs.
    pub programs: Vec<String>,
    /// Maps.
    pub maps: Vec<String>,
}

/// Everything that an entry has, opened.
struct Contents {
    links: Vec<(Pin, Link)>,
    linkless: Vec<(Pin, u32)>,
    maps: Vec<(Pin, Map)>,
    programs: Vec<Pin>,
    before: Vec<Pin>,
}

impl Contents {
    fn read(entry: &LoadEntry) -> Result<Contents> {
        let links = entry.pins(PinPart::Links)?.into_iter().map(|pin| {
            let link = Link::open_pin(&pin.1).map_err(DeployError::open("link", &pin.1))?;
            Ok((pin, link))
        });
        let linkless = entry.pins(PinPart::Linkless)?.into_iter().map(|pin| {
            let program = Program::open_pin(&pin.1).and_then(|p| p.info());
            let id = program.map_err(DeployError::open("program", &pin.1))?.id;
            Ok((pin, id))
        });
        let maps = entry.pins(PinPart::Maps)?.into_iter().map(|pin| {
            let map = Map::open_pin(&pin.1).map_err(DeployError::open("map", &pin.1))?;
            Ok((pin, map))
        });
        Ok(Contents {
            links: links.collect::<Result<_>>()?,
            linkless: linkless.collect::<Result<_>>()?,
            maps: maps.collect::<Result<_>>()?,
            programs: entry.pins(PinPart::Programs)?,
            before: entry.pins(PinPart::Before)?,
        })
    }
}

/// Removes what is deployed under a name. Its hooks are let go of first; if that fails, what is attached keeps its pins,
/// and so do its programs and maps.
///
/// # Errors
/// The first failure. If something could not be read, nothing was removed.
pub fn remove(store: &Store, entry: &LoadEntry) -> Result<Removed> {
    let removed = remove_entry(entry)?;
    store.tidy();
    Ok(removed)
}

pub(super) fn remove_entry(entry: &LoadEntry) -> Result<Removed> {
    let contents = Contents::read(entry)?;
    let mut removed = Removed::default();
    let mut first = None;
    for ((name, path), link) in contents.links {
        // The pin may be all that holds the link, or not: it is detached whoever holds it.
        match end(link)
            .map_err(DeployError::sys(format!("detach {}", path.display())))
            .and_then(|()| unpin(&path))
        {
            Ok(()) => removed.links.push(name),
            Err(e) => first = first.or(Some(e)),
        }
    }
    match end_linkless(&contents.linkless) {
        Ok(names) => removed.linkless = names,
        Err(e) => first = first.or(Some(e)),
    }
    for ((name, _), map) in &contents.maps {
        match struct_ops::unregister(map) {
            Ok(true) => removed.links.push(name.clone()),
            Ok(false) => {}
            Err(e) => first = first.or(Some(e)),
        }
    }
    if let Some(e) = first {
        return Err(e);
    }
    for (_, path) in &contents.before {
        unpin(path)?;
    }
    for (name, path) in contents.programs {
        unpin(&path)?;
        removed.programs.push(name);
    }
    for ((name, path), _) in contents.maps {
        unpin(&path)?;
        removed.maps.push(name);
    }
    LoadRecord::remove(entry)?;
    entry.remove_dirs()?;
    Ok(removed)
}

/// Ends a link, whoever else holds it.
pub(super) fn end(link: Link) -> std::result::Result<(), crate::sys::SysError> {
    match link.detach() {
        // Links of perf events and raw tracepoints end with their last pin and descriptor instead, and a link whose
        // place is gone is detached already.
        Err(e) if [Errno::EOPNOTSUPP, Errno::ENOTSUPP, Errno::ENODEV, Errno::EINVAL].contains(&e.errno) => {
            Ok(())
        }
        other => other,
    }
}

/// Takes programs away from the hooks that keep them, and the records of that.
fn end_linkless(records: &[(Pin, u32)]) -> Result<Vec<String>> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<u32> = records.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let all = survey(&Look { scope: Scope::Everywhere, cgroups: true, maps: true, holders: false });
    let (ended, problems) = all.end_without_link(&ids);
    // What could not be looked at may be where a program is that was not found.
    let unseen = all.problems.into_iter().filter(|_| ended < records.len());
    if let Some(problem) = problems.into_iter().chain(unseen).next() {
        return Err(DeployError::Unseen { what: problem.what, why: problem.why });
    }
    let mut names = Vec::new();
    for ((name, path), _) in records {
        unpin(path)?;
        names.push(name.clone());
    }
    Ok(names)
}
