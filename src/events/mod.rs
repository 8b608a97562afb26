//! Events: what programs say while they run.
//!
//! A map is asked; an event comes by itself. There are five channels, and they differ in what becomes of an event
//! that finds no room, which is the first thing to know of any of them:
//!
//! ```text
//!   channel              memory                 order            no room           read by
//!   ring buffer   5.8    one ring for all CPUs  as reserved      the program is    RingBuf, RingSet
//!                                                                told, and nobody
//!                                                                else
//!     overwrite   6.19                                           the oldest goes;  RingBuf
//!                                                                bytes are counted
//!   perf buffer   4.4    one ring for each CPU  within a CPU     events are        PerfBuffer
//!                                                                counted
//!   user ring     6.1    one ring               as reserved      the producer      (programs)
//!   buffer                                                       waits             written by UserRingBuf
//!   trace_pipe    4.1    the kernel's trace     within a CPU     the oldest goes   TracePipe
//!   streams       6.17   100 KiB a program      as written       the program is    ProgStream
//!                                                                told
//! ```
//!
//! Rings are memory that the kernel and this process share: an event is read where the program wrote it, without
//! a system call and without a copy. Waiting is up to the caller: every channel is a descriptor (`AsFd`) that
//! becomes readable, so it fits into any poll, epoll or event loop; `poll` waits by itself; and with the cargo
//! feature `tokio` ring and perf buffers are a [`Stream`](https://docs.rs/futures-core).
//!
//! ```no_run
//! use rawbpf::Map;
//! use rawbpf::events::RingBuf;
//! use std::time::Duration;
//! let mut events = RingBuf::new(Map::open_pin("/sys/fs/bpf/events")?)?;
//! loop {
//!     while let Some(record) = events.next() {
//!         println!("{} bytes", record.len());
//!     }
//!     events.poll(Some(Duration::from_secs(1)))?;
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod perf;
mod poller;
mod program;
mod ring;
mod ring_watch;
mod set;
#[cfg(feature = "tokio")]
mod stream;
mod trace;
mod trace_line;
mod trace_stack;
mod user_ring;

pub use crate::sys::perf_buffer::Wakeup;
pub use perf::{PerfBuffer, PerfOptions, PerfRecord};
pub use program::{ProgStream, StreamKind};
pub use ring::{Positions, Record, RingBuf};
pub use ring_watch::{RingLevel, RingWatch};
pub use set::{RingIx, RingSet};
#[cfg(feature = "tokio")]
pub use stream::{PerfRecordOwned, PerfStream, RingStream};
pub use trace::{TraceError, TracePipe};
pub use trace_line::{TraceEvent, TracedProgram};
pub use user_ring::{Reservation, UserRingBuf};
