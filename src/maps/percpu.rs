//! One value for each CPU: programs write without waiting for one another, readers add up.
//!
//! ```text
//!   value as user space reads it, value_size 4, CPUs 0 and 2 possible:
//!   | CPU 0's, 4 bytes | pad to 8 | CPU 2's, 4 bytes | pad to 8 |
//! ```

use std::borrow::Cow;
use std::iter::Sum;
use std::ops::Deref;

use super::hash::partly;
use super::typed::{self, typed_map};
use super::{ElemFlags, Map, MapError, Plain, Walk};
use crate::sys::{self, SysError};

/// The values of all possible CPUs, in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerCpu<V>(Vec<V>);

impl<V: Plain> PerCpu<V> {
    /// The same value for every CPU.
    ///
    /// # Errors
    /// The number of CPUs cannot be told ([`sys::possible_cpus`]).
    pub fn all(value: V) -> Result<PerCpu<V>, SysError> {
        sys::possible_cpus().map(|cpus| PerCpu(vec![value; cpus]))
    }

    /// One value for each possible CPU; `None` if there are more or fewer than CPUs, or their number cannot be told.
    pub fn new(values: Vec<V>) -> Option<PerCpu<V>> {
        sys::possible_cpus().is_ok_and(|cpus| values.len() == cpus).then_some(PerCpu(values))
    }

    /// Each value with the number of its CPU. Numbers may have holes between them.
    pub fn by_cpu(&self) -> impl Iterator<Item = (u32, &V)> {
        // There is no value of this type where they cannot be told.
        sys::possible_cpu_list().unwrap_or_default().iter().copied().zip(&self.0)
    }

    /// The value of one CPU.
    pub fn cpu(&self, cpu: u32) -> Option<&V> {
        self.by_cpu().find(|(number, _)| *number == cpu).map(|(_, value)| value)
    }

    /// All values, added up.
    pub fn sum<S: Sum<V>>(&self) -> S {
        self.0.iter().copied().sum()
    }

    fn read(bytes: &[u8]) -> PerCpu<V> {
        PerCpu(bytes.chunks_exact(slot::<V>()).filter_map(V::read).collect())
    }

    /// As the kernel reads it: without a copy where no value needs padding.
    fn write(&self) -> Cow<'_, [u8]> {
        if size_of::<V>() == slot::<V>() {
            return Cow::Borrowed(V::slice_bytes(&self.0));
        }
        let mut out = vec![0; slot::<V>().saturating_mul(self.0.len())];
        for (to, value) in out.chunks_exact_mut(slot::<V>()).zip(&self.0) {
            to.iter_mut().zip(value.bytes()).for_each(|(to, from)| *to = *from);
        }
        Cow::Owned(out)
    }
}

/// Bytes from one CPU's value to the next one's.
fn slot<V>() -> usize {
    size_of::<V>().next_multiple_of(8).max(8)
}

impl<V> Deref for PerCpu<V> {
    type Target = [V];
    fn deref(&self) -> &[V] {
        &self.0
    }
}

typed_map! {
    /// An array with one value a CPU.
    ///
    /// ```no_run
    /// use rawbpf::maps::{Map, PerCpuArray};
    /// let packets = PerCpuArray::<u64>::try_from(Map::open_pin("/sys/fs/bpf/packets")?)?;
    /// let total: u64 = packets.get(0)?.map_or(0, |counts| counts.sum());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "BPF_MAP_TYPE_PERCPU_ARRAY")]
    PerCpuArray<V>: [PercpuArray], key: Exactly(4), value: Exactly(size_of::<V>())
}

impl<V: Plain> PerCpuArray<V> {
    /// How many elements it has.
    #[allow(clippy::len_without_is_empty, reason = "the kernel makes no empty array")]
    pub fn len(&self) -> u32 {
        self.map().info().max_entries
    }

    /// Reads all CPUs' values of an element; `None` beyond the end.
    pub fn get(&self, index: u32) -> Result<Option<PerCpu<V>>, MapError> {
        get(self.map(), index.bytes())
    }

    /// Reads one CPU's value of an element. One value is copied since Linux 7.0, all of them before.
    pub fn get_cpu(&self, index: u32, cpu: u32) -> Result<Option<V>, MapError> {
        get_cpu(self.map(), index.bytes(), cpu)
    }

    /// Writes all CPUs' values of an element.
    pub fn set(&self, index: u32, values: &PerCpu<V>) -> Result<(), MapError> {
        typed::set(self.map(), index.bytes(), &values.write(), ElemFlags::ANY)
    }

    /// Writes one value for every CPU.
    pub fn set_all(&self, index: u32, value: &V) -> Result<(), MapError> {
        set_slot(self.map(), index.bytes(), value.bytes(), ElemFlags::ALL_CPUS)
    }

    /// Writes one CPU's value. Linux 7.0; `EINVAL` before, see [`Map::set_slot`].
    pub fn set_cpu(&self, index: u32, cpu: u32, value: &V) -> Result<(), MapError> {
        set_slot(self.map(), index.bytes(), value.bytes(), ElemFlags::cpu(cpu))
    }

