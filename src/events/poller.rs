//! Waiting on many descriptors at once: epoll(7), with the place of each as its data.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::sys::SysError;

/// A set of descriptors to wait on. It becomes readable itself when one of them is ready.
#[derive(Debug)]
pub(super) struct Poller(Epoll);

impl Poller {
    pub(super) fn new() -> Result<Poller, SysError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        epoll.map(Poller).map_err(|e| SysError::other("epoll_create1", e))
    }

    /// Waits on `fd` from now on.
    pub(super) fn add(&self, fd: impl AsFd, data: u64, flags: EpollFlags) -> Result<(), SysError> {
        let added = self.0.add(fd, EpollEvent::new(flags, data));
        added.map_err(|e| SysError::other("epoll_ctl", e))
    }

    /// Forgets `fd`.
    pub(super) fn remove(&self, fd: impl AsFd) {
        let _ = self.0.delete(fd);
    }

    /// Waits until some are ready, or the time is over; without a time, for ever. The data of those that are
    /// ready, 64 at a time. A signal ends the wait early, with none.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Result<Vec<u64>, SysError> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            // Rounded up, so that waiting for a short time is no busy loop.
            Some(time) => {
                let ms = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
                EpollTimeout::try_from(ms as i32).unwrap_or(EpollTimeout::MAX)
            }
        };
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.0.wait(&mut events, timeout) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other.map_err(|e| SysError::other("epoll_wait", e))?,
        };
        Ok(events.iter().take(count).map(EpollEvent::data).collect())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

/// Waits until one descriptor is ready for `flags`; false when the time was over first.
pub(super) fn wait_one(
    fd: BorrowedFd<'_>,
    flags: nix::poll::PollFlags,
    timeout: Option<Duration>,
) -> Result<bool, SysError> {
    use nix::poll::{PollFd, PollTimeout, poll};
    let timeout = match timeout {
        None => PollTimeout::NONE,
        Some(time) => {
            let ms = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
            PollTimeout::try_from(ms as i32).unwrap_or(PollTimeout::MAX)
        }
    };
    match poll(&mut [PollFd::new(fd, flags)], timeout) {
        Ok(count) => Ok(count > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(e) => Err(SysError::other("poll", e)),
    }
}
