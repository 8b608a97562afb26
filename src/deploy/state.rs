//! What is: the pins of a name, and what is attached by them, as the kernel says it now.
//!
//! ```text
//!   links/P     asked what it is at        alive | dead: it outlived its interface, cgroup or namespace
//!   direct/P    its program's id, looked   alive | gone: no hook keeps the program any more
//!               for at all hooks
//! ```
//!
//! Links do not tell the namespace of their interface, and attachments without links tell nothing: so the hooks
//! themselves are asked. The namespace where it is expected comes first, and only if something is not found there, all
//! others. What cannot be read is an error, for "not found" means that something will be made or taken away.

use std::collections::HashMap;

use super::error::{DeployError, Result};
use super::hook::HookKey;
use super::record::LoadRecord;
use super::store::{LoadEntry, PinPart};
use super::struct_ops;
use super::target::can_update;
use crate::links::inventory::{By, Look, survey};
use crate::links::{AttachedMode, Attachment, Hook, Inventory, Link, LinkInfo, NetNs, Scope, Share};
use crate::maps::Map;
use crate::progs::Program;

/// What is deployed under a name.
#[derive(Debug, Clone, Default)]
pub struct DeployState {
    /// What was wanted, if it was written down.
    pub record: Option<LoadRecord>,
    /// Programs: name and id.
    pub programs: Vec<(String, u32)>,
    /// Maps: name, without what a bpffs does not take, and the map.
    pub maps: Vec<(String, Map)>,
    /// What is attached, or was.
    pub attached: Vec<Actual>,
    /// Who else stands where only one program can.
    pub others: Vec<Other>,
}

/// Something attached, or that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actual {
    /// The name of its pin; that of the program for one without a link.
    pub pin: String,
    /// Its link; `None` for one without.
    pub link: Option<u32>,
    /// The program, or the map of a struct_ops table.
    pub program: String,
    /// The program's id.
    pub prog_id: u32,
    /// The place; `None` if it is gone, or in a namespace that was not found.
    pub key: Option<HookKey>,
    /// The place in words, with the name that it has now.
    pub place: String,
    /// Whether the program runs.
    pub condition: Condition,
    /// Another program can take its place in one step.
    pub can_update: bool,
    /// Where an XDP program runs.
    pub mode: Option<AttachedMode>,
    /// How the hook of a cgroup is shared.
    pub share: Option<Share>,
    /// Its neighbours in a list of programs: those before and after it.
    pub before: Vec<Neighbour>,
    /// Those after it.
    pub after: Vec<Neighbour>,
}

/// A program in the same list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its id.
    pub prog_id: u32,
    /// Its name.
    pub program: String,
    /// Its link, if it has one.
    pub link: Option<u32>,
}

/// Whether what was attached still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The hook runs the program.
    Alive,
    /// The link is there, and what it was at is not.
    Dead(&'static str),
    /// It had no link, and no hook keeps the program.
    Gone,
}

/// A program of somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Where.
    pub key: HookKey,
    /// Its name and number, in words.
    pub program: String,
}

impl Actual {
    /// True if the hook runs the program.
    pub fn is_alive(&self) -> bool {
        self.condition == Condition::Alive
    }
}

impl Other {
    fn of(found: &Attachment) -> Option<Other> {
        let key = HookKey::of_attachment(found, &[]).filter(HookKey::is_single)?;
        let name = found.program.as_deref().unwrap_or("a program without a name");
        Some(Other { key, program: format!("`{name}` (id {})", found.prog_id) })
    }
}

/// Why a link can do nothing any more; `None` if it can.
pub fn dead(hook: &Hook) -> Option<&'static str> {
    match hook {
        Hook::Xdp { ifindex: 0 } | Hook::Tcx { ifindex: 0, .. } | Hook::Netkit { ifindex: 0, .. } => {
            Some("its interface is gone, or it was detached by force")
        }
        Hook::Cgroup { cgroup_id: 0, .. } => Some("its cgroup is gone, or it was detached by force"),
        Hook::Netns { inode: 0, .. } => Some("its network namespace is gone, or it was detached by force"),
        Hook::Sockmap { map_id: 0, .. } => Some("its map is gone, or it was detached by force"),
        Hook::StructOps { map_id: 0 } => Some("it was detached by force"),
        _ => None,
    }
}

