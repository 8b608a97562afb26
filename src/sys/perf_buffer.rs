//! The memory of one CPU's perf event buffer, into which programs write samples.
//!
//! ```text
//!   page 0        struct perf_event_mmap_page: data_head at 1024 (the kernel's), data_tail at 1032 (ours)
//!   pages 1..     records: { u32 type, u16 misc, u16 size } and size - 8 bytes; they wrap in the middle
//! ```
//!
//! The kernel writes between head and tail + size and nowhere else. When a record does not fit it is counted, and
//! the count is written as a record of its own once there is room.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

use super::errno::{Errno, SysError};
use super::fd;
use super::mmap::SharedMapping;
use super::perf::perf_enable;
use super::ring::page_size;

const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
const HEADER: usize = 8;
const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;

/// When a reader is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// After this many records; 1 for each.
    Events(u32),
    /// Once this many bytes wait.
    Bytes(u32),
}

/// One CPU's buffer.
#[derive(Debug)]
pub struct PerfRing {
    event: OwnedFd,
    shared: SharedMapping,
    page: usize,
    size: usize,
    /// Up to here everything has been read.
    at: u64,
    head: u64,
    /// The last record, in one piece.
    copy: Vec<u8>,
    /// For how long the event had been running when it was last asked, in nanoseconds.
    ran: u64,
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawPerfRecord {
    /// Data that a program wrote.
    Sample {
        /// Where it begins in the record.
        start: usize,
        /// Bytes of it.
        len: usize,
    },
    /// So many records did not fit.
    Lost(u64),
    /// Something else, by its number in `enum perf_event_type`.
    Other(u32),
}

/// `struct perf_event_attr`, its first version.
#[repr(C)]
struct EventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup: u32,
    bp_type: u32,
    config1: u64,
}

/// Opens the software event of a CPU that `bpf_perf_event_output` writes to. `ENODEV` if the CPU is offline.
fn open_event(cpu: u32, wakeup: Wakeup) -> Result<OwnedFd, SysError> {
    const SOFTWARE: u32 = 1;
    const BPF_OUTPUT: u64 = 10;
    const SAMPLE_RAW: u64 = 1 << 10;
    /// `PERF_FORMAT_TOTAL_TIME_RUNNING`: what [`PerfRing::is_running`] reads.
    const TIME_RUNNING: u64 = 1 << 1;
    /// The bit field `watermark`; bit fields are laid out from the other end on big-endian machines.
    const WATERMARK: u64 = if cfg!(target_endian = "big") { 1 << (63 - 14) } else { 1 << 14 };
    let (flags, number) = match wakeup {
        Wakeup::Events(n) => (0, n.max(1)),
        Wakeup::Bytes(n) => (WATERMARK, n.max(1)),
    };
    let mut attr = EventAttr {
        kind: SOFTWARE,
        size: size_of::<EventAttr>() as u32,
        config: BPF_OUTPUT,
        sample_period: 1,
        sample_type: SAMPLE_RAW,
        read_format: TIME_RUNNING,
        flags,
        wakeup: number,
        bp_type: 0,
        config1: 0,
    };
    let fail = |errno| SysError::other("perf_event_open", errno);
    /// `PERF_FLAG_FD_CLOEXEC`
    const CLOEXEC: libc::c_ulong = 1 << 3;
    let (any_process, no_group): (libc::pid_t, libc::c_int) = (-1, -1);
    // SAFETY: `attr` is a live repr(C) struct that says its own size, and may be written: a kernel that knows less
    // writes its own size there. Test: `live_maps::stress::a_perf_buffer_loses_nothing_unseen`.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_mut(&mut attr),
            any_process,
            cpu,
            no_group,
            CLOEXEC,
        )
    };
    if ret < 0 {
        return Err(fail(Errno::last()));
    }
    // SAFETY: a descriptor that the kernel just made is ours alone. Test:
    // `live_maps::stress::a_perf_buffer_loses_nothing_unseen`.
    unsafe { fd::own(ret as RawFd) }.map_err(fail)
}

impl PerfRing {
    /// Opens the buffer of a CPU, with `pages` pages (a power of two) for records. `ENODEV` if it is offline.
    pub fn new(cpu: u32, pages: usize, wakeup: Wakeup) -> Result<PerfRing, SysError> {
        let page = page_size();
        let size = pages.checked_mul(page).filter(|size| size.is_power_of_two());
        let size = size.ok_or(SysError::other("mmap", Errno::EINVAL))?;
        let event = open_event(cpu, wakeup)?;
        let shared = SharedMapping::new(&event, 0, page + size, true)?;
        let ring = PerfRing { event, shared, page, size, at: 0, head: 0, copy: Vec::new(), ran: 0 };
        perf_enable(&ring.event)?;
        Ok(ring)
    }

