//! Several ring buffers, waited for together.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::epoll::EpollFlags;

use super::poller::Poller;
use super::ring::RingBuf;
use crate::sys::SysError;

/// Which ring of a [`RingSet`], in the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingIx(pub usize);

/// Ring buffers that one thread reads.
///
/// ```no_run
/// use rawbpf::Map;
/// use rawbpf::events::{RingBuf, RingSet};
/// let mut rings = RingSet::new()?;
/// let opened = rings.add(RingBuf::new(Map::open_pin("/sys/fs/bpf/opened")?)?)?;
/// let closed = rings.add(RingBuf::new(Map::open_pin("/sys/fs/bpf/closed")?)?)?;
/// loop {
///     rings.poll(None, |ring, record| {
///         println!("{} bytes of what was {}", record.len(), if ring == opened { "opened" } else { "closed" });
///     })?;
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RingSet {
    poller: Poller,
    rings: Vec<RingBuf>,
}

impl RingSet {
    /// An empty set.
    pub fn new() -> Result<RingSet, SysError> {
        Ok(RingSet { poller: Poller::new()?, rings: Vec::new() })
    }

    /// Adds a ring.
    pub fn add(&mut self, ring: RingBuf) -> Result<RingIx, SysError> {
        let ix = self.rings.len();
        self.poller.add(&ring, ix as u64, EpollFlags::EPOLLIN)?;
        self.rings.push(ring);
        Ok(RingIx(ix))
    }

    /// The rings, in the order in which they were added.
    pub fn rings(&self) -> &[RingBuf] {
        &self.rings
    }

    /// One of the rings, to be read by itself.
    pub fn ring_mut(&mut self, ix: RingIx) -> Option<&mut RingBuf> {
        self.rings.get_mut(ix.0)
    }

    /// Calls `each` with every record that is there now in any ring, and returns how many, without waiting.
    pub fn consume(&mut self, mut each: impl FnMut(RingIx, &[u8])) -> u64 {
        let each = &mut each;
        self.rings
            .iter_mut()
            .enumerate()
            .map(|(ix, ring)| ring.consume(|record| each(RingIx(ix), record)))
            .sum()
    }

    /// Waits until there is a record in some ring, or the time is over, and calls `each` with all records of the
    /// rings that have some. Returns how many.
    pub fn poll(
        &mut self,
        timeout: Option<Duration>,
        mut each: impl FnMut(RingIx, &[u8]),
    ) -> Result<u64, SysError> {
        let mut count = 0;
        for data in self.poller.wait(timeout)? {
            let ix = data as usize;
            if let Some(ring) = self.rings.get_mut(ix) {
                count += ring.consume(|record| each(RingIx(ix), record));
            }
        }
        Ok(count)
    }
}

impl AsFd for RingSet {
    /// Readable when one of the rings is.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}
