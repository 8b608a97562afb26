//! One hash read by two threads.
//!
//! A batch of a hash ends between two buckets, and the position that the kernel gives back is the number of the next one, as
//! a `u32` (`__htab_map_lookup_and_delete_batch` in kernel/bpf/hashtab.c, since the call exists). There are as many buckets as
//! elements are allowed, rounded up to a power of two. So a second reader can begin in the middle:
//!
//! ```text
//!   bucket    0          first batch       middle                                 the last
//!   walk      |-- batch --|
//!   lower                 |-- batch --|-- batch --|
//!   upper                                  |-- batch --|-- batch --| ... |-- batch --|
//!                                          |seam|    `until`
//! ```
//!
//! The last batch of the lower thread reaches over the middle. What is in the seam was read by both; the upper thread says which
//! keys its first batch had, and the lower one leaves these out. What was written into the seam between the two reads it shows:
//! the upper thread has passed there.
//!
//! The position is opaque by the kernel's interface, so nothing is taken for granted: if the first positions are not what
//! they should be, the upper thread shows nothing and the lower one goes on to the end.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender};

use super::MapInfo;
use super::batches::{Part, is_by_bucket, read};
use crate::sys::Batch;

/// What the upper thread's first batch had.
pub(super) struct Seam {
    keys: Vec<u8>,
    /// The bucket after its last.
    until: u32,
}

/// The bucket in the middle of a hash and a batch that begins there, if it is worth it: `first`, the first batch of
/// the map, has read less than an eighth of it.
pub(super) fn middle(info: &MapInfo, first: &Batch) -> Option<(u32, Batch)> {
    let buckets = info.max_entries.checked_next_power_of_two()?;
    let small = first.bucket().is_some_and(|at| 0 < at && at < buckets / 8);
    let middle = buckets / 2;
    (is_by_bucket(info.map_type) && small).then(|| Some((middle, first.at_bucket(middle)?)))?
}

/// Reads from the middle to the end. True if it got there, or has shown nothing and told nothing.
pub(super) fn upper(mut part: Part, middle: u32, tell: Sender<Seam>) -> bool {
    let Ok(more) = read(&part.map, &mut part.batch) else { return true };
    let Some(until) = part.batch.bucket().filter(|until| middle < *until && *until <= middle * 2) else {
        return true;
    };
    if tell.send(Seam { keys: part.batch.keys.clone(), until }).is_err() {
        return false;
    }
    part.show() && (!more || part.rest())
}

/// Reads up to the middle. True if it got there, or to the end without an upper thread.
pub(super) fn lower(mut part: Part, middle: u32, tell: &Receiver<Seam>) -> bool {
    let mut seam = None;
    loop {
        let mut before = part.batch.after();
        let Some(more) = part.read() else { return false };
        if part.batch.bucket() > Some(middle) {
            seam = seam.or_else(|| tell.recv().ok());
            let Some(seam) = &seam else { return part.show() && (!more || part.rest()) };
            if part.batch.bucket() <= Some(seam.until) {
                return sew(part, seam);
            }
            // Further than the upper one's first batch: much was deleted since. So read less from the same place.
            if before.max <= 1 {
                return false;
            }
            before.max /= 2;
            part.batch = before;
            continue;
        }
        if !part.show() {
            return false;
        }
        if !more || part.batch.bucket() == Some(middle) {
            return true;
        }
    }
}

/// Shows the last batch of the lower thread, which reaches over the middle, without what is in the seam.
fn sew(mut part: Part, seam: &Seam) -> bool {
    let key_len = part.map.key_len().max(1);
    let shown: HashSet<&[u8]> = seam.keys.chunks_exact(key_len).collect();
    part.batch.retain(&part.map, |key| !shown.contains(key));
    part.show()
}
