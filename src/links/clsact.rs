//! tc without tcx: a filter on the clsact queueing discipline, put there over netlink.
//!
//! The filter belongs to nobody: it stays until it is removed, by whomever. A filter that somebody has replaced meanwhile
//! is not ours any more and is left alone.
//!
//! The qdisc is ours to remove only if it was we who made it; and if two of our filters hang on it, only with the last.
//! Who made it has to be known to whoever removes that filter, which may be another process, a month later. So it is
//! written where that one will look: the filter's name ends in `+clsact`. And whoever is killed must not leave a qdisc
//! without such a filter: both are made by one call, and both are removed by one.
//!
//! ```text
//!   $ tc filter show dev eth0 ingress
//!   filter protocol all pref 49152 bpf chain 0 handle 0x1 count_in+clsact direct-action
//! ```

use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Mutex, PoisonError};

use super::filter::{self, Both, EGRESS, Filter, INGRESS, NewFilter, Qdisc};
use super::interface::Interface;
use super::order::{Anchor, Place};
use super::refusal::{Attempt, Needs};
use super::tc::{Direction, Tc};
use super::{AttachError, Link, Undo};
use crate::kernel::policy::Cap;
use crate::progs::Program;
use crate::sys::netlink::{Netlink, NetlinkError};
use crate::sys::{Errno, SysError};
use crate::uapi::Release;

static NEEDS: Needs = Needs {
    what: "clsact",
    since: Release(4, 5, 0),
    config: "CONFIG_NET_SCH_INGRESS",
    caps: &[Cap::NetAdmin],
};

/// A filter of ours.
#[derive(Debug)]
pub(super) struct OurFilter(Mutex<(Netlink, Filter)>);

/// Ends the name of a filter that takes the qdisc with it, if it is the last that goes.
const WITH_QDISC: &str = "+clsact";

impl Direction {
    fn parent(self) -> u32 {
        match self {
            Direction::Ingress => INGRESS,
            Direction::Egress => EGRESS,
        }
    }
}

/// Attaches a program as a filter. `interface` is of the current network namespace.
pub(super) fn attach(attempt: &Attempt<'_>, tc: &Tc, interface: &Interface) -> Result<Link, AttachError> {
    if tc.order.expected_revision.is_some() {
        return Err(attempt.wrong("classic tc filters have no revision; that takes tcx (Linux 6.6)"));
    }
    let mut netlink = Netlink::route().map_err(|e| attempt.explain(e, &NEEDS))?;
    let there = filter::clsact_of(&mut netlink, interface.index).map_err(|e| explain(attempt, e))?;
    let filter = match there {
        Some(qdisc) => {
            qdisc_fits(attempt, tc, &qdisc, interface)?;
            add(attempt, tc, &mut netlink, interface)?
        }
        None => add_first(attempt, tc, &mut netlink, interface)?,
    };
    Ok(Link::undone_by(OurFilter::new(netlink, filter)))
}

/// Makes the qdisc, and the filter on it.
fn add_first(
    attempt: &Attempt<'_>,
    tc: &Tc,
    netlink: &mut Netlink,
    interface: &Interface,
) -> Result<Filter, AttachError> {
    let priority = place(attempt, tc, &[])?;
    let name = format!("{}{WITH_QDISC}", attempt.program.name());
    let fd = attempt.program.as_fd().as_raw_fd();
    let (ifindex, parent) = (interface.index, tc.direction.parent());
    let new = NewFilter { ifindex, parent, priority, fd, name: &name };
    match filter::add_both(netlink, &new).map_err(|e| explain(attempt, e))? {
        Both::Made(filter) => Ok(filter),
        // Somebody else made one just now: it is not ours to remove, so the filter must not say so.
        Both::Joined(filter) => unmark(netlink, filter, attempt.program).map_err(|e| explain(attempt, e)),
        Both::Qdisc(e) => {
            let _ = remove_if_empty(netlink, ifindex);
            Err(explain(attempt, e))
        }
        Both::Neither(e) => Err(explain(attempt, e)),
    }
}

/// Gives a filter a name that does not say that it takes the qdisc with it.
fn unmark(netlink: &mut Netlink, filter: Filter, program: &Program) -> Result<Filter, NetlinkError> {
    let name = program.name().to_string();
    filter::replace_filter(netlink, &filter, program.as_fd().as_raw_fd(), &name)?;
    Ok(Filter { name, ..filter })
}

