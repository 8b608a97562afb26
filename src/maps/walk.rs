//! Walking over all elements of a map that others write to.
//!
//! The kernel offers two ways, and neither is a snapshot:
//!
//! ```text
//!   batches     many elements a call, since Linux 5.6. A hash is read bucket by bucket, each under its lock: no key
//!               twice, and every key that is there all the time once.
//!   key by key  "the key after this one". If this one has been deleted by then, a hash or a trie starts again at
//!               its first: keys come twice, and a busy writer can keep the walk going for ever.
//! ```
//!
//! And in a trie the kernel passes over an element, without a word, where another process writes beside it.
//!
//! So [`Elements`] takes batches where it can. Where a walk can start again, it remembers what it has shown, 8
//! bytes for each key (a hash of it), shows nothing twice, and gives up after a number of steps that follows
//! from the size of the map. A trie is looked through twice. [`Elements::complete`] says what came of it. The memory is otherwise that of one batch,
//! however large the map is; of a few, where threads read ahead (src/maps/prefetch.rs).

use super::batches::is_by_bucket;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::Map;
use super::prefetch::{End, Reader};
use crate::sys::map::{is_indexed, is_per_cpu};
use crate::sys::{Batch, Errno, SysError};
use crate::uapi::MapType;

/// What a walk over a map saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// How many elements.
    pub elements: u64,
    /// True if every element that was there from the beginning to the end was seen.
    pub complete: bool,
}

/// The bytes of an element: of its key, and of its value.
pub type Entry<'a> = (&'a [u8], &'a [u8]);

/// A walk over the elements of a map, see [`Map::elements`]. Each is lent until the next is asked for.
#[derive(Debug)]
pub struct Elements<'m> {
    map: &'m Map,
    from: From,
    /// Hashes of the keys that were shown, where one could come twice.
    seen: Option<(RandomState, HashSet<u64>)>,
    /// In the second pass over a trie: how many elements the first has shown.
    first_pass: Option<u64>,
    walk: Walk,
    key: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
enum From {
    /// The next element of the batch, whether it is the last batch, and how many elements of batches may still be taken
    /// where they can repeat.
    Batch {
        reader: Reader,
        batch: Batch,
        at: usize,
        end: End,
        first: bool,
        left: u64,
    },
    /// Key by key: whether `key` is one, and how many steps may still be taken.
    Keys {
        started: bool,
        left: u64,
    },
    End,
}

/// Bytes that a batch should have: large enough that the calls do not count, small enough for a cache.
const BATCH_BYTES: usize = 1 << 17;

impl<'m> Elements<'m> {
    fn new(map: &'m Map, ahead: bool) -> Elements<'m> {
        let max = batch_len(map);
        let seen = can_repeat(map.info().map_type).then(Default::default);
        let walk = Walk { elements: 0, complete: false };
        let (key, value) = (vec![0; map.key_len()], vec![0; map.value_len()]);
        let left = patience(map);
        // What fits into one batch needs no thread.
        let reader =
            if ahead && max < map.info().max_entries as usize { Reader::Later } else { Reader::Walk };
        let from = From::Batch { reader, batch: Batch::new(max), at: 0, end: None, first: true, left };
        Elements { map, from, seen, first_pass: None, walk, key, value }
    }

    /// The next element: its key and its value. `None` at the end.
    ///
    /// (Not an `Iterator`: what it lends would have to be copied.)
    ///
    /// # Errors
    /// The map cannot be read: `ENOTSUPP` or `EINVAL` for types without elements, such as ring buffers.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, SysError> {
        loop {
            match self.from {
                From::Batch { .. } => {
                    if let Some(at) = self.next_of_batch()? {
                        self.walk.elements += 1;
                        return Ok(self.element_of_batch(at));
                    }
                }
                From::Keys { .. } => {
                    if self.next_of_keys()? {
                        self.walk.elements += 1;
                        return Ok(Some((&self.key, &self.value)));
                    }
                }
                From::End => return Ok(None),
            }
        }
    }

