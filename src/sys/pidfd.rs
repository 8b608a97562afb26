//! Descriptors of processes.

use std::os::fd::{OwnedFd, RawFd};

use super::errno::{Errno, SysError};
use super::fd;

/// `pidfd_open(2)`: a descriptor of a process, the key of a task storage. `ESRCH` if there is none, `EINVAL` for
/// the number of a thread that is not its process's first. Linux 5.3.
pub fn pidfd_open(pid: u32) -> Result<OwnedFd, SysError> {
    // SAFETY: two numbers, no memory. Test: `live_maps::kinds::processes_keep_values`.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if ret < 0 {
        return Err(SysError::other("pidfd_open", Errno::last()));
    }
    // SAFETY: a descriptor that the kernel just made is ours alone. Test: `live_maps::kinds::processes_keep_values`.
    unsafe { fd::own(ret as RawFd) }.map_err(|errno| SysError::other("pidfd_open", errno))
}
