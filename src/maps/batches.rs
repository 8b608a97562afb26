//! Batches of a map, as the threads that read ahead and the walk itself read them.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::sys::map::MapFd;
use crate::sys::{Batch, Errno, SysError};
use crate::uapi::MapType;

/// No bucket is longer.
const MOST_AT_A_TIME: usize = 1 << 20;

/// Reads a batch, more at a time if a bucket has more elements than fit. False after the last.
pub(super) fn read(map: &MapFd, batch: &mut Batch) -> Result<bool, SysError> {
    loop {
        match map.lookup_batch(batch, false) {
            Err(e) if e.errno == Errno::ENOSPC && batch.max < MOST_AT_A_TIME => batch.max *= 4,
            answer => return answer,
        }
    }
}

/// What a thread reads, and where its batches go.
pub(super) struct Part {
    pub(super) map: Arc<MapFd>,
    pub(super) batch: Batch,
    pub(super) send: SyncSender<Result<Batch, SysError>>,
}

impl Part {
    /// Reads a batch: whether there is another. `None` if it cannot be read, which the walk is told.
    pub(super) fn read(&mut self) -> Option<bool> {
        read(&self.map, &mut self.batch).map_err(|e| self.send.send(Err(e))).ok()
    }

    /// Hands the batch over; false if nobody waits for it any more.
    pub(super) fn show(&mut self) -> bool {
        self.send.send(Ok(self.batch.take())).is_ok()
    }

    /// Reads to the end of the map. True if it got there.
    pub(super) fn rest(mut self) -> bool {
        loop {
            match self.read() {
                Some(more) if self.show() => {
                    if !more {
                        return true;
                    }
                }
                _ => return false,
            }
        }
    }
}

/// True for the types that batches read bucket by bucket.
pub(super) fn is_by_bucket(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::Hash | MapType::LruHash | MapType::PercpuHash | MapType::LruPercpuHash | MapType::HashOfMaps
    )
}
