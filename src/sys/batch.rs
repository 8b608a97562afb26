//! Many elements in one system call. Linux 5.6.

use super::attr::{Fd, MapBatch, Ptr, PtrMut};
use super::cmd::call;
use super::errno::{Errno, SysError};
use super::map::MapFd;
use crate::uapi::Cmd;

/// The buffers and the position of a batch read.
#[derive(Debug, Default)]
pub struct Batch {
    /// The keys of the last call, one after the other.
    pub keys: Vec<u8>,
    /// The values of the last call, one after the other.
    pub values: Vec<u8>,
    /// How many elements to ask for at a time.
    pub max: usize,
    position: Option<Vec<u8>>,
}

impl Batch {
    /// Reads from the start, `max` elements at a time.
    pub fn new(max: usize) -> Batch {
        Batch { max, ..Default::default() }
    }

    /// One that reads on where this one stands, with buffers of its own.
    pub fn after(&self) -> Batch {
        Batch { max: self.max, position: self.position.clone(), ..Default::default() }
    }

    /// The elements, without the position, which stays here.
    pub fn take(&mut self) -> Batch {
        let (keys, values) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.values));
        Batch { keys, values, max: self.max, position: None }
    }

    /// The position as the number of the next bucket, which it is for hashes. `None` before the first call.
    pub fn bucket(&self) -> Option<u32> {
        self.position.as_deref()?.first_chunk().map(|number| u32::from_ne_bytes(*number))
    }

    /// One that reads a hash from this bucket on. `None` before the first call.
    pub fn at_bucket(&self, bucket: u32) -> Option<Batch> {
        let mut batch = self.after();
        *batch.position.as_deref_mut()?.first_chunk_mut()? = bucket.to_ne_bytes();
        Some(batch)
    }

    /// Keeps the elements of this map for whose keys `keep` says so.
    pub fn retain(&mut self, map: &MapFd, keep: impl Fn(&[u8]) -> bool) {
        let keys = self.keys.chunks_exact(map.key_len().max(1));
        let kept: Vec<bool> = keys.map(keep).collect();
        for (list, len) in [(&mut self.keys, map.key_len()), (&mut self.values, map.value_len())] {
            let parts = list.chunks_exact(len.max(1)).zip(&kept);
            *list = parts.filter(|(_, keep)| **keep).flat_map(|(part, _)| part).copied().collect();
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }
}

/// A batch that was not done to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partly {
    /// How many elements were done before the failure.
    pub done: usize,
    /// The failure, of the element after them or of the call.
    pub source: SysError,
}

impl MapFd {
    /// `BPF_MAP_LOOKUP_BATCH` (or `..._AND_DELETE_BATCH`): up to `max` elements in one call.
    ///
    /// `keys` and `values` are set to what was read; false at the end. `ENOSPC` if a bucket does not fit: ask
    /// again with a greater `max`. After an error the next call starts where this one did.
    pub fn lookup_batch(&self, batch: &mut Batch, delete: bool) -> Result<bool, SysError> {
        let cmd = if delete { Cmd::MapLookupAndDeleteBatch } else { Cmd::MapLookupBatch };
        self.check(cmd, None, None)?;
        // The position is opaque: a u32 for hashes, a key for arrays and tries; with room to spare, as the kernel has no
        // length to go by.
        let position_len = self.key_len().max(64);
        let count = u32::try_from(batch.max).map_err(|_| SysError::bpf(cmd, Errno::EINVAL))?;
        if batch.position.as_ref().is_some_and(|p| p.len() != position_len) {
            // It is of another map.
            return Err(SysError::bpf(cmd, Errno::EINVAL));
        }
        resize(&mut batch.keys, self.key_len(), batch.max, cmd)?;
        resize(&mut batch.values, self.value_len(), batch.max, cmd)?;
        let mut out = vec![0; position_len];
        let mut attr = MapBatch {
            in_batch: batch.position.as_deref().map_or(Ptr::NULL, Ptr::to),
            out_batch: PtrMut::to(&mut out),
            keys: PtrMut::to(&mut batch.keys),
            values: PtrMut::to(&mut batch.values),
            count,
            map_fd: Fd::of(self),
            ..Default::default()
        };
        // SAFETY: the buffers hold `count` elements of the kernel's sizes, and both positions have room for a key.
        // Test: `sound_attacks::a_batch_of_another_map`.
        let result = unsafe { call(cmd, &mut attr) };
        let count = (attr.count as usize).min(batch.max);
        let more = match result {
            Ok(_) => true,
            Err(e) if e.errno == Errno::ENOENT => false,
            Err(e) => {
                batch.clear();
                return Err(e);
            }
        };
        batch.keys.truncate(self.key_len().saturating_mul(count));
        batch.values.truncate(self.value_len().saturating_mul(count));
        batch.position = Some(out);
        Ok(more)
    }

