//! Noticing that something changed: the kernel says so, or a look at what is ours does.
//!
//! ```text
//!   interface made, gone, renamed, moved; XDP switched off     RTNLGRP_LINK of each namespace that matters
//!   qdisc or filter deleted                                    RTNLGRP_TC
//!   pin removed, cgroup or named namespace made or gone        inotify on their directories
//!   link detached by force, program behind it replaced         nobody says so: pins are asked once a second
//! ```
//!
//! What woke does not matter: then the state is read and compared again. So a message that is lost costs a second, and a
//! message too many nothing.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::decide::within;
use super::error::{DeployError, Result};
use super::request::Request;
use super::store::{LoadEntry, PinPart};
use crate::links::{Hook, Link, NetNs, Target, cgroup};
use crate::sys::netlink::Netlink;

/// What woke the waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something may be otherwise.
    Change,
    /// The caller's own descriptor can be read.
    Caller,
    /// Nothing happened for as long as was to be waited.
    Time,
}

/// Listens to the kernel.
#[derive(Debug)]
pub struct Watch {
    sockets: Vec<Netlink>,
    inotify: Inotify,
}

impl Watch {
    /// Listens for what concerns these; an entry may be none for what is not pinned. A namespace that is not there yet is
    /// listened for.
    ///
    /// # Errors
    /// No socket or inotify instance can be had.
    pub fn new<'r>(all: impl IntoIterator<Item = (Option<&'r LoadEntry>, &'r Request)>) -> Result<Watch> {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        let inotify =
            Inotify::init(flags).map_err(|e| DeployError::io("make an inotify instance")(e.into()))?;
        let mut out = Watch { sockets: Vec::new(), inotify };
        let (mut known, mut dirs) = (HashSet::new(), HashSet::new());
        for (entry, request) in all {
            let netns = request.netns.clone().unwrap_or_default();
            if known.insert(netns.to_string()) {
                out.listen(&netns, &mut dirs)?;
            }
            if let Some(entry) = entry {
                dirs.extend(
                    [PinPart::Links, PinPart::Linkless, PinPart::Programs].map(|p| entry.dir.join(p.dir())),
                );
                dirs.insert(entry.dir.clone());
                dirs.extend(entry.dir.parent().map(Path::to_path_buf));
            }
            for wish in &request.wishes {
                if let Target::Cgroup(group) = &wish.target {
                    dirs.extend(nearest_above(&cgroup::directory(&group.path)));
                }
            }
        }
        for dir in dirs {
            out.look_at(&dir);
        }
        Ok(out)
    }

    fn listen(&mut self, netns: &NetNs, dirs: &mut HashSet<PathBuf>) -> Result<()> {
        let there = within(Some(netns), || {
            Netlink::monitor().map_err(DeployError::sys("listen to the network stack"))
        });
        match there {
            Ok(socket) => self.sockets.push(socket),
            Err(e) if e.may_come() => {}
            Err(e) => return Err(e),
        }
        if let NetNs::Named(_) = netns {
            dirs.extend(nearest_above(&netns.path()));
        }
        Ok(())
    }

    /// A directory that is not there, or cannot be listened to, is looked at once a second with the rest.
    fn look_at(&self, dir: &Path) {
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        let _ = self.inotify.add_watch(dir, flags);
    }

    /// Waits until something happens, the caller's descriptor can be read, or so much time has gone.
    ///
    /// # Errors
    /// The kernel does not let it wait.
    pub fn wait(&self, time: Duration, caller: BorrowedFd<'_>) -> Result<Woken> {
        let mut fds = vec![
            PollFd::new(caller, PollFlags::POLLIN),
            PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.sockets.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
        let ms = PollTimeout::from(u16::try_from(time.as_millis()).unwrap_or(u16::MAX));
        match poll(&mut fds, ms) {
            Ok(0) => return Ok(Woken::Time),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok(Woken::Time),
            Err(e) => return Err(DeployError::io("wait for the kernel's messages")(e.into())),
        }
        let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        if fds.first().is_some_and(is_ready) {
            return Ok(Woken::Caller);
        }
        let _ = self.inotify.read_events();
        self.sockets.iter().for_each(Netlink::drain);
        Ok(Woken::Change)
    }
}

/// The nearest directory above a path that is there: what is missing of the path comes into being below it.
fn nearest_above(path: &Path) -> Option<PathBuf> {
    path.ancestors().skip(1).find(|dir| dir.is_dir()).map(Path::to_path_buf)
}

/// What the links of entries say of themselves: if it is the same twice, nothing happened to them.
pub type Pulse = Vec<(PathBuf, Option<(u32, Hook)>)>;

/// Asks the links of these entries, and nothing else.
///
/// # Errors
/// A directory cannot be read.
pub fn pulse<'e>(entries: impl IntoIterator<Item = &'e LoadEntry>) -> Result<Pulse> {
    let mut out = Pulse::new();
    for entry in entries {
        for (_, path) in entry.pins(PinPart::Links)? {
            let info = Link::open_pin(&path).and_then(|l| l.info()).ok();
            out.push((path, info.map(|i| (i.prog_id, still(i.hook)))));
        }
    }
    Ok(out)
}

/// Without what counts by itself.
fn still(hook: Hook) -> Hook {
    use crate::links::PerfHook;
    match hook {
        Hook::PerfEvent(PerfHook::Kprobe { is_return, function, offset, address, cookie, .. }) => {
            Hook::PerfEvent(PerfHook::Kprobe { is_return, function, offset, address, missed: 0, cookie })
        }
        Hook::KprobeMulti { is_return, count, targets, .. } => {
            Hook::KprobeMulti { is_return, count, missed: 0, targets }
        }
        other => other,
    }
}