/// The pins of an entry, opened.
#[derive(Debug, Default)]
struct Opened {
    record: Option<LoadRecord>,
    programs: Vec<(String, u32)>,
    maps: Vec<(String, Map)>,
    links: Vec<(String, LinkInfo)>,
    linkless: Vec<(String, u32, String)>,
}

impl Opened {
    fn read(entry: &LoadEntry) -> Result<Opened> {
        let mut out = Opened { record: LoadRecord::read(entry)?, ..Opened::default() };
        for (name, path) in entry.pins(PinPart::Programs)? {
            let program = Program::open_pin(&path).map_err(DeployError::open("program", &path))?;
            let info = program.info().map_err(DeployError::open("program", &path))?;
            out.programs.push((info.name, info.id));
            let _ = name;
        }
        for (name, path) in entry.pins(PinPart::Maps)? {
            out.maps.push((name, Map::open_pin(&path).map_err(DeployError::open("map", &path))?));
        }
        for (name, path) in entry.pins(PinPart::Links)? {
            let link = Link::open_pin(&path).and_then(|l| l.info());
            out.links.push((name, link.map_err(DeployError::open("link", &path))?));
        }
        for (name, path) in entry.pins(PinPart::Linkless)? {
            let program = Program::open_pin(&path).and_then(|p| p.info());
            let info = program.map_err(DeployError::open("program", &path))?;
            out.linkless.push((name, info.id, info.name));
        }
        Ok(out)
    }

    /// True if hooks have to be asked.
    fn needs_interfaces(&self) -> bool {
        let at_interface = |(_, l): &(String, LinkInfo)| {
            matches!(
                l.hook,
                Hook::Xdp { ifindex: 1.. }
                    | Hook::Tcx { ifindex: 1.., .. }
                    | Hook::Netkit { ifindex: 1.., .. }
            )
        };
        !self.linkless.is_empty() || self.links.iter().any(at_interface)
    }

    /// True if everything of it was found in this list.
    fn is_found(&self, all: &Inventory) -> bool {
        let of_link = |id: u32| all.attachments.iter().find(|a| a.by.link_id() == Some(id));
        let link = |(_, l): &(String, LinkInfo)| match l.hook {
            Hook::Xdp { ifindex: 1.. }
            | Hook::Tcx { ifindex: 1.., .. }
            | Hook::Netkit { ifindex: 1.., .. } => of_link(l.id).is_some_and(|a| a.netns.is_some()),
            _ => true,
        };
        let linkless = |(_, id, _): &(String, u32, String)| {
            let records = self.linkless.iter().filter(|(_, other, _)| other == id).count();
            let hooks =
                all.attachments.iter().filter(|a| a.prog_id == *id && a.by.link_id().is_none()).count();
            hooks >= records
        };
        self.links.iter().all(link) && self.linkless.iter().all(linkless)
    }

    fn own_maps(&self) -> Vec<(u32, String)> {
        self.maps.iter().map(|(_, map)| (map.info().id, map.name().to_string())).collect()
    }
}

/// The states of several entries, asked at once; `expected` are the namespaces to look at first.
///
/// # Errors
/// Something could not be read; nothing is known then.
pub fn states(entries: &[LoadEntry], expected: &[NetNs]) -> Result<Vec<DeployState>> {
    let opened = entries.iter().map(Opened::read).collect::<Result<Vec<_>>>()?;
    let linkless = opened.iter().any(|o| !o.linkless.is_empty());
    let all = if opened.iter().any(Opened::needs_interfaces) || !expected.is_empty() {
        let mut scope = vec![NetNs::Current];
        scope.extend(expected.iter().filter(|n| **n != NetNs::Current && n.open().is_ok()).cloned());
        let look = Look { scope: Scope::Of(scope), cgroups: linkless, maps: linkless, holders: false };
        let first = survey(&look);
        if opened.iter().all(|o| o.is_found(&first)) {
            first
        } else {
            survey(&Look { scope: Scope::Everywhere, ..look })
        }
    } else {
        Inventory::default()
    };
    if let Some(problem) = all.problems.first().filter(|_| !opened.iter().all(|o| o.is_found(&all))) {
        return Err(DeployError::Unseen { what: problem.what.clone(), why: problem.why.clone() });
    }
    opened.into_iter().map(|o| o.state(&all)).collect()
}

