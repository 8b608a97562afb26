//! Elements as bytes: what every typed map is made of.

use std::path::Path;

use super::walk::is_unsupported;
use super::{ElemFlags, Map};
use crate::sys::{self, Errno, Partly, SysError};
use crate::uapi::{Cmd, MapType};

impl Map {
    /// Reads an element; `None` if there is none. Of a per-CPU map the value holds all CPUs' slots
    /// ([`Map::slots`]). For maps without keys (queue, stack) the key is empty, and the next element is shown
    /// but not removed.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SysError> {
        let mut value = vec![0; self.value_len()];
        Ok(self.fd.lookup(key, &mut value, 0)?.then_some(value))
    }

    /// Reads an element as the flags say: under its lock (`LOCK`), or one CPU's slot (`cpu(n)`). Kernels before
    /// 7.0 do not know the latter; there all slots are read, and the one is picked out.
    pub fn get_with(&self, key: &[u8], flags: ElemFlags) -> Result<Option<Vec<u8>>, SysError> {
        let mut value = vec![0; self.value_len()];
        let found = match self.fd.lookup(key, &mut value, flags.0) {
            Err(e) if flags.is_one_slot() && is_unsupported(e.errno) => {
                let cpu = (flags.0 >> 32) as u32;
                return Ok(match self.get(key)? {
                    Some(all) => self.slots(&all).find(|(at, _)| *at == cpu).map(|(_, v)| v.to_vec()),
                    None => None,
                });
            }
            other => other?,
        };
        if flags.is_one_slot() {
            value.truncate(self.info().value_size as usize);
        }
        Ok(found.then_some(value))
    }

    /// Reads an element into a buffer of [`Map::value_len`] bytes; false if there is none. What [`Map::get`]
    /// does, without a new buffer each time.
    pub fn get_into(&self, key: &[u8], value: &mut [u8], flags: ElemFlags) -> Result<bool, SysError> {
        self.fd.lookup(key, value, flags.0)
    }

    /// Writes an element. `flags`: 0 any, 1 only a new one (`BPF_NOEXIST`), 2 only an existing one
    /// (`BPF_EXIST`), and others of [`ElemFlags`]. `E2BIG` when the map is full.
    pub fn set(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), SysError> {
        self.fd.update(key, value, flags)
    }

    /// Writes one value to one CPU's slot (`flags` from [`ElemFlags::cpu`]) or to all
    /// ([`ElemFlags::ALL_CPUS`]); `value` is `value_size` bytes.
    ///
    /// Before Linux 7.0 writing to all is done with a copy for each CPU. Writing to one is refused (`EINVAL`):
    /// it would have to write back the other CPUs' values as they were a moment ago.
    pub fn set_slot(&self, key: &[u8], value: &[u8], flags: ElemFlags) -> Result<(), SysError> {
        let wrong = value.len() != self.info().value_size as usize || !flags.is_one_slot();
        if wrong || !self.info().is_per_cpu() {
            return Err(SysError::bpf(Cmd::MapUpdateElem, Errno::EINVAL));
        }
        let mut all = vec![0; self.value_len()];
        for slot in all.chunks_exact_mut(self.fd.slot_len().max(1)) {
            for (to, from) in slot.iter_mut().zip(value) {
                *to = *from;
            }
        }
        match self.fd.update(key, &all, flags.0) {
            Err(e) if flags.0 & ElemFlags::ALL_CPUS.0 != 0 && is_unsupported(e.errno) => {
                self.fd.update(key, &all, flags.0 & !ElemFlags::ALL_CPUS.0)
            }
            other => other,
        }
    }

    /// Removes an element; false if there was none.
    pub fn delete(&self, key: &[u8]) -> Result<bool, SysError> {
        self.fd.delete(key)
    }

    /// Removes an element and returns it; `None` if there is none. For queues and stacks the key is empty.
    ///
    /// In one step since Linux 4.20 (queue, stack) and 5.14 (hashes). Where the kernel cannot do that, the
    /// element is read and then deleted: what is written between the two is lost.
    pub fn take(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SysError> {
        let mut value = vec![0; self.value_len()];
        match self.fd.lookup_and_delete(key, &mut value, 0) {
            Ok(found) => Ok(found.then_some(value)),
            Err(e) if is_unsupported(e.errno) && !is_fifo(self.info().map_type) => {
                let found = self.fd.lookup(key, &mut value, 0)?;
                Ok((found && self.fd.delete(key)?).then_some(value))
            }
            Err(e) => Err(e),
        }
    }

    /// The key after `key`, in the map's own order; the first, if `None`.
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, SysError> {
        let mut next = vec![0; self.key_len()];
        Ok(self.fd.next_key(key, &mut next)?.then_some(next))
    }

    /// Writes many elements: keys one after the other, and as many values. In one call where the kernel can
    /// (Linux 5.6), else one by one.
    pub fn set_many(&self, keys: &[u8], values: &[u8], flags: ElemFlags) -> Result<(), Partly> {
        match self.fd.update_batch(keys, values, flags.0) {
            Err(e) if e.done == 0 && is_unsupported(e.source.errno) => {}
            other => return other,
        }
        let (key_len, value_len) = (self.key_len().max(1), self.value_len().max(1));
        if keys.len() / key_len != values.len() / value_len || keys.len() % key_len != 0 {
            return Err(Partly { done: 0, source: SysError::bpf(Cmd::MapUpdateBatch, Errno::EINVAL) });
        }
        let pairs = keys.chunks_exact(key_len).zip(values.chunks_exact(value_len));
        pairs.enumerate().try_for_each(|(done, (key, value))| {
            self.fd.update(key, value, flags.0).map_err(|source| Partly { done, source })
        })
    }

    /// Reads many elements, the values one after the other, `None` for a key that is not there. One call each:
    /// the kernel has no batch read by key.
    pub fn get_many(&self, keys: &[u8]) -> Result<Vec<Option<Vec<u8>>>, SysError> {
        keys.chunks_exact(self.key_len().max(1)).map(|key| self.get(key)).collect()
    }

    /// Removes many elements. One that is not there does not matter. In one call where the kernel can
    /// (Linux 5.6), else one by one. Returns how many there were.
    pub fn delete_many(&self, keys: &[u8]) -> Result<usize, Partly> {
        let key_len = self.key_len().max(1);
        let (mut at, mut removed) = (0, 0);
        loop {
            let rest = keys.get(at * key_len..).unwrap_or_default();
            match self.fd.delete_batch(rest) {
                Ok(()) => return Ok(removed + rest.len() / key_len),
                // Before a key that is not there everything was done: go on behind it.
                Err(e) if e.source.errno == Errno::ENOENT => {
                    removed += e.done;
                    at += e.done + 1;
                }
                Err(e) if at == 0 && e.done == 0 && is_unsupported(e.source.errno) => break,
                Err(e) => return Err(Partly { done: at + e.done, ..e }),
            }
        }
        for (done, key) in keys.chunks_exact(key_len).enumerate() {
            removed += usize::from(self.fd.delete(key).map_err(|source| Partly { done, source })?);
        }
        Ok(removed)
    }

    /// Forbids writes from user space from now on, for ever. Linux 5.2. `EBUSY` while it is mapped to be written.
    pub fn freeze(&self) -> Result<(), SysError> {
        self.fd.freeze()
    }

    /// Gives it a name in a bpffs; it then outlives this process. Linux 4.4.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), SysError> {
        sys::obj_pin(self, path.as_ref())
    }
}

fn is_fifo(map_type: MapType) -> bool {
    matches!(map_type, MapType::Queue | MapType::Stack)
}
