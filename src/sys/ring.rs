//! The memory of a ring buffer map, read by its one consumer.
//!
//! ```text
//!   file offset   page
//!   0             consumer position            ours to write, the kernel's to read
//!   1 page        producer position, pending   the kernel's
//!                 position, overwrite position
//!   2 pages       data: size bytes             the kernel's
//!   + size        data, the same bytes again   so that a record that wraps is in one piece
//!
//!   record        u32 length | BUSY 1 << 31 | DISCARD 1 << 30,  u32 page offset,  data,  up to a multiple of 8
//! ```
//!
//! Positions only grow; where they point to in the data is their remainder by the size. Between the consumer's
//! and the producer's position the memory is the consumer's: the kernel does not write a record again before the
//! consumer's position has passed it. That is what makes it sound to lend a record out as a slice. In overwrite
//! mode the kernel does not wait for the consumer, and records are copied out and checked instead.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::errno::{Errno, SysError};
use super::mmap::SharedMapping;

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;
/// Where the kernel's positions are on its page.
const PRODUCER: usize = 0;
const OVERWRITE: usize = 2 * size_of::<usize>();

/// The consumer's side of a `BPF_MAP_TYPE_RINGBUF`.
#[derive(Debug)]
pub(crate) struct Ring {
    consumer: SharedMapping,
    /// The kernel's page and the data, twice.
    shared: SharedMapping,
    page: usize,
    size: usize,
    /// Up to here everything has been read.
    at: usize,
    /// The producer's position when it was last looked at.
    seen: usize,
    /// What the kernel was told of `at`.
    told: usize,
    /// There was a full barrier since it was told.
    settled: bool,
    /// Overwrite mode: the record that was copied out.
    copy: Option<Vec<u8>>,
    lost: u64,
}

/// A record that is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    /// Where its data is, in bytes from the start of the data.
    offset: usize,
    /// Bytes of its data.
    len: usize,
    /// Bytes of the ring that it takes.
    total: usize,
}

impl Ring {
    /// Maps the ring buffer behind `map`, which has `size` bytes of data.
    pub(crate) fn new(map: impl AsFd, size: usize, overwrite: bool) -> Result<Ring, SysError> {
        if !size.is_power_of_two() {
            return Err(SysError::other("mmap", Errno::EINVAL));
        }
        let page = page_size();
        let consumer = SharedMapping::new(&map, 0, page, true)?;
        let shared = SharedMapping::new(&map, page, page + 2 * size, false)?;
        let at = consumer.load_word(0).unwrap_or(0);
        let copy = overwrite.then(Vec::new);
        Ok(Ring { consumer, shared, page, size, at, seen: at, told: at, settled: false, copy, lost: 0 })
    }

    /// Bytes of data that it holds.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How far the producers are, in bytes since the ring was made.
    pub(crate) fn producer(&self) -> usize {
        self.shared.load_word(PRODUCER).unwrap_or(self.at)
    }

    /// How far this consumer is, as the kernel knows it: what is behind has been given back.
    pub(crate) fn consumer(&self) -> usize {
        self.told
    }

    /// Overwrite mode: bytes that were overwritten before they were read.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Finds the next record that is ready, and skips discarded ones. `None` if there is none now: then the
    /// kernel has been told so and will wake a poller when there is one.
    ///
    /// What is done for each record is inlined into the loop around it: a call would cost more than the record.
    #[inline]
    pub(crate) fn next_record(&mut self) -> Option<Ready> {
        if self.copy.is_none() && self.at != self.seen {
            if let Some(header) = self.header() {
                let record = self.record(header);
                if header & DISCARD == 0 && record.total <= self.seen.wrapping_sub(self.at) {
                    return Some(record);
                }
            }
        }
        self.search()
    }

    /// The same where there is more to do than to read a header.
    #[inline(never)]
    fn search(&mut self) -> Option<Ready> {
        if self.copy.is_some() {
            return self.next_copied();
        }
        loop {
            if self.at == self.seen {
                self.seen = self.producer();
                if self.at == self.seen {
                    return self.rest();
                }
            }
            let Some(header) = self.header() else { return self.rest() };
            let record = self.record(header);
            if record.total > self.seen.wrapping_sub(self.at) {
                // No kernel writes that. To read on would be to read rubbish.
                self.lost += self.seen.wrapping_sub(self.at) as u64;
                self.at = self.seen;
                self.tell();
                continue;
            }
            if header & DISCARD == 0 {
                return Some(record);
            }
            self.advance(record);
        }
    }

    /// Calls `each` with every record that is there now, and returns how many. What [`Ring::next_record`] and
    /// [`Ring::advance`] do, with the position in a register: half the time of a record that is only counted.
    #[inline]
    pub(crate) fn drain(&mut self, mut each: impl FnMut(&[u8])) -> u64 {
        let mut count = 0;
        while let Some(record) = self.next_record() {
            count += 1;
            // If `each` panics, the record has been read all the same.
            let at = self.at;
            self.at = at.wrapping_add(record.total);
            each(self.data(record));
            self.at = at;
            self.advance(record);
            if self.copy.is_none() {
                count += self.drain_seen(&mut each);
            }
        }
        count
    }

