//! Memory mappings.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};

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

/// Memory that the kernel, its programs and other processes write to while it is read here.
///
/// A reference into such memory (`&[u8]`) would promise that it does not change, so there is none: whole values
/// are copied in and out, single words are reached as atomics. A copy is not a snapshot: a program may write
/// between its bytes, though words of 4 and 8 bytes at their natural alignment are read and written whole.
#[derive(Debug)]
pub struct SharedMapping {
    at: NonNull<libc::c_void>,
    len: usize,
    writable: bool,
}

// SAFETY: the memory is unmapped by Drop alone, and is reached through atomics only.
unsafe impl Send for SharedMapping {}
// SAFETY: as above.
unsafe impl Sync for SharedMapping {}

impl SharedMapping {
    /// Maps `len` bytes of `file` from `offset` on. `EPERM`/`EACCES` if it may not be written.
    pub fn new(
        file: impl AsFd,
        offset: usize,
        len: usize,
        writable: bool,
    ) -> Result<SharedMapping, SysError> {
        SharedMapping::map(file, None, offset, len, writable)
    }

    /// Maps the first `len` bytes of `file` at this very address, to be read and written. `EEXIST` if something
    /// is there already.
    pub fn at(file: impl AsFd, address: u64, len: usize) -> Result<SharedMapping, SysError> {
        let address = usize::try_from(address).ok().and_then(NonZeroUsize::new);
        let address = address.ok_or(SysError::other("mmap", Errno::EINVAL))?;
        SharedMapping::map(file, Some(address), 0, len, true)
    }

    fn map(
        file: impl AsFd,
        address: Option<NonZeroUsize>,
        offset: usize,
        len: usize,
        writable: bool,
    ) -> Result<SharedMapping, SysError> {
        let fail = |errno: Errno| SysError::other("mmap", errno);
        let size = NonZeroUsize::new(len).ok_or(fail(Errno::EINVAL))?;
        let offset = libc::off_t::try_from(offset).map_err(|_| fail(Errno::EINVAL))?;
        let write = if writable { ProtFlags::PROT_WRITE } else { ProtFlags::empty() };
        let place = if address.is_some() { MapFlags::MAP_FIXED_NOREPLACE } else { MapFlags::empty() };
        let flags = MapFlags::MAP_SHARED | place;
        // SAFETY: a new mapping, where the kernel chooses or where nothing is yet, aliases nothing of ours.
        let at = unsafe { mmap(address, size, ProtFlags::PROT_READ | write, flags, file, offset) }
            .map_err(|e| fail(e.into()))?;
        Ok(SharedMapping { at, len, writable })
    }

    /// How many bytes are mapped.
    #[allow(clippy::len_without_is_empty, reason = "an empty mapping does not exist")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where it is in this process, as programs with pointers into it see it.
    pub fn address(&self) -> usize {
        self.at.as_ptr() as usize
    }

