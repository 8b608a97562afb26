//! Hashes and arrays: one value for each key.

use std::marker::PhantomData;

use super::typed::{self, typed_map};
use super::{ElemFlags, Elements, Map, MapError, Plain, Walk};
use crate::sys::Partly;

typed_map! {
    /// A hash table: `hash`, `lru_hash` (which drops its oldest elements when it is full), or `rhash`, which
    /// grows (Linux 7.2).
    ///
    /// ```no_run
    /// use rawbpf::maps::{Builder, ElemFlags, HashMap};
    /// use rawbpf::uapi::MapType;
    /// let map = Builder::new(MapType::Hash, "counts").keys::<u32>().values::<u64>().max_entries(1000).create()?;
    /// let counts = HashMap::<u32, u64>::try_from(map)?;
    /// counts.set_with(&80, &1, ElemFlags::NOEXIST)?;
    /// assert_eq!(counts.get(&80)?, Some(1));
    /// assert_eq!(counts.take(&80)?, Some(1));
    /// # Ok::<(), rawbpf::maps::MapError>(())
    /// ```
    #[doc(alias = "BPF_MAP_TYPE_HASH")]
    #[doc(alias = "BPF_MAP_TYPE_LRU_HASH")]
    #[doc(alias = "BPF_MAP_TYPE_RHASH")]
    HashMap<K, V>: [Hash, LruHash, Rhash], key: Exactly(size_of::<K>()), value: Exactly(size_of::<V>())
}

impl<K: Plain, V: Plain> HashMap<K, V> {
    /// Reads the value of a key.
    pub fn get(&self, key: &K) -> Result<Option<V>, MapError> {
        typed::get(self.map(), key.bytes(), ElemFlags::ANY)
    }

    /// Reads the value of a key as the flags say: `LOCK`.
    pub fn get_with(&self, key: &K, flags: ElemFlags) -> Result<Option<V>, MapError> {
        typed::get(self.map(), key.bytes(), flags)
    }

    /// Writes the value of a key, new or not. `E2BIG` when the map is full.
    pub fn set(&self, key: &K, value: &V) -> Result<(), MapError> {
        self.set_with(key, value, ElemFlags::ANY)
    }

    /// Writes the value of a key as the flags say: `NOEXIST`, `EXIST`, `LOCK`.
    pub fn set_with(&self, key: &K, value: &V, flags: ElemFlags) -> Result<(), MapError> {
        typed::set(self.map(), key.bytes(), value.bytes(), flags)
    }

    /// Removes a key; false if it was not there.
    pub fn delete(&self, key: &K) -> Result<bool, MapError> {
        typed::delete(self.map(), key.bytes())
    }

    /// Removes a key and returns its value. In one step since Linux 5.14, see [`Map::take`].
    pub fn take(&self, key: &K) -> Result<Option<V>, MapError> {
        typed::take(self.map(), key.bytes())
    }

    /// Writes many elements, in one call where the kernel can. `keys` and `values` have the same length.
    pub fn set_many(&self, keys: &[K], values: &[V]) -> Result<(), MapError> {
        let done = self.map().set_many(K::slice_bytes(keys), V::slice_bytes(values), ElemFlags::ANY);
        done.map_err(partly(self.map(), "write elements of", keys.len()))
    }

    /// Removes many keys, in one call where the kernel can; returns how many were there.
    pub fn delete_many(&self, keys: &[K]) -> Result<usize, MapError> {
        let done = self.map().delete_many(K::slice_bytes(keys));
        done.map_err(partly(self.map(), "delete elements of", keys.len()))
    }

    /// Walks over all elements, see [`Map::elements`].
    pub fn iter(&self) -> MapIter<'_, K, V> {
        MapIter::new(self.map())
    }
}

typed_map! {
    /// An array: an index and a value, all there from the start, all zero.
    #[doc(alias = "BPF_MAP_TYPE_ARRAY")]
    Array<V>: [Array], key: Exactly(4), value: Exactly(size_of::<V>())
}

impl<V: Plain> Array<V> {
    /// How many elements it has.
    #[allow(clippy::len_without_is_empty, reason = "the kernel makes no empty array")]
    pub fn len(&self) -> u32 {
        self.map().info().max_entries
    }

    /// Reads an element; `None` beyond the end.
    pub fn get(&self, index: u32) -> Result<Option<V>, MapError> {
        typed::get(self.map(), index.bytes(), ElemFlags::ANY)
    }

    /// Reads an element as the flags say: `LOCK`.
    pub fn get_with(&self, index: u32, flags: ElemFlags) -> Result<Option<V>, MapError> {
        typed::get(self.map(), index.bytes(), flags)
    }

    /// Writes an element. `E2BIG` beyond the end.
    pub fn set(&self, index: u32, value: &V) -> Result<(), MapError> {
        self.set_with(index, value, ElemFlags::ANY)
    }

    /// Writes an element as the flags say: `EXIST`, `LOCK`.
    pub fn set_with(&self, index: u32, value: &V, flags: ElemFlags) -> Result<(), MapError> {
        typed::set(self.map(), index.bytes(), value.bytes(), flags)
    }

    /// Writes the first elements, in one call where the kernel can.
    pub fn set_first(&self, values: &[V]) -> Result<(), MapError> {
        let indices: Vec<u32> = (0..u32::try_from(values.len()).unwrap_or(u32::MAX)).collect();
        let done = self.map().set_many(u32::slice_bytes(&indices), V::slice_bytes(values), ElemFlags::ANY);
        done.map_err(partly(self.map(), "write elements of", values.len()))
    }

    /// Walks over all elements in their order.
    pub fn iter(&self) -> MapIter<'_, u32, V> {
        MapIter::new(self.map())
    }
}

pub(super) fn partly(map: &Map, doing: &'static str, of: usize) -> impl FnOnce(Partly) -> MapError {
    move |Partly { done, source }| MapError::Partly { map: map.name().into(), doing, done, of, source }
}

/// A walk over the elements of a typed map, with copies of them.
#[derive(Debug)]
#[doc(alias = "Iter")]
pub struct MapIter<'m, K, V> {
    map: &'m Map,
    elements: Elements<'m>,
    failed: bool,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'m, K: Plain, V: Plain> MapIter<'m, K, V> {
    pub(super) fn new(map: &'m Map) -> Self {
        MapIter { map, elements: map.elements(), failed: false, types: PhantomData }
    }

    /// How many elements were seen, and, after the end, whether that were all.
    pub fn walk(&self) -> Walk {
        self.elements.walk()
    }
}

impl<K: Plain, V: Plain> Iterator for MapIter<'_, K, V> {
    type Item = Result<(K, V), MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.elements.next_entry() {
            Ok(element) => element.and_then(|(key, value)| Some(Ok((K::read(key)?, V::read(value)?)))),
            Err(e) => {
                self.failed = true;
                Some(Err(MapError::sys(self.map, "read the elements of")(e)))
            }
        }
    }
}