    /// The same for the records up to where the producers were last seen, or to the first that is not finished.
    #[inline]
    fn drain_seen(&mut self, each: &mut impl FnMut(&[u8])) -> u64 {
        let (mut count, mut at, seen, mask) = (0, self.at, self.seen, self.size - 1);
        let Some(data) = self.shared.place(self.page, 2 * self.size, 8) else { return 0 };
        // The first position is what the last consumer wrote, and that may have been anything.
        if seen.wrapping_sub(at) > self.size || at % 8 != 0 {
            return 0;
        }
        let mut tell_at = self.size / 8;
        while at != seen {
            let offset = at & mask;
            // SAFETY: `offset` is below `size` and a multiple of 8, and twice `size` bytes are mapped.
            let header =
                unsafe { AtomicU32::from_ptr(data.add(offset).cast().as_ptr()) }.load(Ordering::Acquire);
            let len = (header & !DISCARD) as usize;
            let total = (len + HEADER).next_multiple_of(8);
            // The highest bit, BUSY, makes it too long for any ring.
            if total > seen.wrapping_sub(at) {
                break;
            }
            at = at.wrapping_add(total);
            // Before the call: if that panics, the record has been read. The kernel is told after it.
            self.at = at;
            if header & DISCARD == 0 {
                count += 1;
                // SAFETY: it begins before `size` and is not longer, so it is mapped. It is committed, and before the
                // producer's position: the kernel writes there again only once it is told, which is done below.
                each(unsafe { std::slice::from_raw_parts(data.add(offset + HEADER).as_ptr(), len) });
            }
            tell_at = tell_at.saturating_sub(total);
            if tell_at == 0 {
                self.tell();
                tell_at = self.size / 8;
            }
        }
        if at == seen {
            self.tell();
        }
        count
    }

    /// The header of the record at the consumer's position, unless it is still being written.
    #[inline]
    fn header(&self) -> Option<u32> {
        let header = self.shared.load_u32(self.page + (self.at & (self.size - 1)))?;
        (header & BUSY == 0).then_some(header)
    }

    #[inline]
    fn record(&self, header: u32) -> Ready {
        let len = (header & !(BUSY | DISCARD)) as usize;
        let offset = (self.at & (self.size - 1)) + HEADER;
        Ready { offset, len, total: (len + HEADER).next_multiple_of(8) }
    }

    /// Nothing is ready, as it seems: tells the kernel how far we are, and looks once more.
    ///
    /// A producer that commits a record wakes pollers only if it finds the consumer's position at that record.
    /// Both sides write and then read what the other wrote, so a full barrier stands between: one of them sees
    /// the other.
    fn rest(&mut self) -> Option<Ready> {
        self.tell();
        if self.settled && self.at == self.seen {
            return None;
        }
        fence(Ordering::SeqCst);
        self.settled = true;
        self.seen = self.producer();
        if self.at == self.seen {
            return None;
        }
        let header = self.header()?;
        let record = self.record(header);
        match header & DISCARD == 0 && record.total <= self.seen.wrapping_sub(self.at) {
            true => Some(record),
            false => self.next_record(),
        }
    }

    fn tell(&mut self) {
        if self.told != self.at {
            self.consumer.store_word(0, self.at);
            self.told = self.at;
            self.settled = false;
        }
    }

    /// The data of a record that [`Ring::next_record`] returned, until the ring is advanced.
    #[inline]
    pub(crate) fn data(&self, record: Ready) -> &[u8] {
        match &self.copy {
            Some(copy) => copy,
            // SAFETY: `next` found the record committed, between the consumer's and the producer's position;
            // the kernel writes there again only after `advance`, which takes the ring exclusively.
            None => unsafe { self.shared.slice(self.page + record.offset, record.len) }.unwrap_or_default(),
        }
    }

    /// Goes past a record. The kernel is told at once if it was the last one seen, and else now and then: each
    /// write of the position takes its cache line away from the producers.
    #[inline]
    pub(crate) fn advance(&mut self, record: Ready) {
        self.at = self.at.wrapping_add(record.total);
        if self.at == self.seen || self.at.wrapping_sub(self.told) >= self.size / 8 {
            self.tell();
        }
    }

    /// Overwrite mode: the next record that could be copied whole.
    fn next_copied(&mut self) -> Option<Ready> {
        loop {
            self.skip_overwritten();
            self.seen = self.producer();
            if self.at == self.seen {
                self.tell();
                return None;
            }
            let header = self.header();
            let record = self.record(header.unwrap_or(BUSY));
            let whole = record.total <= self.size;
            if whole && header.is_some() {
                let mut copy = self.copy.take().unwrap_or_default();
                copy.resize(record.len, 0);
                self.shared.copy_out(self.page + record.offset, &mut copy);
                self.copy = Some(copy);
            }
            // What was copied counts only if it had not been overwritten by then.
            fence(Ordering::Acquire);
            if self.is_overwritten() {
                continue;
            }
            match header {
                None => {
                    self.tell();
                    return None;
                }
                Some(header) if header & DISCARD == 0 && whole => return Some(record),
                Some(_) => self.advance(record),
            }
        }
    }

    fn overwrite_pos(&self) -> usize {
        self.shared.load_word(OVERWRITE).unwrap_or(self.at)
    }

    fn is_overwritten(&self) -> bool {
        (self.overwrite_pos().wrapping_sub(self.at) as isize) > 0
    }

    fn skip_overwritten(&mut self) {
        let to = self.overwrite_pos();
        if (to.wrapping_sub(self.at) as isize) > 0 {
            self.lost += to.wrapping_sub(self.at) as u64;
            self.at = to;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.tell();
    }
}

/// Bytes of a page of memory.
pub fn page_size() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |n| n as usize)
}
