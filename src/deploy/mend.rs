//! The protocol of a replacement, and what to do if that is cut short.
//!
//! The new directory is put together beside the old one, and both change places by renaming, so that whoever comes
//! after a process that was killed knows by the names how far it came:
//!
//! ```text
//!   NAME                    as it was
//!   NAME  NAME~             the new one is put together        mend: its hooks get the old programs back, NAME~ goes
//!         NAME~  NAME~old   the old one has no name any more   mend: go on from here
//!   NAME         NAME~old   the new one has it                 mend: NAME~old goes
//!   NAME                    done
//!         NAME~             the first of its name was put together     mend: NAME~ goes
//! ```
//!
//! A hook that is to get another program has the one that it had pinned in `NAME~/before` first, under the name of its
//! own pin: so it can be given back, whatever the programs are called.

use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::remove::remove_entry;
use super::store::{LoadEntry, PinPart, rename, unpin};
use crate::links::inventory::{Look, survey};
use crate::links::{Hook, Link, Scope};
use crate::maps::Map;
use crate::progs::Program;

/// Gives the new one the name of the old, with the links that were kept, and removes the rest of the old.
pub(super) fn settle(old: &LoadEntry, new: &LoadEntry) -> Result<()> {
    if !old.exists()? {
        return new.rename_to(old);
    }
    let out = old.outgoing();
    old.rename_to(&out)?;
    finish(old, &out, new)
}

fn finish(name: &LoadEntry, out: &LoadEntry, new: &LoadEntry) -> Result<()> {
    let (programs, maps) = (program_ids(new)?, map_ids(new)?);
    for (pin, path) in out.pins(PinPart::Links)? {
        let link = Link::open_pin(&path).and_then(|l| l.info()).map_err(DeployError::open("link", &path))?;
        let is_kept = match link.hook {
            Hook::StructOps { map_id } => maps.contains(&map_id),
            _ => programs.contains(&link.prog_id),
        };
        if is_kept {
            let taken = |pin: &str| new.path(PinPart::Links, pin).exists();
            let free = unique(&pin, taken);
            rename(&path, &new.pin(PinPart::Links, &free)?)?;
        }
    }
    for (pin, path) in new.pins(PinPart::Before)? {
        // The hook has the new program: of the old one there is nothing to be taken away.
        if new.path(PinPart::Linkless, &pin).exists() {
            unpin(&out.path(PinPart::Linkless, &pin))?;
        }
        unpin(&path)?;
    }
    let _ = std::fs::remove_dir(new.dir.join(PinPart::Before.dir()));
    new.rename_to(name)?;
    remove_entry(out).map(drop)
}

/// The first of `pin`, `pin-2`, `pin-3` ... that is not taken.
pub(super) fn unique(pin: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let others = (2u32..).map(|n| format!("{pin}-{n}"));
    std::iter::once(pin.to_string()).chain(others).find(|name| !is_taken(name)).unwrap_or_default()
}

fn program_ids(entry: &LoadEntry) -> Result<Vec<u32>> {
    let id = |(_, path): (String, std::path::PathBuf)| {
        let info = Program::open_pin(&path).and_then(|p| p.info());
        info.map(|i| i.id).map_err(DeployError::open("program", &path))
    };
    entry.pins(PinPart::Programs)?.into_iter().map(id).collect()
}

fn map_ids(entry: &LoadEntry) -> Result<Vec<u32>> {
    let id = |(_, path): (String, std::path::PathBuf)| {
        Map::open_pin(&path).map(|m| m.info().id).map_err(DeployError::open("map", &path))
    };
    entry.pins(PinPart::Maps)?.into_iter().map(id).collect()
}

/// Puts right what a replacement left that was killed: it is undone, or done to the end.
///
/// # Errors
/// Something could not be read, renamed or removed.
pub fn mend(entry: &LoadEntry) -> Result<()> {
    let (new, out) = (entry.successor(), entry.outgoing());
    match (entry.exists()?, new.exists()?, out.exists()?) {
        (false, true, true) => finish(entry, &out, &new),
        (false, false, true) => out.rename_to(entry),
        (true, false, true) => remove_entry(&out).map(drop),
        (true, true, _) => {
            give_back(entry, &new)?;
            remove_entry(&new).map(drop)
        }
        (false, true, false) => remove_entry(&new).map(drop),
        (_, false, false) => Ok(()),
    }
}

/// Puts the old programs back behind hooks that have the new ones already.
fn give_back(old: &LoadEntry, new: &LoadEntry) -> Result<()> {
    let doing = |pin: &str| format!("put the program of before back behind {pin}");
    let before = new.pins(PinPart::Before)?;
    let mut linkless = Vec::new();
    for (pin, path) in before {
        let program = Program::open_pin(&path).map_err(DeployError::open("program", &path))?;
        let own = program.info().map_err(DeployError::open("program", &path))?.id;
        let link = old.path(PinPart::Links, &pin);
        if link.exists() {
            let link = Link::open_pin(&link).map_err(DeployError::open("link", &link))?;
            let info = link.info().map_err(DeployError::sys(doing(&pin)))?;
            if info.prog_id != own && super::state::dead(&info.hook).is_none() {
                link.update(&program, None).map_err(DeployError::sys(doing(&pin)))?;
            }
        } else {
            linkless.push((pin, program));
        }
    }
    if linkless.is_empty() {
        return Ok(());
    }
    let all = survey(&Look { scope: Scope::Everywhere, cgroups: true, maps: true, holders: false });
    for (pin, program) in linkless {
        let path = new.path(PinPart::Linkless, &pin);
        let Ok(now) = Program::open_pin(&path).and_then(|p| p.info()) else { continue };
        for found in all.attachments.iter().filter(|a| a.prog_id == now.id && a.by.link_id().is_none()) {
            let link = all.open(found).map_err(DeployError::sys(doing(&pin)))?;
            let changed = link.update(&program, None);
            link.leak();
            changed.map_err(DeployError::sys(doing(&pin)))?;
        }
    }
    Ok(())
}

/// The attachments of a program without a link at one place, in this list.
pub(super) fn at(
    all: &crate::links::Inventory,
    prog_id: u32,
    key: &HookKey,
    own: &[(u32, String)],
) -> Vec<crate::links::Attachment> {
    let fits = |a: &&crate::links::Attachment| {
        a.prog_id == prog_id
            && a.by.link_id().is_none()
            && HookKey::of_attachment(a, own).as_ref() == Some(key)
    };
    all.attachments.iter().filter(fits).cloned().collect()
}
