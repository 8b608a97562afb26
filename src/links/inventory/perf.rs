//! Perf events with programs: those that a link holds, and those that are attached by `ioctl` to a descriptor of some
//! process.
//!
//! Both show in `/proc`: a process that makes a link usually keeps the event open as well. So an event whose program is
//! behind a link counts as that link's, and lends it its name on kernels (5.15 to 6.5) where the link tells nothing.

use super::{Attachment, By, Survey};
use crate::links::info::{Hook, PerfHook};
use crate::sys::{self, TaskFd};
use crate::uapi::LinkType;

/// Asks what the perf events of all processes are.
pub(super) fn look(survey: &mut Survey) {
    let events = std::mem::take(&mut survey.processes.perf_events);
    let mut counted = survey.links.iter().filter(|l| l.link_type == LinkType::PerfEvent).count();
    for (holder, fd) in events {
        // Most have no program, or have gone: that is no problem.
        let Ok(found) = sys::task_fd_query(holder.pid, fd) else { continue };
        if found.prog_id == 0 {
            continue;
        }
        let event = event(&found);
        let is_its = |hook: &Hook| match hook {
            Hook::PerfEvent(PerfHook::Unknown) => true,
            Hook::PerfEvent(told) => is_same(told, &event),
            _ => false,
        };
        if counted > 0 {
            let link = survey.links.iter_mut().find(|l| l.prog_id == found.prog_id && is_its(&l.hook));
            if let Some(link) = link {
                if link.hook == Hook::PerfEvent(PerfHook::Unknown) {
                    link.hook = Hook::PerfEvent(event);
                    counted = counted.saturating_sub(1);
                }
                continue;
            }
        }
        let mut words = super::names::Names::default();
        let hook = Hook::PerfEvent(event);
        let (place, detail) = words.of(&hook);
        let by = By::PerfEvent { pid: holder.pid, fd };
        survey.see(Attachment { detail, ..Attachment::new(hook, by, found.prog_id, place) }, 0);
    }
}

/// `enum bpf_task_fd_type`
fn event(found: &TaskFd) -> PerfHook {
    let offset = u32::try_from(found.offset).unwrap_or(u32::MAX);
    let name = found.name.clone();
    match found.fd_type {
        1 => PerfHook::Tracepoint { name, cookie: 0 },
        2 | 3 => PerfHook::Kprobe {
            is_return: found.fd_type == 3,
            function: name,
            offset,
            address: found.address,
            missed: 0,
            cookie: 0,
        },
        4 | 5 => PerfHook::Uprobe {
            is_return: found.fd_type == 5,
            path: name,
            offset,
            cookie: 0,
            ref_ctr_offset: 0,
        },
        _ => PerfHook::Unknown,
    }
}

/// The same place, whatever the cookie.
fn is_same(a: &PerfHook, b: &PerfHook) -> bool {
    use PerfHook::{Kprobe, Tracepoint, Uprobe};
    match (a, b) {
        (Tracepoint { name: a, .. }, Tracepoint { name: b, .. }) => a == b,
        (
            Kprobe { is_return: a, function: f, offset: x, .. },
            Kprobe { is_return: b, function: g, offset: y, .. },
        ) => (a, f, x) == (b, g, y),
        (
            Uprobe { is_return: a, path: f, offset: x, .. },
            Uprobe { is_return: b, path: g, offset: y, .. },
        ) => (a, f, x) == (b, g, y),
        _ => false,
    }
}