    /// The element that [`Elements::next_entry`] returned last; `None` before the first and after the end.
    pub fn current(&self) -> Option<(&[u8], &[u8])> {
        match &self.from {
            From::Batch { at, .. } => self.element_of_batch(at.checked_sub(1)?),
            From::Keys { started: true, .. } => Some((&self.key, &self.value)),
            _ => None,
        }
    }

    /// What was seen so far. Complete only after the end, and only if every element that was there all the time
    /// was shown.
    pub fn walk(&self) -> Walk {
        self.walk
    }

    /// True after the end, if every element that was there all the time was shown.
    pub fn complete(&self) -> bool {
        self.walk.complete
    }

    /// The index of the next element of the batch that was not shown yet, reading another batch when it is
    /// empty. `None` if `from` has changed.
    fn next_of_batch(&mut self) -> Result<Option<usize>, SysError> {
        loop {
            let From::Batch { reader, batch, at, end, first, left } = &mut self.from else { return Ok(None) };
            let key_len = self.map.key_len().max(1);
            while let Some(key) = batch.keys.chunks_exact(key_len).nth(*at) {
                let index = *at;
                *at += 1;
                if self.seen.as_mut().is_none_or(|seen| is_new(seen, key)) {
                    return Ok(Some(index));
                }
            }
            if let Some(complete) = *end {
                self.end(complete);
                return Ok(None);
            }
            // A batch of a trie is the kernel's own key-by-key walk, which starts again as often as its place is deleted.
            if self.seen.is_some() && *left == 0 {
                self.end(false);
                return Ok(None);
            }
            match reader.next(self.map, batch) {
                Ok(last) => {
                    *left = left.saturating_sub((batch.keys.len() / key_len).max(1) as u64);
                    (*at, *end, *first) = (0, last, false);
                }
                // The kernel gave up on a key that was deleted; what was seen is remembered for these types.
                Err(e) if *first && is_unsupported(e.errno) || e.errno == Errno::EINTR => {
                    *at = 0;
                    self.by_keys();
                    return Ok(None);
                }
                Err(e) => return Err(e),
            }
        }
    }

    fn element_of_batch(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let From::Batch { batch, .. } = &self.from else { return None };
        let slice = |all: &'_ [u8], len: usize| -> Option<std::ops::Range<usize>> {
            let start = at.checked_mul(len)?;
            let end = start.checked_add(len)?;
            (end <= all.len()).then_some(start..end)
        };
        let key = batch.keys.get(slice(&batch.keys, self.map.key_len())?)?;
        let value = batch.values.get(slice(&batch.values, self.map.value_len())?)?;
        Some((key, value))
    }

    fn by_keys(&mut self) {
        self.from = From::Keys { started: false, left: patience(self.map) };
        if !is_indexed(self.map.info().map_type) {
            self.seen.get_or_insert_with(Default::default);
        }
    }

    /// Steps to the next key that is new and has a value; false if `from` has changed.
    fn next_of_keys(&mut self) -> Result<bool, SysError> {
        loop {
            let From::Keys { started, left } = &mut self.from else { return Ok(false) };
            if *left == 0 {
                self.end(false);
                return Ok(false);
            }
            *left -= 1;
            let last = started.then(|| self.key.clone());
            *started = true;
            if !self.map.fd.next_key(last.as_deref(), &mut self.key)? {
                self.end(true);
                return Ok(false);
            }
            if !self.seen.as_mut().is_none_or(|seen| is_new(seen, &self.key)) {
                continue;
            }
            // An element may be gone by now; then it was not there all the time.
            if self.map.fd.lookup(&self.key, &mut self.value, 0)? {
                return Ok(true);
            }
        }
    }

    /// A pass has ended. The kernel passes over elements of a trie where another process writes beside them, and says
    /// nothing; so a trie is looked through once more, and its walk was complete if that brings nothing new.
    fn end(&mut self, complete: bool) {
        let shown = self.walk.elements;
        let may_miss = self.map.info().map_type == MapType::LpmTrie && shown > 0;
        if complete && may_miss && self.first_pass.is_none() {
            self.first_pass = Some(shown);
            match &mut self.from {
                From::Batch { reader, batch, at, end, .. } => {
                    (*reader, *batch, *at, *end) = (Reader::Walk, Batch::new(batch_len(self.map)), 0, None);
                }
                From::Keys { started, .. } => *started = false,
                From::End => {}
            }
            return;
        }
        self.walk.complete = complete && self.first_pass.is_none_or(|before| before == shown);
        self.from = From::End;
    }
}

