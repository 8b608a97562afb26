//! Attachments without a link object: `BPF_PROG_ATTACH`, and how to end and change them.
//!
//! The older call hands the program to the hook and returns nothing. The hook keeps it until somebody calls
//! `BPF_PROG_DETACH`; that the caller has ended meanwhile does not matter. Some hooks refuse a second program, some
//! keep a list, and some silently put the new one in the place of the old.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use super::netns::Home;
use super::{Link, Undo};
use crate::progs::Program;
use crate::sys::attr::{Fd, ProgAttach, ProgDetach, TargetFd};
use crate::sys::{self, Errno, SysError};
use crate::uapi::AttachType;

/// What a program is handed to.
#[derive(Debug)]
pub(super) enum Spot {
    /// A cgroup, a map, a device: by its descriptor.
    Fd(OwnedFd),
    /// An interface of a network namespace.
    Interface(u32, Home),
    /// A network namespace itself.
    Netns(Home),
}

/// How the hook takes it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// `BPF_F_*` of the first attachment.
    pub(super) flags: u32,
    /// The anchor of [`RawOrder`](super::order::RawOrder).
    pub(super) relative: u32,
    pub(super) revision: u64,
    /// Flags to put another program in its place: with `BPF_F_REPLACE` where the hook keeps a list, without where it
    /// holds one program.
    pub(super) replace_flags: u32,
}

/// A program at a hook, without a link.
#[derive(Debug)]
pub(super) struct Direct {
    spot: Spot,
    program: Mutex<OwnedFd>,
    attach_type: AttachType,
    replace_flags: u32,
}

impl Direct {
    /// Attaches. With `replaced`, in the place of that program.
    pub(super) fn attach(
        program: &Program,
        spot: Spot,
        attach_type: AttachType,
        how: How,
        replaced: Option<BorrowedFd<'_>>,
    ) -> Result<Link, SysError> {
        let copy = program.as_fd().try_clone_to_owned().map_err(|e| SysError::other("fcntl", e))?;
        let direct =
            Direct { spot, program: Mutex::new(copy), attach_type, replace_flags: how.replace_flags };
        direct.call(program, how, replaced)?;
        Ok(Link::undone_by(direct))
    }

    /// One that stands there already: so that it can be ended and changed.
    pub(super) fn adopt(program: OwnedFd, spot: Spot, attach_type: AttachType, replace_flags: u32) -> Direct {
        Direct { spot, program: Mutex::new(program), attach_type, replace_flags }
    }

    fn call(&self, program: &Program, how: How, replaced: Option<BorrowedFd<'_>>) -> Result<(), SysError> {
        self.spot.act(|target| {
            sys::prog_attach(&mut ProgAttach {
                target_fd: target,
                attach_bpf_fd: Fd::of(program),
                attach_type: self.attach_type,
                attach_flags: how.flags,
                replace_bpf_fd: Fd::borrow(replaced),
                relative_fd: how.relative,
                expected_revision: how.revision,
            })
        })
    }
}

impl Spot {
    /// Calls `act` with the target, in the right network namespace.
    pub(super) fn act<T: Send>(
        &self,
        act: impl FnOnce(TargetFd<'_>) -> Result<T, SysError> + Send,
    ) -> Result<T, SysError> {
        match self {
            Spot::Fd(fd) => act(TargetFd::of(fd)),
            Spot::Interface(index, home) => home.act(|| act(TargetFd::ifindex(*index))),
            Spot::Netns(home) => home.act(|| act(TargetFd::NONE)),
        }
    }
}

impl Undo for Direct {
    fn undo(&mut self) -> Result<(), SysError> {
        let program = self.program.get_mut().unwrap_or_else(PoisonError::into_inner);
        let detached = self.spot.act(|target| {
            sys::prog_detach(&mut ProgDetach {
                target_fd: target,
                attach_bpf_fd: Fd::of(program),
                attach_type: self.attach_type,
                ..Default::default()
            })
        });
        match detached {
            // Somebody was faster, or the interface or the cgroup is gone.
            Err(e) if [Errno::ENOENT, Errno::ENODEV].contains(&e.errno) => Ok(()),
            other => other,
        }
    }

    fn update(&self, program: &Program) -> Result<(), SysError> {
        let copy = program.as_fd().try_clone_to_owned().map_err(|e| SysError::other("fcntl", e))?;
        let how = How { flags: self.replace_flags, ..How::default() };
        let in_list = self.replace_flags & super::order::REPLACE != 0;
        let mut now = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        self.call(program, how, in_list.then_some(now.as_fd()))?;
        *now = copy;
        Ok(())
    }
}