/// The state of one entry.
///
/// # Errors
/// As for [`states`].
pub fn state(entry: &LoadEntry, expected: &[NetNs]) -> Result<DeployState> {
    Ok(states(std::slice::from_ref(entry), expected)?.pop().unwrap_or_default())
}

impl Opened {
    fn state(self, all: &Inventory) -> Result<DeployState> {
        let own = self.own_maps();
        let mut attached = Vec::new();
        for (pin, info) in &self.links {
            let found = all.attachments.iter().find(|a| a.by.link_id() == Some(info.id));
            attached.push(self.link(pin, info, found, all, &own));
        }
        let mut ids: HashMap<u32, Vec<&str>> = HashMap::new();
        for (pin, id, _) in &self.linkless {
            ids.entry(*id).or_default().push(pin);
        }
        for (id, pins) in ids {
            let name = self.linkless.iter().find(|(_, i, _)| *i == id).map_or("", |(_, _, name)| name);
            attached.extend(without_link(id, name, pins, all, &own));
        }
        attached.extend(registered(&self.maps));
        attached.sort_by(|a, b| a.pin.cmp(&b.pin));
        let ours = |id: u32| self.programs.iter().any(|(_, own)| *own == id);
        let others = all.attachments.iter().filter(|a| !ours(a.prog_id)).filter_map(Other::of).collect();
        Ok(DeployState { record: self.record, programs: self.programs, maps: self.maps, attached, others })
    }

    fn link(
        &self,
        pin: &str,
        info: &LinkInfo,
        found: Option<&Attachment>,
        all: &Inventory,
        own: &[(u32, String)],
    ) -> Actual {
        let known = self.programs.iter().find(|(_, id)| *id == info.prog_id).map(|(name, _)| name.clone());
        let program = match info.hook {
            Hook::StructOps { map_id } => own.iter().find(|(id, _)| *id == map_id).map(|(_, n)| n.clone()),
            _ => known.or_else(|| Some(Program::open_id(info.prog_id).ok()?.name().to_string())),
        };
        let program = program.unwrap_or_default();
        let by = By::Link { id: info.id, link_type: info.link_type };
        let bare = Attachment {
            program: Some(program.clone()),
            ..Attachment::bare(info.hook.clone(), by, info.prog_id)
        };
        let key = HookKey::of_attachment(found.unwrap_or(&bare), own);
        let key = key.map(|key| match key {
            // The kernel's letters of a name end early; the entry's do not.
            HookKey::Traced { what, .. } => HookKey::Traced { program: program.clone(), what },
            other => other,
        });
        let condition = dead(&info.hook).map_or(Condition::Alive, Condition::Dead);
        let (before, after) = found.map(|a| neighbours(a, all)).unwrap_or_default();
        Actual {
            pin: pin.into(),
            link: Some(info.id),
            program,
            prog_id: info.prog_id,
            place: place(pin, found, key.as_ref(), all),
            key,
            condition,
            can_update: can_update(info.link_type),
            mode: found.and_then(|a| mode(&a.detail)),
            share: None,
            before,
            after,
        }
    }
}

/// What hooks keep of a program without a link, and the records that no hook answers to.
fn without_link(
    id: u32,
    program: &str,
    mut pins: Vec<&str>,
    all: &Inventory,
    own: &[(u32, String)],
) -> Vec<Actual> {
    let mut out = Vec::new();
    for found in all.attachments.iter().filter(|a| a.prog_id == id && a.by.link_id().is_none()) {
        let guess = guess(found);
        let at =
            pins.iter().position(|pin| pin.replacen("-2", "", 1) == guess || **pin == guess).unwrap_or(0);
        let pin = if pins.is_empty() { guess } else { pins.remove(at).to_string() };
        let key = HookKey::of_attachment(found, own);
        let (before, after) = neighbours(found, all);
        out.push(Actual {
            link: None,
            program: program.into(),
            prog_id: id,
            place: place(&pin, Some(found), key.as_ref(), all),
            pin,
            key,
            condition: Condition::Alive,
            can_update: true,
            mode: mode(&found.detail),
            share: found.share,
            before,
            after,
        });
    }
    out.extend(pins.into_iter().map(|pin| Actual {
        pin: pin.into(),
        link: None,
        program: program.into(),
        prog_id: id,
        key: None,
        place: pin.into(),
        condition: Condition::Gone,
        can_update: false,
        mode: None,
        share: None,
        before: Vec::new(),
        after: Vec::new(),
    }));
    out
}