/// An `ingress` qdisc stands where a clsact would; it takes filters for both directions, and runs all on ingress.
fn qdisc_fits(
    attempt: &Attempt<'_>,
    tc: &Tc,
    there: &Qdisc,
    interface: &Interface,
) -> Result<(), AttachError> {
    if there.kind != "ingress" || tc.direction == Direction::Ingress {
        return Ok(());
    }
    Err(attempt.taken(
        "an `ingress` qdisc".into(),
        format!(
            ", which has no egress side; replace it with a clsact: tc qdisc replace dev {} clsact",
            interface.name
        ),
    ))
}

/// Puts a filter on a qdisc that is there.
fn add(
    attempt: &Attempt<'_>,
    tc: &Tc,
    netlink: &mut Netlink,
    interface: &Interface,
) -> Result<Filter, AttachError> {
    let parent = tc.direction.parent();
    let fail = |e| explain(attempt, e);
    let there = filter::filters(netlink, interface.index, parent).map_err(fail)?;
    if let Some(old) = tc.replace.and_then(|old| there.iter().find(|f| f.prog_id == old)) {
        return replace(netlink, old, attempt.program).map_err(fail);
    }
    let priority = place(attempt, tc, &there)?;
    let ours = takes_qdisc(netlink, interface.index).map_err(fail)?;
    let name = format!("{}{}", attempt.program.name(), if ours { WITH_QDISC } else { "" });
    let fd = attempt.program.as_fd().as_raw_fd();
    let new = NewFilter { ifindex: interface.index, parent, priority, fd, name: &name };
    filter::add_filter(netlink, &new).map_err(fail)
}

/// The priority of a new filter among those that are there.
fn place(attempt: &Attempt<'_>, tc: &Tc, there: &[Filter]) -> Result<u16, AttachError> {
    if let Some(old) = tc.replace {
        return Err(attempt.wrong(format!("program {old} is no filter there, and cannot be replaced")));
    }
    priority(&tc.order.place, there).map_err(|why| attempt.wrong(why))
}

/// Puts a program behind a filter; the answer is the filter as it is then.
fn replace(netlink: &mut Netlink, old: &Filter, program: &Program) -> Result<Filter, NetlinkError> {
    let mark = if old.name.ends_with(WITH_QDISC) { WITH_QDISC } else { "" };
    let name = format!("{}{mark}", program.name());
    let prog_id = program.info()?.id;
    filter::replace_filter(netlink, old, program.as_fd().as_raw_fd(), &name)?;
    Ok(Filter { prog_id, name, ..old.clone() })
}

/// True if a filter of the interface's takes the qdisc with it: then the next one has to do so too.
fn takes_qdisc(netlink: &mut Netlink, ifindex: u32) -> Result<bool, NetlinkError> {
    let mut all = filter::filters(netlink, ifindex, INGRESS)?;
    all.extend(filter::filters(netlink, ifindex, EGRESS)?);
    Ok(all.iter().any(|f| f.name.ends_with(WITH_QDISC)))
}

/// The priority for a place among the filters that are there: 0 to let the kernel choose, which puts it first.
fn priority(place: &Place, there: &[Filter]) -> Result<u16, String> {
    let taken: Vec<u16> = there.iter().map(|f| f.priority).collect();
    let of = |anchor: &Anchor| {
        let pairs: Vec<(u32, u32)> = there.iter().map(|f| (f.prog_id, 0)).collect();
        let (program, _) = anchor.find(&pairs)?;
        let found = there.iter().find(|f| f.prog_id == program).map(|f| f.priority);
        found.ok_or_else(|| format!("{anchor} is no filter there"))
    };
    let wanted = match place {
        Place::Default => return Ok(0),
        Place::First => match taken.iter().min() {
            None => return Ok(0),
            Some(lowest) => lowest.checked_sub(1),
        },
        Place::Last => match taken.iter().max() {
            None => return Ok(0),
            Some(highest) => highest.checked_add(1),
        },
        Place::Before(anchor) => of(anchor)?.checked_sub(1),
        Place::After(anchor) => of(anchor)?.checked_add(1),
    };
    match wanted {
        Some(wanted) if wanted != 0 && !taken.contains(&wanted) => Ok(wanted),
        _ => Err(format!(
            "there is no free priority {place}: classic tc filters are ordered by a number, and the neighbour's is taken; \
             move the neighbour, or use a kernel with tcx (Linux 6.6)"
        )),
    }
}