/// How many elements of a map a batch asks for.
fn batch_len(map: &Map) -> usize {
    let each = map.key_len().saturating_add(map.value_len()).max(1);
    let entries = map.info().max_entries.max(1) as usize;
    (BATCH_BYTES / each).clamp(16, 8192).min(entries)
}

/// How many steps a walk may take that can start again.
fn patience(map: &Map) -> u64 {
    u64::from(map.info().max_entries).saturating_mul(4).saturating_add(1024)
}

fn is_new(seen: &mut (RandomState, HashSet<u64>), key: &[u8]) -> bool {
    let hash = seen.0.hash_one(key);
    seen.1.insert(hash)
}

/// True for the types whose batches may show a key twice: the kernel reads them by its own key-by-key walk.
fn can_repeat(map_type: MapType) -> bool {
    !is_by_bucket(map_type) && !is_indexed(map_type)
}

/// What kernels answer to batch reads of map types that have none, and before 5.6.
pub(super) fn is_unsupported(errno: Errno) -> bool {
    [Errno::EINVAL, Errno::ENOTSUPP, Errno::EOPNOTSUPP].contains(&errno)
}

impl Map {
    /// Starts a walk over all elements. It ends and shows no key twice, whatever others write meanwhile; what is
    /// added or removed during the walk may be shown or not.
    pub fn elements(&self) -> Elements<'_> {
        Elements::new(self, false)
    }

    /// As [`Map::elements`], with threads that read the next batches while the last one is looked at, if the map is larger
    /// than a batch: one, and a second for large hashes. Worth it where something is done with each element.
    ///
    /// ```no_run
    /// # use rawbpf::maps::Map;
    /// let flows = Map::open_pin("/sys/fs/bpf/flows")?;
    /// let mut elements = flows.elements_ahead();
    /// while let Some((key, value)) = elements.next_entry()? {
    ///     println!("{key:x?} {value:x?}");
    /// }
    /// # Ok::<(), rawbpf::sys::SysError>(())
    /// ```
    pub fn elements_ahead(&self) -> Elements<'_> {
        Elements::new(self, true)
    }

    /// Calls `each` with every element, and says whether that was all of them. See [`Map::elements`].
    pub fn for_each(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<Walk, SysError> {
        let mut elements = self.elements();
        while let Some((key, value)) = elements.next_entry()? {
            each(key, value);
        }
        Ok(elements.walk())
    }

    /// The value of each CPU in a value of a per-CPU map, with the number of its CPU; of another map, the value
    /// itself as CPU 0's.
    pub fn slots<'v>(&self, value: &'v [u8]) -> impl Iterator<Item = (u32, &'v [u8])> {
        let (size, slot) = (self.info().value_size as usize, self.fd.slot_len().max(1));
        // A value was read, so the CPUs are known.
        let cpus = match is_per_cpu(self.info().map_type) {
            true => crate::sys::possible_cpu_list().unwrap_or_default(),
            false => &[0],
        };
        cpus.iter()
            .copied()
            .zip(value.chunks(slot))
            .map(move |(cpu, slot)| (cpu, slot.get(..size).unwrap_or(slot)))
    }
}
