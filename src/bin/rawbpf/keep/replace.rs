//! `load --replace`: a new object in the place of one that is loaded, and what to do if that is cut short.
//!
//! Hooks that both have never stand empty: the link stays and gets the new program. The directories of pins change
//! places by renaming, so that whoever comes after a process that was killed knows how far it came:
//!
//! ```text
//!   NAME                    as it was
//!   NAME  NAME~             the new one is put together        mend: its hooks get the old programs back, NAME~ goes
//!         NAME~  NAME~old   the old one has no name any more   mend: go on from here
//!   NAME         NAME~old   the new one has it                 mend: NAME~old goes
//!   NAME                    done
//! ```

use std::fs;
use std::path::Path;

use rawbpf::links::{Hook, LinkInfo, Scope, inventory};
use rawbpf::uapi::LinkType;
use rawbpf::{Link, Loaded, Map, Program, Target};

use crate::keep::attach::{self, Attached, Attachments};
use crate::keep::report::{self, LinkRow, LoadReport};
use crate::keep::signals::hold_signals;
use crate::keep::store::{DIRECT, Entry, LINKS, MAPS, PROGS};
use crate::keep::wanted::Wanted;
use crate::keep::{linkless, struct_ops};
use crate::targets::name::{is_tracing, names};
use crate::ui::error::CliError;

/// Puts a new object in the place of `old`. If anything fails, the links get their old programs back.
pub(crate) fn run(wanted: &Wanted, old: &Entry) -> Result<LoadReport, CliError> {
    struct_ops::refuse_replacing(&old.pins(MAPS))?;
    let loaded = wanted.plan.run()?;
    let direct = linkless::plan(old, &loaded, wanted.targets)?;
    let new = old.successor();
    new.make()?;
    let mut swapped: Vec<(Link, Program)> = Vec::new();
    let result = swap(old, &new, &loaded, wanted, &direct, &mut swapped);
    let result = result.and_then(|attached| {
        let _signals = hold_signals();
        settle(old, &new)?;
        let mut report = report::report(wanted, &old.name, Some(&old.dir), &loaded, &attached)?;
        report.replaced = true;
        for swap in direct {
            report.not_attached.retain(|row| row.program != swap.program);
            report.links.push(LinkRow::without_link(swap.program, swap.hook));
        }
        attach::leave(attached.done);
        Ok(report)
    });
    // Once the old one has lost its name there is no way back.
    if result.is_err() && old.exists() && new.exists() {
        for (link, before) in &swapped {
            let _ = link.update(before, None);
        }
        let _ = new.remove();
    }
    linkless::let_go(swapped);
    result
}

fn swap(
    old: &Entry,
    new: &Entry,
    loaded: &Loaded,
    wanted: &Wanted,
    direct: &[linkless::Swap],
    swapped: &mut Vec<(Link, Program)>,
) -> Result<Attachments, CliError> {
    let (mut attached, mut tables) = (Vec::new(), Vec::new());
    let Wanted { how, targets, .. } = *wanted;
    for (pin, path) in old.pins(LINKS) {
        if let (link, LinkInfo { link_type: LinkType::StructOps, .. }) = open(&path)? {
            tables.push((link, pin));
            continue;
        }
        let Some((after, hook)) = successor(&pin, &path, loaded, targets)? else { continue };
        let (link, info) = open(&path)?;
        let before =
            Program::open_id(info.prog_id).map_err(CliError::sys("open the program that is attached"))?;
        link.update(after, Some(&before)).map_err(CliError::sys(format!("replace the program of {hook}")))?;
        attached.push(Attached { link, program: after.name().into(), hook, pin });
        swapped.push((open(&path)?.0, before));
    }
    let is_kept = |(n, t): &&(String, Target)| {
        let pin = names(n, t).1.replace('.', "_");
        attached.iter().any(|a| a.pin == pin) || direct.iter().any(|s| s.pin == pin)
    };
    let fresh: Vec<(String, Target)> = targets.iter().filter(|t| !is_kept(t)).cloned().collect();
    let mut added = attach::attach(Some(new), loaded, &fresh, how)?;
    let kept: Vec<String> =
        tables.iter().filter_map(|(_, pin)| pin.strip_prefix("struct_ops_")).map(String::from).collect();
    struct_ops::attach_all(Some(new), loaded, how, &kept, &mut added);
    // All or nothing: what was attached so far stays, or is replaced.
    let mut added = added.or_error(true)?;
    attach::pin(new, loaded, &added.done)?;
    linkless::run(direct, new, loaded, swapped)?;
    // Last, as there is no way back: the old table's functions are not known any more.
    for (link, pin) in tables {
        attached.push(struct_ops::replace(link, pin, loaded)?);
    }
    attached.append(&mut added.done);
    Ok(Attachments { done: attached, ..added })
}

fn open(path: &Path) -> Result<(Link, LinkInfo), CliError> {
    let doing = format!("open the link {}", path.display());
    let link = Link::open_pin(path).map_err(CliError::sys(doing.clone()))?;
    let info = link.info().map_err(CliError::sys(doing))?;
    Ok((link, info))
}