fn explain(attempt: &Attempt<'_>, e: NetlinkError) -> AttachError {
    if e.source.errno == Errno::ENOENT {
        let said = if e.message.is_empty() { String::new() } else { format!(" ({})", e.message) };
        return attempt.unsupported(
            format!(
                "the kernel knows no clsact qdisc or no bpf filter{said}: it lacks the modules sch_ingress and cls_bpf \
                 (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)"
            )
        );
    }
    if e.message.is_empty() {
        attempt.explain(e.source, &NEEDS)
    } else {
        attempt.refused(e.source, e.message)
    }
}

fn remove_if_empty(netlink: &mut Netlink, ifindex: u32) -> Result<(), NetlinkError> {
    if filter::is_empty(netlink, ifindex, INGRESS)? && filter::is_empty(netlink, ifindex, EGRESS)? {
        filter::remove_clsact(netlink, ifindex)?;
    }
    Ok(())
}

impl OurFilter {
    /// `netlink` was opened where the filter is: it stays in that network namespace.
    pub(super) fn new(netlink: Netlink, filter: Filter) -> OurFilter {
        OurFilter(Mutex::new((netlink, filter)))
    }
}

/// Removes a filter that is still ours, and the qdisc if that goes with it.
fn end(netlink: &mut Netlink, ours: &Filter) -> Result<(), NetlinkError> {
    let there = filter::filters(netlink, ours.ifindex, ours.parent)?;
    if !there.iter().any(|f| f.is_same(ours)) {
        return Ok(());
    }
    // A process that is killed must not leave a qdisc that nothing says is ours: where it goes too, it goes first,
    // and takes the filter with it.
    if ours.name.ends_with(WITH_QDISC) && is_alone(netlink, ours)? {
        return filter::remove_clsact(netlink, ours.ifindex);
    }
    ours.remove(netlink)
}

/// True if no other filter of any kind hangs on the same qdisc.
fn is_alone(netlink: &mut Netlink, ours: &Filter) -> Result<bool, NetlinkError> {
    let other = if ours.parent == INGRESS { EGRESS } else { INGRESS };
    Ok(filter::is_empty(netlink, ours.ifindex, other)? && filter::is_alone(netlink, ours)?)
}

impl Undo for OurFilter {
    fn undo(&mut self) -> Result<(), SysError> {
        let (netlink, ours) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        match end(netlink, ours).map_err(|e| e.source) {
            // The interface or the qdisc is gone, and the filter with it.
            Err(e) if [Errno::ENODEV, Errno::ENOENT, Errno::EINVAL].contains(&e.errno) => Ok(()),
            other => other,
        }
    }

    fn update(&self, program: &Program) -> Result<(), SysError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (netlink, ours) = &mut *held;
        *ours = replace(netlink, ours, program).map_err(|e| e.source)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(prog_id: u32, priority: u16) -> Filter {
        let name = String::new();
        Filter {
            ifindex: 1,
            parent: INGRESS,
            handle: 1,
            priority,
            protocol: 3,
            chain: 0,
            prog_id,
            name,
            direct_action: true,
        }
    }

    #[test]
    fn a_place_among_filters_is_a_free_priority() {
        let there = [filter(5, 10), filter(6, 12), filter(7, 13)];
        let at = |place| priority(&place, &there).ok();
        assert_eq!(at(Place::Default), Some(0));
        assert_eq!(at(Place::First), Some(9));
        assert_eq!(at(Place::Last), Some(14));
        assert_eq!(at(Place::After(Anchor::Program(5))), Some(11));
        assert_eq!(at(Place::Before(Anchor::Program(7))), None, "12 is taken");
        assert_eq!(at(Place::Before(Anchor::Program(99))), None);
        assert_eq!(priority(&Place::First, &[filter(5, 1)]).ok(), None, "there is none before 1");
        assert_eq!(priority(&Place::Last, &[]), Ok(0));
    }
}
