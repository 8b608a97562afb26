//! Threads that read the next batches of a map while the last one is looked at.
//!
//! Most of the time of a walk over a large hash goes by in the kernel, which waits for memory at each element. What is
//! done with the elements can be done meanwhile:
//!
//! ```text
//!   thread   [  batch 2  ][  batch 3  ][  batch 4  ] ...
//!                    \           \           \          a channel with room for one
//!   walk     [shown]  [shown]     [shown]     [shown] ...
//! ```
//!
//! And since it is memory that is waited for, two threads read a hash almost twice as fast as one: see
//! [`split_walk`](super::split_walk). The memory is that of a few batches, however large the map is.

use super::batches::{Part, read};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use super::{Map, split_walk};
use crate::sys::{Batch, SysError};

/// After the last batch: whether the walk was complete. `None` if there may be another batch.
pub(super) type End = Option<bool>;

/// Who reads the batches of a walk.
#[derive(Debug)]
pub(super) enum Reader {
    /// The walk itself, when it needs one.
    Walk,
    /// The walk reads the first. If there are more, threads do the others.
    Later,
    /// Threads.
    Threads(Ahead),
}

impl Reader {
    /// The next batch, in place of the last one.
    pub(super) fn next(&mut self, map: &Map, batch: &mut Batch) -> Result<End, SysError> {
        if let Reader::Threads(ahead) = self {
            return ahead.next(batch);
        }
        let more = read(&map.fd, batch)?;
        if more && matches!(self, Reader::Later) {
            *self = Ahead::start(map, batch).map_or(Reader::Walk, Reader::Threads);
        }
        Ok((!more).then_some(true))
    }
}

/// The walk's side of the threads. They end after their last batch, or when this is dropped.
#[derive(Debug)]
pub(super) struct Ahead {
    /// `None` tells the threads to end.
    full: Option<Receiver<Result<Batch, SysError>>>,
    /// Each says in the end whether it has read all of its part.
    threads: Vec<JoinHandle<bool>>,
}

impl Ahead {
    /// Begins to read after `batch`, the first. `None` where no thread can run beside this one: then the walk reads.
    fn start(map: &Map, batch: &Batch) -> Option<Ahead> {
        thread::available_parallelism().ok().filter(|cpus| cpus.get() > 1)?;
        let (send, full) = mpsc::sync_channel(1);
        let part = |batch| Part { map: Arc::clone(&map.fd), batch, send: send.clone() };
        let mut ahead = Ahead { full: Some(full), threads: Vec::new() };
        let first = part(batch.after());
        match split_walk::middle(map.info(), batch) {
            None => ahead.spawn(move || first.rest())?,
            Some((middle, second)) => {
                let (tell, seam) = mpsc::channel();
                let second = part(second);
                ahead.spawn(move || split_walk::lower(first, middle, &seam))?;
                // Without a thread for it, the first goes on to the end.
                let _ = ahead.spawn(move || split_walk::upper(second, middle, tell));
            }
        }
        Some(ahead)
    }

    fn spawn(&mut self, work: impl FnOnce() -> bool + Send + 'static) -> Option<()> {
        self.threads.push(thread::Builder::new().name("read-ahead".into()).spawn(work).ok()?);
        Some(())
    }

    fn next(&mut self, batch: &mut Batch) -> Result<End, SysError> {
        match self.full.as_ref().and_then(|full| full.recv().ok()) {
            Some(read) => {
                *batch = read?;
                Ok(None)
            }
            None => {
                *batch = Batch::default();
                Ok(Some(self.join()))
            }
        }
    }

    /// Waits for the threads; true if each has read its part.
    fn join(&mut self) -> bool {
        self.full = None;
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        ended.iter().all(|whole| matches!(whole, Ok(true)))
    }
}

impl Drop for Ahead {
    /// Waits for the calls that are under way: milliseconds.
    fn drop(&mut self) {
        self.join();
    }
}
