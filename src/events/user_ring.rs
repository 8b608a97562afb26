//! User ring buffers: from this process to programs. Linux 6.1.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::poller::wait_one;
use crate::maps::{Map, MapError, Mismatch, Plain};
use crate::sys::SysError;
use crate::sys::user_ring::{Reserved, UserRing};
use crate::uapi::MapType;

/// The producer of a `BPF_MAP_TYPE_USER_RINGBUF`. A program takes records out with `bpf_user_ringbuf_drain`.
///
/// ```no_run
/// use rawbpf::Map;
/// use rawbpf::events::UserRingBuf;
/// let mut orders = UserRingBuf::new(Map::open_pin("/sys/fs/bpf/orders")?)?;
/// if let Some(mut slot) = orders.reserve(8)? {
///     slot.copy_from_slice(&7u64.to_ne_bytes());
///     slot.commit();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_USER_RINGBUF")]
pub struct UserRingBuf {
    map: Map,
    ring: UserRing,
}

/// A record that is being written. It is discarded unless it is committed; until then programs see nothing of it or
/// of what comes after it.
#[derive(Debug)]
#[must_use = "a record that is not committed is discarded"]
#[doc(alias = "Slot")]
pub struct Reservation<'r>(Reserved<'r>);

impl Reservation<'_> {
    /// Gives the record to the programs.
    pub fn commit(self) {
        self.0.commit();
    }

    /// Marks the record as void; its room is used up until a program has skipped it.
    pub fn discard(self) {
        drop(self);
    }
}

impl Deref for Reservation<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.data()
    }
}

impl DerefMut for Reservation<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.data_mut()
    }
}

impl UserRingBuf {
    /// Maps a user ring buffer. There must be one producer: a second in this process is refused.
    ///
    /// # Errors
    /// The map is of another type, or cannot be mapped to be written; `EBUSY` if this process has a producer of it.
    pub fn new(map: Map) -> Result<UserRingBuf, MapError> {
        let info = map.info();
        if info.map_type != MapType::UserRingbuf {
            let mismatch = Mismatch::Type { expected: &[MapType::UserRingbuf], found: info.map_type };
            return Err(MapError::Mismatch { map: map.name().into(), mismatch });
        }
        let ring = UserRing::new(&map.fd, info.max_entries as usize);
        let ring = ring.map_err(MapError::sys(&map, "map the memory of"))?;
        Ok(UserRingBuf { map, ring })
    }

    /// Reserves a record of `len` bytes; `None` if there is no room now.
    ///
    /// # Errors
    /// `E2BIG` if there never will be room for so many bytes.
    pub fn reserve(&mut self, len: usize) -> Result<Option<Reservation<'_>>, SysError> {
        Ok(self.ring.reserve(len)?.map(Reservation))
    }

    /// Reserves a record of `len` bytes, and waits for room until the time is over (`None` then); without a time
    /// for ever. It is a program that makes room, so something has to run it.
    pub fn reserve_wait(
        &mut self,
        len: usize,
        timeout: Option<Duration>,
    ) -> Result<Option<Reservation<'_>>, SysError> {
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        while !self.ring.has_room(len)? {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if timeout.is_some() && left.is_none_or(|left| left.is_zero()) {
                return Ok(None);
            }
            wait_one(self.map.as_fd(), PollFlags::POLLOUT, left)?;
        }
        self.reserve(len)
    }

    /// Writes a whole record; false if there is no room now.
    pub fn push<T: Plain>(&mut self, value: &T) -> Result<bool, SysError> {
        match self.reserve(size_of::<T>())? {
            Some(mut slot) => {
                slot.copy_from_slice(value.bytes());
                slot.commit();
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Bytes that are reserved or wait for a program, and bytes that the ring holds.
    pub fn fill(&self) -> (usize, usize) {
        (self.ring.used(), self.ring.size())
    }

    /// The map itself.
    pub fn map(&self) -> &Map {
        &self.map
    }
}

impl TryFrom<Map> for UserRingBuf {
    type Error = MapError;
    fn try_from(map: Map) -> Result<UserRingBuf, MapError> {
        UserRingBuf::new(map)
    }
}

impl AsFd for UserRingBuf {
    /// Writable when there is room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}
