//! Memory mappings.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::errno::{Errno, SysError};

/// A read-only, private mapping of a file that nobody writes to, such as `/sys/kernel/btf/vmlinux`
/// (which can be mapped since Linux 6.16; before that it is read into memory).
#[derive(Debug)]
pub struct Mapping {
    at: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: the memory is read-only and owned by this value alone until it is unmapped by Drop.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared readers cannot change it.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`, which must be a file that does not change: `ENODEV` if
    /// it cannot be mapped.
    pub fn of_constant_file(file: impl AsFd, len: usize) -> Result<Mapping, SysError> {
        let fail = |errno: Errno| SysError::other("mmap", errno);
        let size = NonZeroUsize::new(len).ok_or(fail(Errno::EINVAL))?;
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing of ours.
        let at = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, file, 0) }
            .map_err(|e| fail(e.into()))?;
        Ok(Mapping { at, len })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `at..at + len` is mapped readable for as long as `self` lives, and the file behind it
        // is constant.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().cast(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `of_constant_file`, and nothing borrows it any more.
        let _ = unsafe { munmap(self.at, self.len) };
    }
}