    /// True if the event has run since this was asked last. When its CPU goes offline the kernel stops an event
    /// for ever, without a word, also when the CPU comes back.
    pub fn is_running(&mut self) -> bool {
        let mut answer = [0; 16]; // the count, and the time
        let len = nix::unistd::read(&self.event, &mut answer).unwrap_or(0);
        let [.., a, b, c, d, e, f, g, h] = answer;
        let ran = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        let runs = len == answer.len() && ran != self.ran;
        self.ran = ran;
        runs
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> u64 {
        self.load_head().wrapping_sub(self.at)
    }

    /// Bytes that are taken: they wait to be read, or have been read just now.
    pub fn used(&self) -> u64 {
        self.load_head().wrapping_sub(self.told())
    }

    /// Up to where the kernel has its room back.
    fn told(&self) -> u64 {
        let tail = self.shared.atomic_u64(DATA_TAIL);
        tail.map_or(0, |tail| tail.load(Ordering::Relaxed))
    }

    /// Bytes for records.
    pub fn size(&self) -> usize {
        self.size
    }

    fn load_head(&self) -> u64 {
        let loaded = self.shared.atomic_u64(DATA_HEAD);
        loaded.map_or(self.at, |head| head.load(Ordering::Acquire))
    }

    /// Goes past the last record and finds the next. `None` if there is none now; then the kernel has all the
    /// room again.
    pub fn next_record(&mut self) -> Option<RawPerfRecord> {
        if self.at == self.head {
            self.head = self.load_head();
            if self.at == self.head {
                return None;
            }
        }
        let header = self.number(0, 4) as u32;
        let size = self.number(6, 2) as usize;
        if size < HEADER || size as u64 > self.head.wrapping_sub(self.at) {
            // No kernel writes that. What is between is given up.
            self.at = self.head;
            self.tell();
            return Some(RawPerfRecord::Other(u32::MAX));
        }
        self.fetch(size);
        self.at = self.at.wrapping_add(size as u64);
        // The record has been copied, so its room can go back; a quarter at a time.
        if self.at == self.head || self.at.wrapping_sub(self.told()) >= self.size as u64 / 4 {
            self.tell();
        }
        Some(self.parse(header, size))
    }

    fn parse(&self, kind: u32, size: usize) -> RawPerfRecord {
        let u32_at =
            |at: usize| self.copy.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
        let u64_at =
            |at: usize| self.copy.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_ne_bytes);
        match kind {
            RECORD_SAMPLE => {
                let start = HEADER + 4;
                let len = u32_at(HEADER).unwrap_or(0) as usize;
                RawPerfRecord::Sample { start, len: len.min(size.saturating_sub(start)) }
            }
            // The id of the event, then the count.
            RECORD_LOST => RawPerfRecord::Lost(u64_at(HEADER + 8).unwrap_or(0)),
            other => RawPerfRecord::Other(other),
        }
    }

    /// The data of the sample that [`PerfRing::next_record`] returned last.
    pub fn data(&self, start: usize, len: usize) -> &[u8] {
        start.checked_add(len).and_then(|end| self.copy.get(start..end)).unwrap_or_default()
    }

    fn tell(&self) {
        if let Some(tail) = self.shared.atomic_u64(DATA_TAIL) {
            tail.store(self.at, Ordering::Release);
        }
    }

    /// Copies the record at the tail out, in one piece.
    fn fetch(&mut self, size: usize) {
        let mut copy = std::mem::take(&mut self.copy);
        copy.resize(size, 0);
        self.copy_out(0, &mut copy);
        self.copy = copy;
    }

    fn copy_out(&self, from: usize, to: &mut [u8]) {
        let offset = (self.at as usize).wrapping_add(from) & (self.size - 1);
        let first = to.len().min(self.size - offset);
        let (head, tail) = to.split_at_mut(first);
        self.shared.copy_out(self.page + offset, head);
        self.shared.copy_out(self.page, tail);
    }

    /// A number of the header.
    fn number(&self, from: usize, len: usize) -> u64 {
        let mut bytes = [0; 8];
        let place = if cfg!(target_endian = "big") { &mut bytes[8 - len..] } else { &mut bytes[..len] };
        self.copy_out(from, place);
        u64::from_ne_bytes(bytes)
    }
}

impl AsFd for PerfRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
