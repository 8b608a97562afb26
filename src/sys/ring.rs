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
//!
//! Sound as far as this process goes: there is one consumer that lends (`Claim`), and a second is refused. Another
//! process with a descriptor of the same map could move the position under its feet, as it could write to any memory
//! that is shared with it; who does not trust those that hold the map reads with copies.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::claim::{Claim, Use};
use super::errno::{Errno, SysError};
use super::map::MapFd;
use super::mmap::SharedMapping;
use crate::uapi::MapType;

const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;
const HEADER: usize = 8;
/// Where the kernel's positions are on its page: which `unsigned long`.
const PRODUCER: usize = 0;
const OVERWRITE: usize = 2;

/// Positions that the kernel keeps as `unsigned long`: on a 64-bit kernel 8 bytes, also for a process of 32 bits. What
/// is computed with them here are the low bits, which is enough, as no ring is longer than they count.
impl SharedMapping {
    /// The `nth` position of a page.
    #[inline]
    pub(crate) fn position(&self, nth: usize) -> usize {
        match kernel_word() {
            8 => self.load_u64(8 * nth).unwrap_or(0) as usize,
            _ => self.load_u32(4 * nth).unwrap_or(0) as usize,
        }
    }

    /// Writes the first position of a page: the number with these low bits that is not before what was there, nor a
    /// whole round behind it.
    #[inline]
    pub(super) fn set_position(&self, low: usize) {
        if kernel_word() == 8 {
            if let Some(at) = self.atomic_u64(0) {
                let was = at.load(Ordering::Relaxed);
                let more = low.wrapping_sub(was as usize);
                at.store(was.wrapping_add(more as u64), Ordering::Release);
            }
        } else if let Some(at) = self.atomic_u32(0) {
            at.store(low as u32, Ordering::Release);
        }
    }
}

/// Bytes of the kernel's `unsigned long`.
#[cfg(target_pointer_width = "64")]
#[inline]
const fn kernel_word() -> usize {
    8
}

/// Bytes of the kernel's `unsigned long`, which may be longer than ours.
#[cfg(not(target_pointer_width = "64"))]
fn kernel_word() -> usize {
    use std::sync::OnceLock;
    static WORD: OnceLock<usize> = OnceLock::new();
    *WORD.get_or_init(|| {
        let machine = nix::sys::utsname::uname().map(|u| u.machine().to_string_lossy().into_owned());
        let machine = machine.unwrap_or_default();
        if machine.contains("64") || machine == "s390x" { 8 } else { 4 }
    })
}

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
    /// Where records are not lent but copied out: the last one.
    copy: Option<Vec<u8>>,
    /// The producers do not wait for a consumer.
    overwrite: bool,
    lost: u64,
    /// Nobody else in this process reads, or nobody else who lends.
    _claim: Claim,
}