    /// `BPF_MAP_UPDATE_BATCH`: writes as many elements as there are keys. `flags`: `BPF_F_LOCK`.
    pub fn update_batch(&self, keys: &[u8], values: &[u8], flags: u64) -> Result<(), Partly> {
        /// With these the kernel would take another length for a value than this function checks.
        const CPU_FLAGS: u64 = 8 | 16;
        let cmd = Cmd::MapUpdateBatch;
        self.check(cmd, None, None).map_err(|source| Partly { done: 0, source })?;
        let count = self.count(keys);
        let lengths = count.checked_mul(self.key_len()) == Some(keys.len())
            && count.checked_mul(self.value_len()) == Some(values.len());
        if !lengths || flags & CPU_FLAGS != 0 {
            return Err(Partly { done: 0, source: SysError::bpf(cmd, Errno::EINVAL) });
        }
        let (keys, values) = (PtrMut::to_const(keys), PtrMut::to_const(values));
        self.batch(cmd, MapBatch { keys, values, elem_flags: flags, ..Default::default() }, count)
    }

    /// `BPF_MAP_DELETE_BATCH`: removes as many elements as there are keys. Stops with `ENOENT` at one that is
    /// not there.
    pub fn delete_batch(&self, keys: &[u8]) -> Result<(), Partly> {
        let count = self.count(keys);
        if count.checked_mul(self.key_len()) != Some(keys.len()) {
            return Err(Partly { done: 0, source: SysError::bpf(Cmd::MapDeleteBatch, Errno::EINVAL) });
        }
        let attr = MapBatch { keys: PtrMut::to_const(keys), ..Default::default() };
        self.batch(Cmd::MapDeleteBatch, attr, count)
    }

    fn count(&self, keys: &[u8]) -> usize {
        keys.len().checked_div(self.key_len()).unwrap_or(0)
    }

    fn batch<'a>(&'a self, cmd: Cmd, attr: MapBatch<'a>, count: usize) -> Result<(), Partly> {
        if count == 0 {
            return Ok(());
        }
        let Ok(number) = u32::try_from(count) else {
            return Err(Partly { done: 0, source: SysError::bpf(cmd, Errno::E2BIG) });
        };
        let mut attr = MapBatch { map_fd: Fd::of(self), count: number, ..attr };
        // SAFETY: the buffers hold `count` elements of the kernel's sizes, and these commands only read them. Test:
        // `sound_attacks::a_batch_of_another_map`.
        match unsafe { call(cmd, &mut attr) } {
            Ok(_) => Ok(()),
            // A call that is refused as a whole leaves `count` as it was.
            Err(source) if attr.count as usize >= count => Err(Partly { done: 0, source }),
            Err(source) => Err(Partly { done: attr.count as usize, source }),
        }
    }
}

/// Makes room for `count` elements of `len` bytes; `ENOMEM` if there is none.
fn resize(list: &mut Vec<u8>, len: usize, count: usize, cmd: Cmd) -> Result<(), SysError> {
    let none = SysError::bpf(cmd, Errno::ENOMEM);
    let bytes = len.checked_mul(count).ok_or(none)?;
    list.try_reserve_exact(bytes.saturating_sub(list.len())).map_err(|_| none)?;
    list.resize(bytes, 0);
    Ok(())
}
