//! Memory mappings.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::{fstat, stat};
use nix::sys::statfs::{SYSFS_MAGIC, fstatfs};

use super::errno::{Errno, SysError};

/// The kernel's own types, `/sys/kernel/btf/vmlinux`, mapped to be read. They are part of the kernel's image: they do
/// not change, and nobody can cut them off. That is what makes it sound to lend them out as a slice, and why nothing
/// else can be mapped so.
#[derive(Debug)]
pub(crate) struct Mapping {
    at: NonNull<libc::c_void>,
    len: usize,
}

// SAFETY: the memory is read-only and owned by this value alone until it is unmapped by Drop. Test:
// `sound_attacks::a_file_of_types_that_is_cut_off`.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared readers cannot change it. Test: `sound_attacks::a_file_of_types_that_is_cut_off`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `file` if it is the file with the kernel's types, in sysfs: `EINVAL` if it is another. `ENODEV` before
    /// Linux 6.16, which cannot map it.
    pub(crate) fn of_kernel_types(file: &File) -> Result<Mapping, SysError> {
        const PATH: &str = "/sys/kernel/btf/vmlinux";
        let fail = |errno: Errno| SysError::other("mmap", errno);
        let is_sysfs = fstatfs(file).is_ok_and(|s| s.filesystem_type() == SYSFS_MAGIC);
        let (this, types) = (fstat(file), stat(PATH));
        let is_it = matches!((this, types), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino));
        if !is_sysfs || !is_it {
            return Err(fail(Errno::EINVAL));
        }
        let len = this.map_or(0, |a| usize::try_from(a.st_size).unwrap_or(0));
        let size = NonZeroUsize::new(len).ok_or(fail(Errno::EINVAL))?;
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing of ours. Test:
        // `sound_attacks::a_file_of_types_that_is_cut_off`.
        let at = unsafe { mmap(None, size, ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE, file, 0) }
            .map_err(|e| fail(e.into()))?;
        Ok(Mapping { at, len })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `at..at + len` is mapped readable for as long as `self` lives, and the kernel's types are constant
        // (`of_kernel_types` takes nothing else). Test: `sound_attacks::a_file_of_types_that_is_cut_off`.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().cast(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `of_kernel_types`, and nothing borrows it any more. Test:
        // `sound_attacks::a_file_of_types_that_is_cut_off`.
        let _ = unsafe { munmap(self.at, self.len) };
    }
}

/// Memory that the kernel, its programs and other processes write to while it is read here.
///
/// A reference into such memory (`&[u8]`) would promise that it does not change, so there is none: whole values
/// are copied in and out, single words are reached as atomics. A copy is not a snapshot: a program may write
/// between its bytes, though words of 4 and 8 bytes at their natural alignment are read and written whole.
///
/// Everything here, also a single byte, is reached through the aligned 8 bytes around it. Atomics of different sizes
/// on the same bytes are a data race by Rust's rules; what programs and other processes do to these bytes, with
/// whatever size, is the processor's business, and it keeps words whole.
#[derive(Debug)]
pub struct SharedMapping {
    at: NonNull<AtomicU64>,
    len: usize,
    writable: bool,
}

// SAFETY: the memory is unmapped by Drop alone, and is reached through atomics only. Test:
// `sound_attacks::places_outside_of_shared_memory`.
unsafe impl Send for SharedMapping {}
// SAFETY: as above. Test: `sound_attacks::places_outside_of_shared_memory`.
unsafe impl Sync for SharedMapping {}

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

impl SharedMapping {
    /// Maps `len` bytes of `file` from `offset` on. `EPERM`/`EACCES` if it may not be written.
    pub(crate) fn new(
        file: impl AsFd,
        offset: usize,
        len: usize,
        writable: bool,
    ) -> Result<SharedMapping, SysError> {
        SharedMapping::map(file, None, offset, len, writable)
    }

