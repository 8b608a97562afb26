//! Ring and perf buffers as streams, for tokio. The cargo feature `tokio`.
//!
//! Items are owned copies: a stream cannot lend. Who needs no copies polls the descriptor himself, with
//! `tokio::io::unix::AsyncFd` around a [`RingBuf`].

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::perf::{PerfBuffer, PerfRecord};
use super::ring::RingBuf;
use crate::maps::MapError;

/// The records of a ring buffer, as they come.
#[derive(Debug)]
pub struct RingStream(AsyncFd<RingBuf>);

impl RingStream {
    /// Needs to be called in a tokio runtime with I/O enabled.
    #[allow(deprecated, reason = "the descriptor stays the same, which is all that its successor asks for")]
    pub fn new(ring: RingBuf) -> std::io::Result<RingStream> {
        AsyncFd::with_interest(ring, Interest::READABLE).map(RingStream)
    }

    /// The ring buffer itself, for its positions.
    pub fn get_ref(&self) -> &RingBuf {
        self.0.get_ref()
    }
}

impl Stream for RingStream {
    type Item = std::io::Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(record) = this.0.get_mut().next() {
                return Poll::Ready(Some(Ok(record.to_vec())));
            }
            match this.0.poll_read_ready_mut(cx) {
                Poll::Ready(Ok(mut guard)) => guard.clear_ready(),
                Poll::Ready(Err(e)) => return Poll::Ready(Some(Err(e))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// An event of a perf buffer, with a copy of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "PerfEventOwned")]
pub enum PerfRecordOwned {
    /// What a program wrote.
    Sample {
        /// On which CPU.
        cpu: u32,
        /// The data.
        data: Vec<u8>,
    },
    /// Events that found no room.
    Lost {
        /// On which CPU.
        cpu: u32,
        /// How many.
        count: u64,
    },
    /// A record of the kernel's that is no event.
    Other {
        /// On which CPU.
        cpu: u32,
        /// Its number in `enum perf_event_type`.
        kind: u32,
    },
}

impl From<PerfRecord<'_>> for PerfRecordOwned {
    fn from(event: PerfRecord<'_>) -> PerfRecordOwned {
        match event {
            PerfRecord::Sample { cpu, data } => PerfRecordOwned::Sample { cpu, data: data.to_vec() },
            PerfRecord::Lost { cpu, count } => PerfRecordOwned::Lost { cpu, count },
            PerfRecord::Other { cpu, kind } => PerfRecordOwned::Other { cpu, kind },
        }
    }
}

/// The events of a perf buffer, as they come. CPUs that come online are found when an event wakes the stream, or by
/// [`PerfBuffer::rescan`].
#[derive(Debug)]
pub struct PerfStream(AsyncFd<PerfBuffer>);

impl PerfStream {
    /// Needs to be called in a tokio runtime with I/O enabled.
    #[allow(deprecated, reason = "the descriptor stays the same, which is all that its successor asks for")]
    pub fn new(buffer: PerfBuffer) -> std::io::Result<PerfStream> {
        AsyncFd::with_interest(buffer, Interest::READABLE).map(PerfStream)
    }

    /// The perf buffer itself, for its lost counts.
    pub fn get_ref(&self) -> &PerfBuffer {
        self.0.get_ref()
    }

    /// The perf buffer itself, to look for CPUs.
    pub fn get_mut(&mut self) -> &mut PerfBuffer {
        self.0.get_mut()
    }
}

impl Stream for PerfStream {
    type Item = Result<PerfRecordOwned, MapError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(event) = this.0.get_mut().next() {
                return Poll::Ready(Some(Ok(event.into())));
            }
            match this.0.poll_read_ready_mut(cx) {
                Poll::Ready(Ok(mut guard)) => {
                    guard.clear_ready();
                    drop(guard);
                    let buffer = this.0.get_mut();
                    // A look at the CPUs, and at what the inner poller knows; then into all buffers.
                    if let Err(e) = buffer.poll(Some(std::time::Duration::ZERO)) {
                        return Poll::Ready(Some(Err(e)));
                    }
                    buffer.mark_ready();
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Some(Err(this.0.get_ref().wait_error(e)))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
