//! Perf buffers: one ring for each CPU, behind a map of type perf_event_array. Linux 4.4.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use super::poller::Poller;
use crate::maps::{Map, MapError, Mismatch, Plain as _};
use crate::sys::perf_buffer::{PerfRing, RawPerfRecord, Wakeup};
use crate::sys::{self, Errno};
use crate::uapi::MapType;

/// How a [`PerfBuffer`] is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerfOptions {
    /// Pages of memory for each CPU, a power of two.
    pub pages: usize,
    /// When a reader is woken. Fewer wake-ups are cheaper, and later.
    pub wakeup: Wakeup,
    /// How often to look for CPUs that came or went; never, if `None`.
    pub rescan: Option<Duration>,
}

impl Default for PerfOptions {
    /// 64 pages for each CPU, a wake-up for each event, a look at the CPUs once a second.
    fn default() -> PerfOptions {
        PerfOptions { pages: 64, wakeup: Wakeup::Events(1), rescan: Some(Duration::from_secs(1)) }
    }
}

/// What a CPU's buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "PerfEvent")]
pub enum PerfRecord<'b> {
    /// What a program wrote with `bpf_perf_event_output`. The kernel fills the data up so that it ends 4 bytes
    /// before a multiple of 8.
    Sample {
        /// On which CPU.
        cpu: u32,
        /// The data.
        data: &'b [u8],
    },
    /// Events that found no room.
    Lost {
        /// On which CPU.
        cpu: u32,
        /// How many.
        count: u64,
    },
    /// A record of the kernel's that is no event (`PERF_RECORD_THROTTLE` ...), by its number.
    Other {
        /// On which CPU.
        cpu: u32,
        /// Its number in `enum perf_event_type`.
        kind: u32,
    },
}

/// The reader of a perf_event_array: opens a buffer on each CPU, and follows CPUs that come and go.
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_PERF_EVENT_ARRAY")]
pub struct PerfBuffer {
    map: Map,
    options: PerfOptions,
    poller: Poller,
    rings: BTreeMap<u32, PerfRing>,
    /// CPUs whose buffers have something, as far as is known.
    ready: VecDeque<u32>,
    scanned: Instant,
    lost: u64,
}

impl PerfBuffer {
    /// Opens the buffers of all CPUs that are online and puts them into the map.
    ///
    /// # Errors
    /// The map is of another type; a buffer cannot be opened (`EPERM` without `CAP_PERFMON`, or when the pages
    /// exceed `kernel.perf_event_mlock_kb`).
    pub fn new(map: Map, options: PerfOptions) -> Result<PerfBuffer, MapError> {
        if map.info().map_type != MapType::PerfEventArray {
            let mismatch =
                Mismatch::Type { expected: &[MapType::PerfEventArray], found: map.info().map_type };
            return Err(MapError::Mismatch { map: map.name().into(), mismatch });
        }
        let poller = Poller::new().map_err(MapError::sys(&map, "wait for"))?;
        let (rings, ready, scanned) = (BTreeMap::new(), VecDeque::new(), Instant::now());
        let mut buffer = PerfBuffer { map, options, poller, rings, ready, scanned, lost: 0 };
        buffer.rescan()?;
        Ok(buffer)
    }

    /// The CPUs that are read.
    pub fn cpus(&self) -> impl Iterator<Item = u32> {
        self.rings.keys().copied()
    }

    /// How many events were lost so far, on all CPUs, as far as the kernel has said so. It says so with the next
    /// event that finds room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many bytes of each CPU's buffer are taken, and how many it holds.
    pub fn fill(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        self.rings.iter().map(|(cpu, ring)| (*cpu, ring.used(), ring.size() as u64))
    }

    /// Opens buffers on CPUs that came online, and closes those of CPUs that went (and perhaps came back: the
    /// kernel stops a buffer for ever), once they are read to their end. [`PerfBuffer::poll`] does it by itself, as often as the options say. Returns true if something
    /// changed.
    pub fn rescan(&mut self) -> Result<bool, MapError> {
        self.scanned = Instant::now();
        let online = sys::cpus_to_try().map_err(MapError::sys(&self.map, "find the CPUs for"))?;
        let dead = |(cpu, ring): (&u32, &mut PerfRing)| {
            (!online.contains(cpu) || !ring.is_running()).then_some(*cpu)
        };
        let dead: Vec<u32> = self.rings.iter_mut().filter_map(dead).collect();
        let mut changed = self.close(&dead);
        let most = self.map.info().max_entries;
        for cpu in online.into_iter().filter(|cpu| *cpu < most) {
            if !self.rings.contains_key(&cpu) {
                changed |= self.open(cpu)?;
            }
        }
        Ok(changed)
    }