    /// Maps the first `len` bytes of `file` at this very address, to be read and written; where the kernel likes, if
    /// it is 0. `EEXIST` if something is there already.
    pub(crate) fn at(file: impl AsFd, address: u64, len: usize) -> Result<SharedMapping, SysError> {
        let address = usize::try_from(address).map_err(|_| SysError::other("mmap", Errno::EINVAL))?;
        SharedMapping::map(file, NonZeroUsize::new(address), 0, len, true)
    }

    fn map(
        file: impl AsFd,
        address: Option<NonZeroUsize>,
        offset: usize,
        len: usize,
        writable: bool,
    ) -> Result<SharedMapping, SysError> {
        let fail = |errno: Errno| SysError::other("mmap", errno);
        // Whole words: the last one is in the last page, which is mapped whole.
        let size =
            len.checked_next_multiple_of(WORD).and_then(NonZeroUsize::new).ok_or(fail(Errno::EINVAL))?;
        let offset = libc::off_t::try_from(offset).map_err(|_| fail(Errno::EINVAL))?;
        let write = if writable { ProtFlags::PROT_WRITE } else { ProtFlags::empty() };
        let place = if address.is_some() { MapFlags::MAP_FIXED_NOREPLACE } else { MapFlags::empty() };
        let flags = MapFlags::MAP_SHARED | place;
        // SAFETY: a new mapping, where the kernel chooses or where nothing is yet, aliases nothing of ours. Test:
        // `sound_attacks::places_outside_of_shared_memory`.
        let at = unsafe { mmap(address, size, ProtFlags::PROT_READ | write, flags, file, offset) }
            .map_err(|e| fail(e.into()))?;
        let mapping = SharedMapping { at: at.cast(), len, writable };
        match address {
            // Before Linux 4.17 the address is a wish. The mapping goes when it is dropped here.
            Some(wanted) if wanted.get() != mapping.address() => Err(fail(Errno::EEXIST)),
            _ => Ok(mapping),
        }
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

    /// True if `len` bytes at `offset` are inside.
    #[inline]
    fn holds(&self, offset: usize, len: usize) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// The word that holds the byte at `offset`, if that is inside. It may be read only where the mapping may be.
    #[inline]
    fn word(&self, offset: usize) -> Option<&AtomicU64> {
        // SAFETY: inside the mapping, which begins at a page and has whole words, so aligned; mapped for as long as
        // `self` is borrowed; reached as atomics of this size only, but for the slices below, whose callers answer
        // for them. Test: `sound_attacks::places_outside_of_shared_memory`.
        (offset < self.len).then(|| unsafe { self.at.add(offset / WORD).as_ref() })
    }

    /// The u64 at `offset`; `None` if it is outside, not aligned to 8, or the mapping is read-only.
    pub fn atomic_u64(&self, offset: usize) -> Option<&AtomicU64> {
        (self.writable && offset % WORD == 0 && self.holds(offset, WORD)).then(|| self.word(offset)).flatten()
    }

    /// The u32 at `offset`; `None` if it is outside, not aligned to 4, or the mapping is read-only.
    pub fn atomic_u32(&self, offset: usize) -> Option<SharedU32<'_>> {
        let inside = self.writable && offset % 4 == 0 && self.holds(offset, 4);
        inside.then(|| self.word(offset)).flatten().map(|word| SharedU32 { word, shift: shift(offset, 4) })
    }

    /// Reads the u32 at `offset`, which is aligned to 4; what was written before it by others is seen after it.
    #[inline]
    pub fn load_u32(&self, offset: usize) -> Option<u32> {
        let inside = offset % 4 == 0 && self.holds(offset, 4);
        let word = inside.then(|| self.word(offset)).flatten()?.load(Ordering::Acquire);
        Some((word >> shift(offset, 4)) as u32)
    }

    /// Reads the u64 at `offset`, which is aligned to 8, as [`SharedMapping::load_u32`].
    #[inline]
    pub fn load_u64(&self, offset: usize) -> Option<u64> {
        let inside = offset % WORD == 0 && self.holds(offset, WORD);
        Some(inside.then(|| self.word(offset)).flatten()?.load(Ordering::Acquire))
    }