/// How a record comes to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Where it lies.
    Lent,
    /// As a copy. Always so in overwrite mode.
    Copied,
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
    /// Maps the ring buffer behind `map`, which has `size` bytes of data. `EBUSY` if this process has a reader of it
    /// already, unless both copy.
    pub(crate) fn new(map: &MapFd, size: usize, overwrite: bool, how: Reading) -> Result<Ring, SysError> {
        let page = page_size();
        if !size.is_power_of_two() || size < page || map.map_type() != MapType::Ringbuf {
            return Err(SysError::other("mmap", Errno::EINVAL));
        }
        let copies = overwrite || how == Reading::Copied;
        let claim = Claim::of(map.id(), if copies { Use::Shared } else { Use::Alone })?;
        let consumer = SharedMapping::new(map, 0, page, true)?;
        let all = size.checked_mul(2).and_then(|twice| twice.checked_add(page));
        let shared = SharedMapping::new(map, page, all.unwrap_or(0), false)?;
        let at = consumer.position(0);
        let copy = copies.then(Vec::new);
        let told = at;
        let (seen, settled, lost) = (at, false, 0);
        Ok(Ring {
            consumer,
            shared,
            page,
            size,
            at,
            seen,
            told,
            settled,
            copy,
            overwrite,
            lost,
            _claim: claim,
        })
    }

    /// Bytes of data that it holds.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How far the producers are, in bytes since the ring was made.
    pub(crate) fn producer(&self) -> usize {
        self.shared.position(PRODUCER)
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
        let Some(data) = self.shared.words(self.page, 2 * self.size) else { return 0 };
        // The first position is what the last consumer wrote, and that may have been anything.
        if seen.wrapping_sub(at) > self.size || at % 8 != 0 {
            return 0;
        }
        let mut tell_at = self.size / 8;
        while at != seen {
            let offset = at & mask;
            // SAFETY: `offset` is below `size` and a multiple of 8, and twice `size` bytes are mapped. They are
            // mapped to be read alone, and reads of different sizes are no race. Test:
            // `sound_attacks::a_ring_has_one_consumer`.
            let header =
                unsafe { data.byte_add(offset).cast::<AtomicU32>().as_ref() }.load(Ordering::Acquire);
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
                // producer's position: the kernel writes there again only once it is told, which is done below, and
                // no other reader of this process tells it (`Claim`). Test: `sound_attacks::a_ring_has_one_consumer`.
                each(unsafe {
                    std::slice::from_raw_parts(data.cast::<u8>().add(offset + HEADER).as_ptr(), len)
                });
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
            self.consumer.set_position(self.at);
            self.told = self.at;
            self.settled = false;
        }
    }

    /// The data of a record that [`Ring::next_record`] returned, until the ring is advanced.
    #[inline]
    pub(crate) fn data(&self, record: Ready) -> &[u8] {
        match &self.copy {
            Some(copy) => copy,
            // SAFETY: `next` found the record committed, between the consumer's and the producer's position; the
            // kernel writes there again only after `advance`, which takes the ring exclusively, and no other reader
            // of this process moves the position (`Claim`). Test: `sound_attacks::a_ring_has_one_consumer`.
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

    /// The next record that could be copied whole.
    fn next_copied(&mut self) -> Option<Ready> {
        loop {
            self.skip_past();
            self.seen = self.producer();
            if self.at == self.seen {
                return self.told_empty();
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
            // What was copied counts only if it was still there afterwards.
            fence(Ordering::Acquire);
            if self.is_past() {
                continue;
            }
            match header {
                None => {
                    self.tell();
                    return None;
                }
                Some(header) if header & DISCARD == 0 && whole => return Some(record),
                Some(_) if whole => self.advance(record),
                Some(_) => {
                    // No kernel writes that.
                    self.lost += self.seen.wrapping_sub(self.at) as u64;
                    self.at = self.seen;
                    self.tell();
                }
            }
        }
    }

    /// Nothing is there: tells the kernel, and looks once more, as [`Ring::rest`] does.
    fn told_empty(&mut self) -> Option<Ready> {
        self.tell();
        fence(Ordering::SeqCst);
        self.seen = self.producer();
        if self.at == self.seen { None } else { self.next_copied() }
    }

    /// Up to where records are gone: overwritten, or taken by another reader that copies.
    fn past(&self) -> usize {
        match self.overwrite {
            true => self.shared.position(OVERWRITE),
            false => self.consumer.position(0),
        }
    }

    fn is_past(&self) -> bool {
        (self.past().wrapping_sub(self.at) as isize) > 0
    }

    fn skip_past(&mut self) {
        let to = self.past();
        if (to.wrapping_sub(self.at) as isize) > 0 {
            if self.overwrite {
                self.lost += to.wrapping_sub(self.at) as u64;
            }
            self.at = to;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !self.is_past() {
            self.tell();
        }
    }
}

/// Bytes of a page of memory.
pub fn page_size() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |n| n as usize)
}