    /// Reads all elements in their order, in batches where the kernel can (Linux 5.13).
    pub fn read_all(&self) -> Result<Vec<PerCpu<V>>, MapError> {
        let mut out = Vec::new();
        each(self.map(), |_, value| out.push(PerCpu::read(value)))?;
        Ok(out)
    }
}

typed_map! {
    /// A hash table with one value a CPU: `percpu_hash` or `lru_percpu_hash`.
    #[doc(alias = "BPF_MAP_TYPE_PERCPU_HASH")]
    #[doc(alias = "BPF_MAP_TYPE_LRU_PERCPU_HASH")]
    PerCpuHash<K, V>: [PercpuHash, LruPercpuHash], key: Exactly(size_of::<K>()), value: Exactly(size_of::<V>())
}

impl<K: Plain, V: Plain> PerCpuHash<K, V> {
    /// Reads all CPUs' values of a key.
    pub fn get(&self, key: &K) -> Result<Option<PerCpu<V>>, MapError> {
        get(self.map(), key.bytes())
    }

    /// Reads one CPU's value of a key. One value is copied since Linux 7.0, all of them before.
    pub fn get_cpu(&self, key: &K, cpu: u32) -> Result<Option<V>, MapError> {
        get_cpu(self.map(), key.bytes(), cpu)
    }

    /// Writes all CPUs' values of a key.
    pub fn set(&self, key: &K, values: &PerCpu<V>) -> Result<(), MapError> {
        self.set_with(key, values, ElemFlags::ANY)
    }

    /// Writes all CPUs' values of a key as the flags say: `NOEXIST`, `EXIST`.
    pub fn set_with(&self, key: &K, values: &PerCpu<V>, flags: ElemFlags) -> Result<(), MapError> {
        typed::set(self.map(), key.bytes(), &values.write(), flags)
    }

    /// Writes one value for every CPU.
    pub fn set_all(&self, key: &K, value: &V) -> Result<(), MapError> {
        set_slot(self.map(), key.bytes(), value.bytes(), ElemFlags::ALL_CPUS)
    }

    /// Writes one CPU's value. Linux 7.0; `EINVAL` before, see [`Map::set_slot`].
    pub fn set_cpu(&self, key: &K, cpu: u32, value: &V) -> Result<(), MapError> {
        set_slot(self.map(), key.bytes(), value.bytes(), ElemFlags::cpu(cpu))
    }

    /// Removes a key; false if it was not there.
    pub fn delete(&self, key: &K) -> Result<bool, MapError> {
        typed::delete(self.map(), key.bytes())
    }

    /// Removes a key and returns its values, see [`Map::take`].
    pub fn take(&self, key: &K) -> Result<Option<PerCpu<V>>, MapError> {
        let bytes =
            self.map().take(key.bytes()).map_err(MapError::sys(self.map(), "take an element out of"))?;
        Ok(bytes.as_deref().map(PerCpu::read))
    }

    /// Writes many elements, in one call where the kernel can. `keys` and `values` have the same length.
    pub fn set_many(&self, keys: &[K], values: &[PerCpu<V>]) -> Result<(), MapError> {
        let bytes: Vec<u8> = values.iter().map(PerCpu::write).collect::<Vec<_>>().concat();
        let done = self.map().set_many(K::slice_bytes(keys), &bytes, ElemFlags::ANY);
        done.map_err(partly(self.map(), "write elements of", keys.len()))
    }

    /// Calls `f` with every key and its values, see [`Map::elements`].
    pub fn for_each(&self, mut f: impl FnMut(K, PerCpu<V>)) -> Result<Walk, MapError> {
        each(self.map(), |key, value| {
            if let Some(key) = K::read(key) {
                f(key, PerCpu::read(value));
            }
        })
    }
}

/// Reads the values where they will stay, if no value has padding after it.
fn get<V: Plain>(map: &Map, key: &[u8]) -> Result<Option<PerCpu<V>>, MapError> {
    if size_of::<V>() == slot::<V>() {
        let mut values = PerCpu::all(V::zeroed()).map_err(MapError::sys(map, "tell the CPUs' slots of"))?;
        let found = map.get_into(key, V::slice_bytes_mut(&mut values.0), ElemFlags::ANY);
        return Ok(found.map_err(MapError::sys(map, "read an element of"))?.then_some(values));
    }
    let bytes = map.get(key).map_err(MapError::sys(map, "read an element of"))?;
    Ok(bytes.as_deref().map(PerCpu::read))
}

fn get_cpu<V: Plain>(map: &Map, key: &[u8], cpu: u32) -> Result<Option<V>, MapError> {
    let bytes = map.get_with(key, ElemFlags::cpu(cpu)).map_err(MapError::sys(map, "read an element of"))?;
    Ok(bytes.as_deref().and_then(V::read))
}

fn set_slot(map: &Map, key: &[u8], value: &[u8], flags: ElemFlags) -> Result<(), MapError> {
    map.set_slot(key, value, flags).map_err(MapError::sys(map, "write an element of"))
}

fn each(map: &Map, f: impl FnMut(&[u8], &[u8])) -> Result<Walk, MapError> {
    map.for_each(f).map_err(MapError::sys(map, "read the elements of"))
}