    /// Copies bytes out from `offset` on; false, and nothing is copied, if they are not all inside.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) -> bool {
        if !self.holds(offset, to.len()) {
            return false;
        }
        let mut rest = to;
        let mut at = offset;
        while !rest.is_empty() {
            let Some(word) = self.word(at) else { return false };
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            let skip = at % WORD;
            let step = rest.len().min(WORD - skip);
            let (now, later) = std::mem::take(&mut rest).split_at_mut(step);
            now.copy_from_slice(&bytes[skip..skip + step]);
            (rest, at) = (later, at + step);
        }
        true
    }

    /// A copy of `len` bytes from `offset` on; `None` if they are not all inside.
    pub fn read(&self, offset: usize, len: usize) -> Option<Vec<u8>> {
        let mut out = vec![0; if self.holds(offset, len) { len } else { return None }];
        self.copy_out(offset, &mut out).then_some(out)
    }

    /// Copies bytes in from `offset` on; false, and nothing is copied, if they do not all fit or the mapping is
    /// read-only. Bytes beside them are left as they are, whoever writes to them meanwhile.
    pub fn copy_in(&self, offset: usize, from: &[u8]) -> bool {
        if !self.writable || !self.holds(offset, from.len()) {
            return false;
        }
        let mut rest = from;
        let mut at = offset;
        while !rest.is_empty() {
            let Some(word) = self.word(at) else { return false };
            let skip = at % WORD;
            let step = rest.len().min(WORD - skip);
            let (now, later) = rest.split_at(step);
            let put = |old: u64| {
                let mut bytes = old.to_ne_bytes();
                bytes[skip..skip + step].copy_from_slice(now);
                u64::from_ne_bytes(bytes)
            };
            match step {
                WORD => word.store(put(0), Ordering::Relaxed),
                _ => _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(put(old))),
            }
            (rest, at) = (later, at + step);
        }
        true
    }

    /// Where the words from `offset` on begin, for loops in which each check costs more than the read; `None` unless all
    /// `len` bytes are inside and `offset` is a multiple of 8.
    pub(super) fn words(&self, offset: usize, len: usize) -> Option<NonNull<AtomicU64>> {
        // SAFETY: inside the mapping, as is checked here. Test: `sound_attacks::places_outside_of_shared_memory`.
        (offset % WORD == 0 && self.holds(offset, len)).then(|| unsafe { self.at.add(offset / WORD) })
    }

    /// `len` bytes at `offset` as they lie.
    ///
    /// # Safety
    /// Nobody may write to them while the slice lives.
    #[inline]
    pub(super) unsafe fn slice(&self, offset: usize, len: usize) -> Option<&[u8]> {
        // SAFETY: mapped readable, and unchanging as the caller says. Test: `sound_attacks::a_ring_has_one_consumer`.
        self.holds(offset, len)
            .then(|| unsafe { std::slice::from_raw_parts(self.at.cast::<u8>().add(offset).as_ptr(), len) })
    }

    /// `len` bytes at `offset`, to be written as they lie.
    ///
    /// # Safety
    /// Nobody else may read or write them while the slice lives.
    pub(super) unsafe fn slice_mut(&mut self, offset: usize, len: usize) -> Option<&mut [u8]> {
        // SAFETY: mapped writable, and nobody else's as the caller says. Test:
        // `sound_attacks::a_ring_has_one_consumer`.
        (self.writable && self.holds(offset, len)).then(|| unsafe {
            std::slice::from_raw_parts_mut(self.at.cast::<u8>().add(offset).as_ptr(), len)
        })
    }
}

/// By how many bits a number of `len` bytes at `offset` is shifted in the word that holds it.
#[inline]
fn shift(offset: usize, len: usize) -> u32 {
    let skip = offset % WORD;
    8 * if cfg!(target_endian = "big") { WORD - len - skip } else { skip } as u32
}