/// What an attachment's record may be called.
fn guess(found: &Attachment) -> String {
    let name = match &found.hook {
        Hook::Xdp { .. } => format!("xdp_{}", found.place),
        Hook::Filter { .. } | Hook::Tcx { .. } => match found.place.rsplit_once(' ') {
            Some((interface, side)) => format!("tc_{side}_{interface}"),
            None => found.place.clone(),
        },
        _ => found.place.clone(),
    };
    name.replace(['.', '/'], "_")
}

fn mode(detail: &str) -> Option<AttachedMode> {
    [AttachedMode::Native, AttachedMode::Generic, AttachedMode::Offloaded]
        .into_iter()
        .find(|m| m.name() == detail)
}

/// The place with the names of now.
fn place(pin: &str, found: Option<&Attachment>, key: Option<&HookKey>, all: &Inventory) -> String {
    let Some(found) = found else { return key.map_or_else(|| pin.into(), HookKey::to_string) };
    let netns = found.netns.and_then(|inode| all.namespaces.iter().find(|n| n.inode == inode && !n.is_here));
    let netns = netns.map(|n| format!(" in network namespace {}", n.label())).unwrap_or_default();
    match &found.hook {
        Hook::Xdp { .. } => format!("XDP on {}{netns}", found.place),
        Hook::Filter { .. } | Hook::Tcx { .. } => match found.place.rsplit_once(' ') {
            Some((interface, side)) => format!("tc {side} of {interface}{netns}"),
            None => format!("tc {}{netns}", found.place),
        },
        Hook::Cgroup { .. } => format!("cgroup {}", found.place),
        Hook::Route { .. } => format!("route {}{netns}", found.place),
        Hook::Netkit { .. } => format!("netkit {}{netns}", found.place),
        _ if found.place.is_empty() => pin.into(),
        _ => format!("{} {}", found.kind(), found.place),
    }
}

/// The programs before and after an attachment in its list.
fn neighbours(found: &Attachment, all: &Inventory) -> (Vec<Neighbour>, Vec<Neighbour>) {
    let key = HookKey::of_attachment(found, &[]);
    if key.as_ref().is_none_or(|k| k.is_traced() || k.is_single()) {
        return Default::default();
    }
    let rank = |a: &Attachment| match a.hook {
        Hook::Filter { priority, .. } => u32::from(priority),
        _ => a.position.unwrap_or(0),
    };
    let mut list: Vec<&Attachment> =
        all.attachments.iter().filter(|a| HookKey::of_attachment(a, &[]) == key).collect();
    list.sort_by_key(|a| rank(a));
    let Some(at) = list.iter().position(|a| std::ptr::eq(*a, found)) else { return Default::default() };
    let one = |a: &&Attachment| Neighbour {
        prog_id: a.prog_id,
        program: a.program.clone().unwrap_or_default(),
        link: a.by.link_id(),
    };
    let (before, rest) = list.split_at(at);
    (before.iter().map(one).collect(), rest.iter().skip(1).map(one).collect())
}

/// The tables among these maps that are registered without a link.
fn registered(maps: &[(String, Map)]) -> Vec<Actual> {
    let one = |map: &Map| Actual {
        pin: struct_ops::pin_name(map.name()),
        link: None,
        program: map.name().into(),
        prog_id: 0,
        key: Some(HookKey::StructOps { map: map.name().into() }),
        place: format!("struct_ops {}, registered", map.name()),
        condition: Condition::Alive,
        can_update: false,
        mode: None,
        share: None,
        before: Vec::new(),
        after: Vec::new(),
    };
    maps.iter().map(|(_, map)| map).filter(|map| struct_ops::is_registered(map)).map(one).collect()
}
