//! Maps whose values are objects: other maps, programs, cgroups.
//!
//! The value goes in as a descriptor and comes out as an id: the map holds the object, whoever closes what.

use std::os::fd::{AsFd, AsRawFd as _};

use super::typed::{self, typed_map};
use super::{ElemFlags, Map, MapError, MapIter, Plain};
use crate::progs::Program;

/// The value that stands for an object.
fn set_fd(map: &Map, key: &[u8], object: impl AsFd) -> Result<(), MapError> {
    let fd = object.as_fd().as_raw_fd();
    map.set(key, fd.bytes(), 0).map_err(MapError::sys(map, "put an object into"))
}

fn open(map: &Map, id: Option<u32>) -> Result<Option<Map>, MapError> {
    id.map(|id| Map::open_id(id).map_err(MapError::sys(map, "open an inner map of"))).transpose()
}

typed_map! {
    /// An array of maps that are alike. Linux 4.12.
    #[doc(alias = "BPF_MAP_TYPE_ARRAY_OF_MAPS")]
    ArrayOfMaps<>: [ArrayOfMaps], key: Exactly(4), value: Exactly(4)
}

impl ArrayOfMaps {
    /// Puts a map at an index. `EINVAL` if it is not like the others.
    pub fn set(&self, index: u32, inner: impl AsFd) -> Result<(), MapError> {
        set_fd(self.map(), index.bytes(), inner)
    }

    /// The id of the map at an index. Linux 4.14.
    pub fn get(&self, index: u32) -> Result<Option<u32>, MapError> {
        typed::get(self.map(), index.bytes(), ElemFlags::ANY)
    }

    /// Opens the map at an index. Needs `CAP_SYS_ADMIN`.
    pub fn open(&self, index: u32) -> Result<Option<Map>, MapError> {
        open(self.map(), self.get(index)?)
    }

    /// Empties an index; false if it was empty.
    pub fn clear(&self, index: u32) -> Result<bool, MapError> {
        typed::delete(self.map(), index.bytes())
    }

    /// Indices and ids.
    pub fn iter(&self) -> MapIter<'_, u32, u32> {
        MapIter::new(self.map())
    }
}

typed_map! {
    /// A hash table of maps that are alike. Linux 4.12.
    #[doc(alias = "BPF_MAP_TYPE_HASH_OF_MAPS")]
    HashOfMaps<K>: [HashOfMaps], key: Exactly(size_of::<K>()), value: Exactly(4)
}

impl<K: Plain> HashOfMaps<K> {
    /// Puts a map under a key. `EINVAL` if it is not like the others.
    pub fn set(&self, key: &K, inner: impl AsFd) -> Result<(), MapError> {
        set_fd(self.map(), key.bytes(), inner)
    }

    /// The id of the map under a key. Linux 4.14.
    pub fn get(&self, key: &K) -> Result<Option<u32>, MapError> {
        typed::get(self.map(), key.bytes(), ElemFlags::ANY)
    }

    /// Opens the map under a key. Needs `CAP_SYS_ADMIN`.
    pub fn open(&self, key: &K) -> Result<Option<Map>, MapError> {
        open(self.map(), self.get(key)?)
    }

    /// Removes a key; false if it was not there.
    pub fn delete(&self, key: &K) -> Result<bool, MapError> {
        typed::delete(self.map(), key.bytes())
    }

    /// Keys and ids.
    pub fn iter(&self) -> MapIter<'_, K, u32> {
        MapIter::new(self.map())
    }
}

typed_map! {
    /// The programs that programs jump to with `bpf_tail_call`. The kernel empties it when its last descriptor
    /// and pin are gone, even while programs use it. Linux 4.2.
    #[doc(alias = "BPF_MAP_TYPE_PROG_ARRAY")]
    ProgArray<>: [ProgArray], key: Exactly(4), value: Exactly(4)
}

impl ProgArray {
    /// Puts a program at an index. `EINVAL` if it is of another type than the others.
    pub fn set(&self, index: u32, program: &Program) -> Result<(), MapError> {
        set_fd(self.map(), index.bytes(), program)
    }

    /// The id of the program at an index. Linux 4.14.
    pub fn get(&self, index: u32) -> Result<Option<u32>, MapError> {
        typed::get(self.map(), index.bytes(), ElemFlags::ANY)
    }

    /// Empties an index; false if it was empty.
    pub fn clear(&self, index: u32) -> Result<bool, MapError> {
        typed::delete(self.map(), index.bytes())
    }

    /// Indices and ids of what is there.
    pub fn iter(&self) -> MapIter<'_, u32, u32> {
        MapIter::new(self.map())
    }
}

typed_map! {
    /// The cgroups that programs ask about with `bpf_current_task_under_cgroup`. It can only be written. Linux 4.8.
    #[doc(alias = "BPF_MAP_TYPE_CGROUP_ARRAY")]
    CgroupArray<>: [CgroupArray], key: Exactly(4), value: Exactly(4)
}

impl CgroupArray {
    /// Puts a cgroup, an open directory of a cgroup2 file system, at an index.
    pub fn set(&self, index: u32, cgroup: impl AsFd) -> Result<(), MapError> {
        set_fd(self.map(), index.bytes(), cgroup)
    }

    /// Empties an index; false if it was empty.
    pub fn clear(&self, index: u32) -> Result<bool, MapError> {
        typed::delete(self.map(), index.bytes())
    }
}