/// Four bytes of shared memory as an atomic: what [`AtomicU32`](std::sync::atomic::AtomicU32) does, by the 8 bytes
/// around them.
#[derive(Debug, Clone, Copy)]
pub struct SharedU32<'m> {
    word: &'m AtomicU64,
    shift: u32,
}

impl SharedU32<'_> {
    /// Reads it.
    pub fn load(&self, order: Ordering) -> u32 {
        (self.word.load(order) >> self.shift) as u32
    }

    /// Writes it.
    pub fn store(&self, value: u32, order: Ordering) {
        self.update(order, |_| value);
    }

    /// Writes it, and returns what was there.
    pub fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.update(order, |_| value)
    }

    /// Adds to it, and returns what was there.
    pub fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.update(order, |old| old.wrapping_add(value))
    }

    /// Changes it in one step, and returns what was there. `order` is that of the change.
    pub fn update(&self, order: Ordering, change: impl Fn(u32) -> u32) -> u32 {
        let put = |word: u64| {
            let others = word & !(u64::from(u32::MAX) << self.shift);
            others | u64::from(change((word >> self.shift) as u32)) << self.shift
        };
        let done = self.word.fetch_update(order, Ordering::Relaxed, |word| Some(put(word)));
        (done.unwrap_or_else(|same| same) >> self.shift) as u32
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made by `map`, and nothing borrows it any more. Test:
        // `sound_attacks::places_outside_of_shared_memory`.
        let _ = unsafe { munmap(self.at.cast(), self.len.next_multiple_of(WORD)) };
    }
}

#[cfg(test)]
mod tests {
    use super::{SharedMapping, WORD};
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::sync::atomic::Ordering;

    fn memory(len: usize) -> SharedMapping {
        let file = memfd_create(c"shared", MFdFlags::empty()).expect("a file in memory");
        nix::unistd::ftruncate(&file, 8192).expect("it has a length");
        SharedMapping::new(&file, 0, len, true).expect("it can be mapped")
    }

    #[test]
    fn what_is_copied_in_comes_out_at_every_place() {
        let memory = memory(64);
        for offset in 0..20 {
            for len in 0..30 {
                let (was, text): (Vec<u8>, Vec<u8>) =
                    ((0..64).map(|i| 200 - i).collect(), (1..=len).collect());
                assert!(memory.copy_in(0, &was) && memory.copy_in(offset, &text));
                let mut all = vec![0; 64];
                assert!(memory.copy_out(0, &mut all));
                let end = offset + text.len();
                assert_eq!(
                    (&all[..offset], &all[offset..end], &all[end..]),
                    (&was[..offset], &text[..], &was[end..])
                );
            }
        }
    }

    #[test]
    fn nothing_outside_is_reached() {
        let memory = memory(61);
        assert!(
            !memory.copy_in(60, &[1, 2]) && !memory.copy_out(62, &mut []) && memory.copy_out(61, &mut [])
        );
        assert!(!memory.copy_in(usize::MAX, &[1]) && memory.atomic_u64(56).is_none());
        assert!(
            memory.atomic_u32(58).is_none()
                && memory.atomic_u32(60).is_none()
                && memory.load_u32(56).is_some()
        );
    }

    #[test]
    fn numbers_lie_where_c_has_them() {
        let memory = memory(2 * WORD);
        let (low, high) = (memory.atomic_u32(0).expect("inside"), memory.atomic_u32(4).expect("inside"));
        low.store(1, Ordering::Relaxed);
        assert_eq!((high.swap(7, Ordering::Relaxed), high.fetch_add(u32::MAX, Ordering::Relaxed)), (0, 7));
        let mut bytes = [0; 8];
        assert!(memory.copy_out(0, &mut bytes));
        assert_eq!(bytes, <[u8; 8]>::try_from([1u32.to_ne_bytes(), 6u32.to_ne_bytes()].concat()).expect("8"));
        assert_eq!((memory.load_u32(0), memory.load_u32(4)), (Some(1), Some(6)));
    }
}
