//! The memory of a user ring buffer map, written by its one producer.
//!
//! It is laid out as a [ring buffer](super::ring) with the roles changed: the first page, with the consumer's
//! position, is the kernel's; the second and the data are ours. A record is reserved by writing its header with
//! the BUSY bit and moving the producer's position behind it; the kernel's consumer stops at a busy record. It is
//! committed by clearing the bit.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use super::errno::{Errno, SysError};
use super::mmap::SharedMapping;
use super::ring::page_size;

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;

/// The producer's side of a `BPF_MAP_TYPE_USER_RINGBUF`. Linux 6.1.
#[derive(Debug)]
pub struct UserRing {
    consumer: SharedMapping,
    shared: SharedMapping,
    page: usize,
    size: usize,
}

/// A record that was reserved.
#[derive(Debug, Clone, Copy)]
pub struct Reserved {
    /// Where its header is, in bytes from the start of the data.
    offset: usize,
    len: usize,
}

impl UserRing {
    /// Maps the ring buffer behind `map`, which has `size` bytes of data.
    pub fn new(map: impl AsFd, size: usize) -> Result<UserRing, SysError> {
        if !size.is_power_of_two() {
            return Err(SysError::other("mmap", Errno::EINVAL));
        }
        let page = page_size();
        let consumer = SharedMapping::new(&map, 0, page, false)?;
        let shared = SharedMapping::new(&map, page, page + 2 * size, true)?;
        Ok(UserRing { consumer, shared, page, size })
    }

    /// Bytes of data that it holds.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are reserved or wait for the kernel.
    pub fn used(&self) -> usize {
        let producer = self.shared.load_word(0).unwrap_or(0);
        producer.wrapping_sub(self.consumer.load_word(0).unwrap_or(producer))
    }

    /// Reserves a record of `len` bytes; `None` if there is no room now. `E2BIG` if there never will be.
    pub fn reserve(&mut self, len: usize) -> Result<Option<Reserved>, SysError> {
        let total = len.checked_add(HEADER).and_then(|n| n.checked_next_multiple_of(8));
        let total = total.filter(|&total| total <= self.size && len < DISCARD as usize);
        let total = total.ok_or(SysError::other("reserve", Errno::E2BIG))?;
        if self.size.saturating_sub(self.used()) < total {
            return Ok(None);
        }
        let producer = self.shared.load_word(0).unwrap_or(0);
        let offset = producer & (self.size - 1);
        if let Some(header) = self.shared.atomic_u32(self.page + offset) {
            header.store(len as u32 | BUSY, Ordering::Relaxed);
        }
        if let Some(pg_off) = self.shared.atomic_u32(self.page + offset + 4) {
            pg_off.store(0, Ordering::Relaxed);
        }
        // The header is there before the position says so.
        self.shared.store_word(0, producer.wrapping_add(total));
        Ok(Some(Reserved { offset, len }))
    }

    /// The data of a reserved record.
    pub fn data(&mut self, record: Reserved) -> &mut [u8] {
        // SAFETY: the record is busy, so the kernel does not read it; only one slice is lent at a time.
        unsafe { self.shared.slice_mut(self.page + record.offset + HEADER, record.len) }.unwrap_or_default()
    }

    /// The same, to be read.
    pub fn shown(&self, record: Reserved) -> &[u8] {
        // SAFETY: the record is busy, so nobody but this process writes to it, and it only by `data`.
        unsafe { self.shared.slice(self.page + record.offset + HEADER, record.len) }.unwrap_or_default()
    }

    /// Gives a reserved record to the kernel, or takes it back by marking it as discarded.
    pub fn finish(&mut self, record: Reserved, discard: bool) {
        let bits = if discard { DISCARD } else { 0 };
        if let Some(header) = self.shared.atomic_u32(self.page + record.offset) {
            header.swap(record.len as u32 | bits, Ordering::AcqRel);
        }
    }
}
