//! Ring buffers: one memory-mapped ring, many producers, one consumer. Linux 5.8.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::poll::PollFlags;

use super::poller::wait_one;
use crate::maps::{Map, MapError, Mismatch, Plain};
use crate::sys::SysError;
use crate::sys::map::flags;
use crate::sys::ring::{Reading, Ready, Ring};
use crate::uapi::MapType;

/// The consumer of a `BPF_MAP_TYPE_RINGBUF`.
///
/// There must be one consumer of a ring: a second would move the position under the first one's feet. In this process it
/// is refused; another process that holds the map is trusted, unless records are [copied](RingBuf::copying).
///
/// The kernel does not count what it drops: a program whose reservation fails is told so, and only it can count.
/// [`RingBuf::positions`] shows how full the ring is.
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_RINGBUF")]
pub struct RingBuf {
    map: Map,
    ring: Ring,
}

/// How far a ring is, in bytes since it was made. Each record takes 8 bytes and its size, rounded up to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// Where the producers are.
    pub producer: u64,
    /// Up to where the consumer has given room back: at least every eighth of the ring, and whenever it has read
    /// everything.
    pub consumer: u64,
    /// Bytes that the ring holds.
    pub size: u64,
    /// Overwrite mode: bytes that were overwritten before they were read.
    pub lost: u64,
}

impl Positions {
    /// Bytes that are taken: they wait to be read, or have been read just now.
    pub fn lag(&self) -> u64 {
        self.producer.wrapping_sub(self.consumer).min(self.size)
    }

    /// How full the ring is, from 0 to 1.
    pub fn fill(&self) -> f64 {
        self.lag() as f64 / self.size.max(1) as f64
    }
}

/// A record, where it lies in the ring. Its room goes back to the producers when it is dropped.
#[derive(Debug)]
pub struct Record<'r> {
    ring: &'r mut Ring,
    ready: Ready,
}

impl Record<'_> {
    /// The record as a value, where it lies; `None` if it is too short. Records are aligned to 8 bytes.
    pub fn cast<T: Plain>(&self) -> Option<&T> {
        T::cast(self)
    }
}

impl Deref for Record<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        self.ring.data(self.ready)
    }
}

impl Drop for Record<'_> {
    #[inline]
    fn drop(&mut self) {
        self.ring.advance(self.ready);
    }
}

impl RingBuf {
    /// Maps a ring buffer and begins where its last consumer ended.
    ///
    /// # Errors
    /// The map is of another type, or cannot be mapped to be written; `EBUSY` if this process reads it already.
    pub fn new(map: Map) -> Result<RingBuf, MapError> {
        RingBuf::reading(map, Reading::Lent)
    }

    /// The same, with a copy of each record instead of a loan: for a ring whose memory others may change, because they
    /// hold the map too and are not trusted. Several such readers in a process share the records among them.
    ///
    /// # Errors
    /// As for [`RingBuf::new`]; `EBUSY` if this process has a reader that lends.
    pub fn copying(map: Map) -> Result<RingBuf, MapError> {
        RingBuf::reading(map, Reading::Copied)
    }

    fn reading(map: Map, how: Reading) -> Result<RingBuf, MapError> {
        let info = map.info();
        if info.map_type != MapType::Ringbuf {
            let mismatch = Mismatch::Type { expected: &[MapType::Ringbuf], found: info.map_type };
            return Err(MapError::Mismatch { map: map.name().into(), mismatch });
        }
        let overwrite = info.flags & flags::RB_OVERWRITE != 0;
        let ring = Ring::new(&map.fd, info.max_entries as usize, overwrite, how);
        let ring = ring.map_err(MapError::sys(&map, "map the memory of"))?;
        Ok(RingBuf { map, ring })
    }

    /// The next record, if there is one now. It is not copied, but for overwrite mode, where the kernel does not
    /// wait for readers.
    ///
    /// After `None` the descriptor becomes readable with the next record: an edge-triggered poller has to come
    /// to `None` before it waits.
    #[allow(clippy::should_implement_trait, reason = "it lends")]
    #[inline]
    pub fn next(&mut self) -> Option<Record<'_>> {
        let ready = self.ring.next_record()?;
        Some(Record { ring: &mut self.ring, ready })
    }

    /// Calls `each` with every record that is there now, and returns how many. Ends when the ring is empty, so a
    /// fast producer can keep it going.
    #[inline]
    pub fn consume(&mut self, each: impl FnMut(&[u8])) -> u64 {
        self.ring.drain(each)
    }

    /// Waits until there is something to read; false when the time was over first, or a signal came. Without a
    /// time it waits for ever.
    pub fn poll(&self, timeout: Option<Duration>) -> Result<bool, SysError> {
        wait_one(self.as_fd(), PollFlags::POLLIN, timeout)
    }

    /// How far producers and consumer are.
    pub fn positions(&self) -> Positions {
        Positions {
            producer: self.ring.producer() as u64,
            consumer: self.ring.consumer() as u64,
            size: self.ring.size() as u64,
            lost: self.ring.lost(),
        }
    }

    /// The map itself.
    pub fn map(&self) -> &Map {
        &self.map
    }
}

impl TryFrom<Map> for RingBuf {
    type Error = MapError;
    fn try_from(map: Map) -> Result<RingBuf, MapError> {
        RingBuf::new(map)
    }
}

impl AsFd for RingBuf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

impl AsRawFd for RingBuf {
    /// For event loops that take descriptors as numbers.
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
