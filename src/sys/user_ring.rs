//! The memory of a user ring buffer map, written by its one producer.
//!
//! It is laid out as a [ring buffer](super::ring) with the roles changed: the first page, with the consumer's
//! position, is the kernel's; the second and the data are ours. A record is reserved by writing its header with
//! the BUSY bit and moving the producer's position behind it; the kernel's consumer stops at a busy record. It is
//! committed by clearing the bit.

use std::sync::atomic::Ordering;

use super::claim::{Claim, Use};
use super::errno::{Errno, SysError};
use super::map::MapFd;
use super::mmap::SharedMapping;
use super::ring::page_size;
use crate::uapi::MapType;

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;

/// The producer's side of a `BPF_MAP_TYPE_USER_RINGBUF`. Linux 6.1.
#[derive(Debug)]
pub(crate) struct UserRing {
    consumer: SharedMapping,
    shared: SharedMapping,
    page: usize,
    size: usize,
    /// Nobody else in this process writes.
    _claim: Claim,
}

/// A record that was reserved. It is discarded unless it is committed.
#[derive(Debug)]
pub(crate) struct Reserved<'r> {
    ring: &'r mut UserRing,
    /// Where its header is, in bytes from the start of the data.
    offset: usize,
    len: usize,
    /// What becomes of it when it is dropped.
    bits: u32,
}

impl UserRing {
    /// Maps the ring buffer behind `map`, which has `size` bytes of data. `EBUSY` if this process has a producer of it
    /// already.
    pub(crate) fn new(map: &MapFd, size: usize) -> Result<UserRing, SysError> {
        let page = page_size();
        if !size.is_power_of_two() || size < page || map.map_type() != MapType::UserRingbuf {
            return Err(SysError::other("mmap", Errno::EINVAL));
        }
        let claim = Claim::of(map.id(), Use::Alone)?;
        let consumer = SharedMapping::new(map, 0, page, false)?;
        let all = size.checked_mul(2).and_then(|twice| twice.checked_add(page));
        let shared = SharedMapping::new(map, page, all.unwrap_or(0), true)?;
        Ok(UserRing { consumer, shared, page, size, _claim: claim })
    }

    /// Bytes of data that it holds.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are reserved or wait for the kernel.
    pub(crate) fn used(&self) -> usize {
        self.shared.position(0).wrapping_sub(self.consumer.position(0))
    }

    /// Bytes that a record of `len` bytes takes, if it can be in this ring at all.
    fn total(&self, len: usize) -> Option<usize> {
        let total = len.checked_add(HEADER)?.checked_next_multiple_of(8)?;
        (total <= self.size && len < DISCARD as usize).then_some(total)
    }

    /// True if there is room for a record of `len` bytes now. `E2BIG` if there never will be.
    pub(crate) fn has_room(&self, len: usize) -> Result<bool, SysError> {
        let total = self.total(len).ok_or(SysError::other("reserve", Errno::E2BIG))?;
        Ok(self.size.saturating_sub(self.used()) >= total)
    }

    /// Reserves a record of `len` bytes; `None` if there is no room now. `E2BIG` if there never will be.
    pub(crate) fn reserve(&mut self, len: usize) -> Result<Option<Reserved<'_>>, SysError> {
        if !self.has_room(len)? {
            return Ok(None);
        }
        let producer = self.shared.position(0);
        // A multiple of 8 by what stands there; whoever shares the memory may have written anything.
        let offset = producer & (self.size - 1) & !(HEADER - 1);
        self.header(offset, len as u32 | BUSY);
        // The header is there before the position says so.
        self.shared.set_position(producer.wrapping_add(self.total(len).unwrap_or(0)));
        Ok(Some(Reserved { ring: self, offset, len, bits: DISCARD }))
    }

    /// Writes the header of a record: its length with the bits, and no page offset.
    fn header(&self, offset: usize, len: u32) {
        let [a, b, c, d] = len.to_ne_bytes();
        if let Some(header) = self.shared.atomic_u64(self.page + offset) {
            header.store(u64::from_ne_bytes([a, b, c, d, 0, 0, 0, 0]), Ordering::Release);
        }
    }
}

impl Reserved<'_> {
    /// Its data.
    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: the record is busy, so the kernel does not read it. This process has no other producer (`Claim`),
        // and this record has the only one exclusively. Test: `sound_attacks::a_user_ring_has_one_producer`.
        unsafe { self.ring.shared.slice(self.ring.page + self.offset + HEADER, self.len) }.unwrap_or_default()
    }

    /// Its data, to be written.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        let at = self.ring.page + self.offset + HEADER;
        // SAFETY: as above, and the record is borrowed exclusively. Test:
        // `sound_attacks::a_user_ring_has_one_producer`.
        unsafe { self.ring.shared.slice_mut(at, self.len) }.unwrap_or_default()
    }

    /// Gives it to the kernel.
    pub(crate) fn commit(mut self) {
        self.bits = 0;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.ring.header(self.offset, self.len as u32 | self.bits);
    }
}