/// The program that is to run behind this link from now on, and what to call its hook. Without targets the hooks stay
/// as they are, each with the new program of its old one's name.
fn successor<'a>(
    pin: &str,
    path: &Path,
    loaded: &'a Loaded,
    targets: &[(String, Target)],
) -> Result<Option<(&'a Program, String)>, CliError> {
    let (_, info) = open(path)?;
    // A link that takes no other program is made anew, beside the old one.
    if !can_update(info.link_type) {
        return Ok(None);
    }
    let before =
        Program::open_id(info.prog_id).map_err(CliError::sys("open the program that is attached"))?;
    let wanted = targets.iter().find(|(n, t)| names(n, t).1.replace('.', "_") == pin);
    let after = match wanted {
        Some((name, _)) => loaded.program(name),
        None if targets.iter().all(|(_, t)| is_tracing(t)) => loaded.program(before.name()),
        None => return Ok(None),
    };
    let hook = wanted.map_or_else(|| pin.replacen("xdp_", "XDP on ", 1), |(n, t)| names(n, t).0);
    match after {
        Some(after) => Ok(Some((after, hook))),
        None => Err(CliError::Option(format!(
            "--replace: `{}` is attached ({pin}), and the new object has no program of this name",
            before.name()
        ))),
    }
}

/// Gives the new one the name of the old, with the links that were kept, and removes the rest of the old.
fn settle(old: &Entry, new: &Entry) -> Result<(), CliError> {
    let out = old.outgoing();
    rename(&old.dir, &out.dir)?;
    finish(old, &out, new)
}

fn finish(name: &Entry, out: &Entry, new: &Entry) -> Result<(), CliError> {
    let (programs, maps) = (ids(new, PROGS), map_ids(new));
    for (pin, path) in out.pins(LINKS) {
        let link = Link::open_pin(&path).and_then(|l| l.info());
        let is_kept = link.is_ok_and(|l| match l.hook {
            Hook::StructOps { map_id } => maps.contains(&map_id),
            _ => programs.contains(&l.prog_id),
        });
        if is_kept && !new.dir.join(LINKS).join(&pin).exists() {
            rename(&path, &new.pin(LINKS, &pin)?)?;
        }
    }
    rename(&new.dir, &name.dir)?;
    out.remove().map(drop)
}

fn rename(from: &Path, to: &Path) -> Result<(), CliError> {
    fs::rename(from, to).map_err(CliError::io(format!("rename {}", from.display())))
}

/// The ids of the programs that have a pin in a part of an entry.
fn ids(entry: &Entry, part: &str) -> Vec<u32> {
    let pins = entry.pins(part);
    pins.iter().filter_map(|(_, path)| Program::open_pin(path).ok()?.info().ok()).map(|i| i.id).collect()
}

fn map_ids(entry: &Entry) -> Vec<u32> {
    entry.pins(MAPS).iter().filter_map(|(_, path)| Map::open_pin(path).ok()).map(|m| m.info().id).collect()
}

/// Puts right what a replacement left that was killed: it is undone, or done to the end.
pub(crate) fn mend(entry: &Entry) -> Result<(), CliError> {
    let (new, out) = (entry.successor(), entry.outgoing());
    match (entry.exists(), new.exists(), out.exists()) {
        (false, true, true) => finish(entry, &out, &new),
        (false, false, true) => rename(&out.dir, &entry.dir),
        (true, false, true) => out.remove().map(drop),
        (true, true, _) => {
            give_back(entry, &new)?;
            new.remove().map(drop)
        }
        (false, true, false) => new.remove().map(drop),
        (_, false, false) => Ok(()),
    }
}

/// Puts the old programs back behind hooks that have the new ones already.
fn give_back(old: &Entry, new: &Entry) -> Result<(), CliError> {
    let programs = old.pins(PROGS);
    let own = ids(old, PROGS);
    for (_, path) in old.pins(LINKS) {
        let (link, info) = open(&path)?;
        if info.prog_id == 0 || own.contains(&info.prog_id) {
            continue;
        }
        // Its name is that of the old one, as a rule.
        let Ok(now) = Program::open_id(info.prog_id) else { continue };
        if let Some((_, path)) = programs.iter().find(|(name, _)| name == now.name()) {
            let before = Program::open_pin(path).map_err(CliError::sys("open the program of before"))?;
            link.update(&before, None).map_err(CliError::sys("put the program of before back"))?;
        }
    }
    let records = old.pins(DIRECT);
    if records.is_empty() {
        return Ok(());
    }
    let all = inventory(&Scope::Everywhere);
    for (pin, path) in records {
        let doing = format!("put back the program of {pin}");
        let Ok(now) = Program::open_pin(new.dir.join(DIRECT).join(&pin)).and_then(|p| p.info()) else {
            continue;
        };
        let before = Program::open_pin(&path).map_err(CliError::sys(doing.clone()))?;
        for attachment in all.attachments.iter().filter(|a| a.prog_id == now.id && a.by.link_id().is_none()) {
            let link = all.open(attachment).map_err(CliError::sys(doing.clone()))?;
            let changed = link.update(&before, None);
            link.leak();
            changed.map_err(CliError::sys(doing.clone()))?;
        }
    }
    Ok(())
}

/// Whether another program can be put behind a link of this type.
pub(crate) fn can_update(link_type: LinkType) -> bool {
    !matches!(
        link_type,
        LinkType::RawTracepoint
            | LinkType::Tracing
            | LinkType::PerfEvent
            | LinkType::KprobeMulti
            | LinkType::UprobeMulti
            | LinkType::TracingMulti
            | LinkType::Iter
            | LinkType::Netfilter
    )
}