    /// True if it was mapped to be written.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The address of `len` bytes at `offset`, if they are inside and aligned to `align`.
    #[inline]
    pub(super) fn place(&self, offset: usize, len: usize, align: usize) -> Option<NonNull<u8>> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        // SAFETY: inside the mapping, as was just checked.
        (inside && offset % align == 0).then(|| unsafe { self.at.cast::<u8>().add(offset) })
    }

    /// The u32 at `offset`; `None` if it is outside, not aligned to 4, or the mapping is read-only.
    pub fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        let at = self.place(offset, 4, 4).filter(|_| self.writable)?;
        // SAFETY: mapped, writable and aligned for as long as `self` is borrowed; reached by atomics only.
        Some(unsafe { AtomicU32::from_ptr(at.cast().as_ptr()) })
    }

    /// The u64 at `offset`; `None` if it is outside, not aligned to 8, or the mapping is read-only.
    pub fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        let at = self.place(offset, 8, 8).filter(|_| self.writable)?;
        // SAFETY: as above.
        Some(unsafe { AtomicU64::from_ptr(at.cast().as_ptr()) })
    }

    /// Reads the u32 at `offset`; what was written before it by others is seen after it.
    #[inline]
    pub fn load_u32(&self, offset: usize) -> Option<u32> {
        let at = self.place(offset, 4, 4)?;
        // SAFETY: mapped and aligned; a load needs no right to write.
        Some(unsafe { AtomicU32::from_ptr(at.cast().as_ptr()) }.load(Ordering::Acquire))
    }

    /// Reads the machine word at `offset` (an `unsigned long` of the kernel's), as [`SharedMapping::load_u32`].
    pub fn load_word(&self, offset: usize) -> Option<usize> {
        let at = self.place(offset, size_of::<usize>(), align_of::<usize>())?;
        // SAFETY: as above.
        Some(unsafe { AtomicUsize::from_ptr(at.cast().as_ptr()) }.load(Ordering::Acquire))
    }

    /// Writes the machine word at `offset`; others that see it see what was written before it.
    pub fn store_word(&self, offset: usize, value: usize) {
        if let Some(at) =
            self.place(offset, size_of::<usize>(), align_of::<usize>()).filter(|_| self.writable)
        {
            // SAFETY: mapped, writable and aligned.
            unsafe { AtomicUsize::from_ptr(at.cast().as_ptr()) }.store(value, Ordering::Release);
        }
    }

    /// Copies bytes out from `offset` on; false, and nothing is copied, if they are not all inside.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) -> bool {
        let Some(from) = self.place(offset, to.len(), 1) else { return false };
        let (mut done, len) = (0, to.len());
        while done < len {
            // SAFETY: `done < len`, and all `len` bytes are mapped.
            let at = unsafe { from.add(done) };
            let step = step(at, len - done);
            let word = load(at, step).to_ne_bytes();
            let word = if cfg!(target_endian = "big") { &word[8 - step..] } else { &word[..step] };
            to[done..done + step].copy_from_slice(word);
            done += step;
        }
        true
    }

    /// Copies bytes in from `offset` on; false, and nothing is copied, if they do not all fit or the mapping is
    /// read-only.
    pub fn copy_in(&self, offset: usize, from: &[u8]) -> bool {
        let Some(to) = self.place(offset, from.len(), 1).filter(|_| self.writable) else { return false };
        let (mut done, len) = (0, from.len());
        while done < len {
            // SAFETY: `done < len`, and all `len` bytes are mapped.
            let at = unsafe { to.add(done) };
            let step = step(at, len - done);
            let mut word = [0; 8];
            let place = if cfg!(target_endian = "big") { &mut word[8 - step..] } else { &mut word[..step] };
            place.copy_from_slice(&from[done..done + step]);
            store(at, step, u64::from_ne_bytes(word));
            done += step;
        }
        true
    }

    /// `len` bytes at `offset` as they lie.
    ///
    /// # Safety
    /// Nobody may write to them while the slice lives.
    #[inline]
    pub(super) unsafe fn slice(&self, offset: usize, len: usize) -> Option<&[u8]> {
        let at = self.place(offset, len, 1)?;
        // SAFETY: mapped readable, and unchanging as the caller says.
        Some(unsafe { std::slice::from_raw_parts(at.as_ptr(), len) })
    }

    /// `len` bytes at `offset`, to be written as they lie.
    ///
    /// # Safety
    /// Nobody else may read or write them while the slice lives.
    pub(super) unsafe fn slice_mut(&mut self, offset: usize, len: usize) -> Option<&mut [u8]> {
        let at = self.place(offset, len, 1).filter(|_| self.writable)?;
        // SAFETY: mapped writable, and nobody else's as the caller says.
        Some(unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), len) })
    }
}

/// How many bytes can be copied at once at this address: 8 or 4 where it is aligned and as many are left.
fn step(at: NonNull<u8>, left: usize) -> usize {
    match at.as_ptr() as usize {
        a if a % 8 == 0 && left >= 8 => 8,
        a if a % 4 == 0 && left >= 4 => 4,
        _ => 1,
    }
}

/// Reads `step` mapped bytes that are aligned to `step`, as a number in its low bits.
fn load(at: NonNull<u8>, step: usize) -> u64 {
    let at = at.as_ptr();
    // SAFETY: the callers are in `copy_out`, which has checked place and alignment by `step`.
    unsafe {
        match step {
            8 => AtomicU64::from_ptr(at.cast()).load(Ordering::Relaxed),
            4 => AtomicU32::from_ptr(at.cast()).load(Ordering::Relaxed).into(),
            _ => AtomicU8::from_ptr(at).load(Ordering::Relaxed).into(),
        }
    }
}

/// Writes the low `step` bytes of a number to mapped bytes that are aligned to `step`.
fn store(at: NonNull<u8>, step: usize, value: u64) {
    let at = at.as_ptr();
    // SAFETY: the callers are in `copy_in`, which has checked place, alignment and the right to write.
    unsafe {
        match step {
            8 => AtomicU64::from_ptr(at.cast()).store(value, Ordering::Relaxed),
            4 => AtomicU32::from_ptr(at.cast()).store(value as u32, Ordering::Relaxed),
            _ => AtomicU8::from_ptr(at).store(value as u8, Ordering::Relaxed),
        }
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `new`, and nothing borrows it any more.
        let _ = unsafe { munmap(self.at, self.len) };
    }
}