    /// Opens the buffer of a CPU; false if the CPU has gone meanwhile.
    fn open(&mut self, cpu: u32) -> Result<bool, MapError> {
        let fail = |doing| MapError::sys(&self.map, doing);
        let ring = match PerfRing::new(cpu, self.options.pages, self.options.wakeup) {
            Err(e) if e.errno == Errno::ENODEV => return Ok(false),
            other => other.map_err(fail("open a CPU's buffer for"))?,
        };
        let fd = ring.as_fd().as_raw_fd();
        self.map.set(cpu.bytes(), fd.bytes(), 0).map_err(fail("put a CPU's buffer into"))?;
        self.poller.add(&ring, cpu.into(), EpollFlags::EPOLLIN).map_err(fail("wait for"))?;
        self.rings.insert(cpu, ring);
        Ok(true)
    }

    /// The next event that is there now, if there is one. Events of one CPU come in their order; those of
    /// several do not.
    #[allow(clippy::should_implement_trait, reason = "it lends")]
    pub fn next(&mut self) -> Option<PerfRecord<'_>> {
        let (cpu, record) = loop {
            let cpu = *self.ready.front()?;
            match self.rings.get_mut(&cpu).and_then(PerfRing::next_record) {
                Some(record) => break (cpu, record),
                None => self.ready.pop_front(),
            };
        };
        Some(match record {
            RawPerfRecord::Sample { start, len } => {
                let data = self.rings.get(&cpu).map(|ring| ring.data(start, len)).unwrap_or_default();
                PerfRecord::Sample { cpu, data }
            }
            RawPerfRecord::Lost(count) => {
                self.lost = self.lost.saturating_add(count);
                PerfRecord::Lost { cpu, count }
            }
            RawPerfRecord::Other(kind) => PerfRecord::Other { cpu, kind },
        })
    }

    /// Calls `each` with every event that is there now on any CPU, and returns how many samples there were,
    /// without waiting and whether or not a wake-up was due.
    pub fn consume(&mut self, mut each: impl FnMut(PerfRecord<'_>)) -> u64 {
        self.ready = self.rings.keys().copied().collect();
        let mut count = 0;
        while let Some(event) = self.next() {
            count += u64::from(matches!(event, PerfRecord::Sample { .. }));
            each(event);
        }
        count
    }

    /// Waits until there is something to read on some CPU; false when the time was over first, or a signal came.
    /// Looks for CPUs that came or went meanwhile.
    pub fn poll(&mut self, timeout: Option<Duration>) -> Result<bool, MapError> {
        let until = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let scan = self.options.rescan.map(|every| every.saturating_sub(self.scanned.elapsed()));
            let unread = self.has_unread().then_some(Duration::ZERO);
            let wait = [left, scan, unread].into_iter().flatten().min();
            let woken = self.poller.wait(wait).map_err(MapError::sys(&self.map, "wait for"))?;
            if !woken.is_empty() {
                self.mark_ready();
            }
            if self.options.rescan.is_some_and(|every| self.scanned.elapsed() >= every) {
                self.rescan()?;
            }
            if self.has_unread() {
                return Ok(true);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
        }
    }

    /// True if a buffer that is known to be ready has not been read to its end.
    fn has_unread(&mut self) -> bool {
        while let Some(cpu) = self.ready.front() {
            if self.rings.get(cpu).is_some_and(|ring| ring.waiting() > 0) {
                return true;
            }
            self.ready.pop_front();
        }
        false
    }

    /// Looks into all buffers for something to read. The kernel says of a buffer only once that it is ready, and
    /// the one who hears it may be a poller around this one's.
    pub(super) fn mark_ready(&mut self) {
        for (cpu, ring) in &self.rings {
            if ring.waiting() > 0 && !self.ready.contains(cpu) {
                self.ready.push_back(*cpu);
            }
        }
    }

    /// Closes buffers that get nothing any more, once they are read to their end; true if one was closed.
    fn close(&mut self, cpus: &[u32]) -> bool {
        let mut closed = false;
        for cpu in cpus {
            if self.rings.get(cpu).is_some_and(|ring| ring.waiting() == 0) {
                if let Some(ring) = self.rings.remove(cpu) {
                    self.poller.remove(&ring);
                    closed = true;
                }
            }
        }
        closed
    }

    /// The map itself.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// A failure of the runtime to wait for this map.
    #[cfg(feature = "tokio")]
    pub(super) fn wait_error(&self, e: std::io::Error) -> MapError {
        MapError::sys(&self.map, "wait for")(sys::SysError::other("epoll_wait", e))
    }
}

impl AsFd for PerfBuffer {
    /// Readable when some CPU's buffer is.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl AsRawFd for PerfBuffer {
    /// For event loops that take descriptors as numbers.
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
