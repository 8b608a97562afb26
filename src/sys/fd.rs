//! File descriptors that are safe to put into a `bpf_attr`.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::errno::{Errno, SysError};

/// `flock(LOCK_EX)`: waits until nobody else has the lock of this file or directory. It is let go when the last
/// descriptor of this opening is closed, also by a kill.
pub fn lock_exclusive(file: impl AsFd) -> Result<(), SysError> {
    loop {
        // SAFETY: a borrowed descriptor and a number; no memory. Test:
        // `live_model::what_the_command_says_is_what_others_see`.
        match unsafe { libc::flock(file.as_fd().as_raw_fd(), libc::LOCK_EX) } {
            0 => return Ok(()),
            _ if Errno::last() == Errno::EINTR => {}
            _ => return Err(SysError::other("flock", Errno::last())),
        }
    }
}

/// Takes ownership of a descriptor the kernel just returned, and moves it above 2.
///
/// A process that was started with stdin closed gets fd 0 from its first `bpf(2)` call, and 0 means "not
/// given" in `inner_map_fd`, `prog_btf_fd`, `attach_prog_fd` and others.
///
/// # Safety
/// `raw` must be an open descriptor that nothing else owns.
pub(super) unsafe fn own(raw: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller says that `raw` is open and ours. Test:
    // `live_tracing::others::perf_events_are_attached_ten_thousand_times_and_leak_nothing`.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: F_DUPFD_CLOEXEC takes an open fd and a lower bound and touches no memory. Test:
    // `live_tracing::others::perf_events_are_attached_ten_thousand_times_and_leak_nothing`.
    let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    if moved < 0 {
        return Err(Errno::last());
    }
    // SAFETY: fcntl returned a new descriptor, owned by nobody yet. Test:
    // `live_tracing::others::perf_events_are_attached_ten_thousand_times_and_leak_nothing`.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}
