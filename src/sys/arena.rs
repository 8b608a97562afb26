//! The memory of an arena map, as this process sees it.
//!
//! Programs hold addresses of user space in an arena, so every process maps it at the same place, and the kernel
//! wants to know that place before it verifies a program that uses the arena.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::errno::{Errno, SysError};

/// A mapped arena. While it lives, programs and this process share its memory.
#[derive(Debug)]
pub struct ArenaMapping {
    at: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: the memory is unmapped by Drop alone, and written through raw pointers only.
unsafe impl Send for ArenaMapping {}
// SAFETY: what is shared is only read, byte by byte.
unsafe impl Sync for ArenaMapping {}

impl ArenaMapping {
    /// Maps `len` bytes of the arena: at `address`, or where the kernel likes if that is 0. `EEXIST` if
    /// something else is at the address; `EBUSY` if the arena was mapped elsewhere before.
    pub fn new(map: impl AsFd, address: u64, len: usize) -> Result<ArenaMapping, SysError> {
        let fail = |errno: Errno| SysError::other("mmap", errno);
        let size = NonZeroUsize::new(len).ok_or(fail(Errno::EINVAL))?;
        let address = usize::try_from(address).map_err(|_| fail(Errno::EINVAL))?;
        let address = NonZeroUsize::new(address);
        let fixed = if address.is_some() { MapFlags::MAP_FIXED_NOREPLACE } else { MapFlags::empty() };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, where the kernel chooses or where nothing is yet, aliases nothing of ours.
        let at = unsafe { mmap(address, size, protection, MapFlags::MAP_SHARED | fixed, map, 0) }
            .map_err(|e| fail(e.into()))?;
        Ok(ArenaMapping { at, len })
    }

    /// Where it begins, as programs with pointers into it see it.
    pub fn address(&self) -> usize {
        self.at.as_ptr() as usize
    }

    /// Copies bytes to `offset`; false, and nothing is copied, if they do not all fit.
    pub fn write(&mut self, offset: usize, from: &[u8]) -> bool {
        if offset.checked_add(from.len()).is_none_or(|end| end > self.len) {
            return false;
        }
        // SAFETY: `offset..offset + len` was just checked to be inside; the source is ours and elsewhere.
        unsafe {
            let to = self.at.as_ptr().cast::<u8>().add(offset);
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
        }
        true
    }

    /// Copies the bytes at `offset` out; `None` if they do not all lie in it. Programs may be changing them.
    pub fn read(&self, offset: usize, len: usize) -> Option<Vec<u8>> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return None;
        }
        // SAFETY: `offset..offset + len` was just checked to be inside; each byte is read once, as it is now.
        Some(
            (offset..offset + len)
                .map(|i| unsafe { self.at.as_ptr().cast::<u8>().add(i).read_volatile() })
                .collect(),
        )
    }
}

impl Drop for ArenaMapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `new`, and nothing borrows it any more.
        let _ = unsafe { munmap(self.at, self.len) };
    }
}
