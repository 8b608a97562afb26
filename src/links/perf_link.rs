//! Programs behind perf events: kprobes, uprobes, tracepoints, counters.
//!
//! ```text
//!   since 5.15   perf event ◄── bpf_link ── program     the link can be pinned, and carries a cookie
//!   before       perf event ── program                  by ioctl: it ends with the event's last descriptor
//! ```
//!
//! The link holds the event, so the event's own descriptor can be closed.

use std::os::fd::{AsFd, OwnedFd};

use super::{Link, Undo};
use crate::progs::Program;
use crate::sys::attr::{Fd, LinkCreate, LinkExtra, TargetFd};
use crate::sys::{self, Errno, LinkFd, SysError};
use crate::uapi::AttachType;

/// Puts a program behind events, all with the same cookie, and switches them on. There has to be one.
///
/// `EOPNOTSUPP` for a cookie on a kernel without links for perf events.
pub(super) fn attach(program: &Program, events: Vec<OwnedFd>, cookie: u64) -> Result<Link, SysError> {
    let with_cookies = events.into_iter().map(|event| (event, cookie)).collect();
    attach_each(program, with_cookies)
}

/// As [`attach`], with a cookie for each event.
pub(super) fn attach_each(program: &Program, events: Vec<(OwnedFd, u64)>) -> Result<Link, SysError> {
    let mut links = Vec::new();
    let mut by_ioctl = ByIoctl { events: Vec::new() };
    for (event, cookie) in events {
        match link(program, &event, cookie) {
            Ok(link) => links.push(link),
            // A kernel that knows no such links says so by EINVAL; a newer one may mean something else
            // by that, and will say it again.
            Err(e) if e.errno == Errno::EINVAL && links.is_empty() => {
                if cookie != 0 {
                    return Err(SysError { errno: Errno::EOPNOTSUPP, ..e });
                }
                sys::perf_set_bpf(&event, program)?;
                sys::perf_enable(&event)?;
                by_ioctl.events.push(event);
                continue;
            }
            Err(e) => return Err(e),
        }
        sys::perf_enable(&event)?;
    }
    match Link::of_objects(links) {
        Some(link) => Ok(link),
        None if by_ioctl.events.is_empty() => Err(SysError::other("perf_event_open", Errno::ENOENT)),
        None => Ok(Link::undone_by(by_ioctl)),
    }
}

fn link(program: &Program, event: &OwnedFd, cookie: u64) -> Result<LinkFd, SysError> {
    sys::link_create(&LinkCreate {
        prog_fd: Fd::of(program),
        target_fd: TargetFd::of(&event.as_fd()),
        attach_type: AttachType::PerfEvent,
        extra: LinkExtra::perf_event(cookie),
        ..Default::default()
    })
}

/// Events with a program behind them and no link: to close them is to detach it.
#[derive(Debug)]
struct ByIoctl {
    events: Vec<OwnedFd>,
}

impl Undo for ByIoctl {
    fn undo(&mut self) -> Result<(), SysError> {
        let done = self.events.iter().map(sys::perf_disable).collect::<Vec<_>>();
        self.events.clear();
        done.into_iter().collect()
    }

    fn outlives_process(&self) -> bool {
        false
    }
}
