//! A thread that reads the next batch of a map while the last one is looked at.
//!
//! Most of the time of a walk over a large hash goes by in the kernel, which waits for memory at each element. What is
//! done with the elements can be done meanwhile:
//!
//! ```text
//!   thread   [  batch 2  ][  batch 3  ][  batch 4  ] ...
//!                    \           \           \          full: a batch, and what the kernel said of it
//!   walk     [shown]  [shown]     [shown]     [shown] ...
//!                    /           /           /          empty: the buffers of the batch before
//! ```
//!
//! Two pairs of buffers go round, so the memory is that of two batches. The position in the map stays with the thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use crate::sys::map::MapFd;
use crate::sys::{Batch, Errno, SysError};
use crate::uapi::Cmd;

/// Whether there is another batch after this one, or why it could not be read.
pub(super) type Answer = Result<bool, SysError>;

/// Who reads the batches of a walk.
#[derive(Debug)]
pub(super) enum Reader {
    /// The walk itself, when it needs one.
    Walk,
    /// The walk reads the first. If there are more, a thread does the others.
    Later,
    /// A thread.
    Thread(Ahead),
}

impl Reader {
    /// The next batch, in place of the last one.
    pub(super) fn next(&mut self, map: &Arc<MapFd>, batch: &mut Batch) -> Answer {
        if let Reader::Thread(thread) = self {
            return thread.next(batch);
        }
        let answer = read(map, batch);
        if matches!((&self, answer), (Reader::Later, Ok(true))) {
            *self = Ahead::start(map, batch).map_or(Reader::Walk, Reader::Thread);
        }
        answer
    }
}

/// No bucket is longer.
const MOST_AT_A_TIME: usize = 1 << 20;

/// Reads a batch, more at a time if a bucket has more elements than fit.
fn read(map: &MapFd, batch: &mut Batch) -> Answer {
    loop {
        match map.lookup_batch(batch, false) {
            Err(e) if e.errno == Errno::ENOSPC && batch.max < MOST_AT_A_TIME => batch.max *= 4,
            answer => return answer,
        }
    }
}

/// The walk's side of the thread. The thread ends after the last batch, or when this is dropped.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Buffers for the thread. `None` tells it to end.
    empty: Option<Sender<Batch>>,
    full: Receiver<(Batch, Answer)>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Begins to read after `batch`. `None` if the machine gives no thread: then the walk reads, as it would without.
    fn start(map: &Arc<MapFd>, batch: &Batch) -> Option<Ahead> {
        let (empty, buffers) = channel::<Batch>();
        let (done, full) = channel();
        let (map, mut reader) = (Arc::clone(map), batch.after());
        let work = move || {
            loop {
                let answer = read(&map, &mut reader);
                let Ok(mut batch) = buffers.recv() else { return };
                batch.swap(&mut reader);
                if done.send((batch, answer)).is_err() || answer != Ok(true) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("read-ahead".into()).spawn(work).ok()?;
        Some(Ahead { empty: Some(empty), full, thread: Some(thread) })
    }

    fn next(&mut self, batch: &mut Batch) -> Answer {
        let gone = SysError::bpf(Cmd::MapLookupBatch, Errno::EIO);
        let empty = self.empty.as_ref().ok_or(gone)?;
        empty.send(std::mem::take(batch)).map_err(|_| gone)?;
        let (read, answer) = self.full.recv().map_err(|_| gone)?;
        *batch = read;
        answer
    }
}

impl Drop for Ahead {
    /// Waits for the call that is under way: milliseconds.
    fn drop(&mut self) {
        self.empty = None;
        drop(self.thread.take().map(JoinHandle::join));
    }
}
