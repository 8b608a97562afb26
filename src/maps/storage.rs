//! Values that are kept with something else: a socket, a process, a file, a cgroup.
//!
//! There is no table to look into. The key is a descriptor of the owner, and the value goes when the owner goes.
//! Programs reach the same value from the owner itself (`bpf_sk_storage_get` and its kin).

use std::os::fd::{AsFd, AsRawFd as _};

use super::typed::{self, typed_map};
use super::{ElemFlags, MapError, Plain};
use crate::sys;

macro_rules! storage {
    ($name:ident, $owner:literal) => {
        impl<V: Plain> $name<V> {
            #[doc = concat!("Reads the value of ", $owner, "; `None` if it has none.")]
            pub fn get(&self, owner: impl AsFd) -> Result<Option<V>, MapError> {
                let fd = owner.as_fd().as_raw_fd();
                typed::get(self.map(), fd.bytes(), ElemFlags::ANY)
            }

            #[doc = concat!("Writes the value of ", $owner, ".")]
            pub fn set(&self, owner: impl AsFd, value: &V) -> Result<(), MapError> {
                self.set_with(owner, value, ElemFlags::ANY)
            }

            #[doc = concat!("Writes the value of ", $owner, " as the flags say: `NOEXIST`, `EXIST`, `LOCK`.")]
            pub fn set_with(&self, owner: impl AsFd, value: &V, flags: ElemFlags) -> Result<(), MapError> {
                let fd = owner.as_fd().as_raw_fd();
                typed::set(self.map(), fd.bytes(), value.bytes(), flags)
            }

            #[doc = concat!("Removes the value of ", $owner, "; false if it has none.")]
            pub fn delete(&self, owner: impl AsFd) -> Result<bool, MapError> {
                let fd = owner.as_fd().as_raw_fd();
                typed::delete(self.map(), fd.bytes())
            }
        }
    };
}

typed_map! {
    /// Values kept with sockets. Linux 5.2.
    #[doc(alias = "BPF_MAP_TYPE_SK_STORAGE")]
    SocketStorage<V>: [SkStorage], key: Exactly(4), value: Exactly(size_of::<V>())
}
storage!(SocketStorage, "a socket");

typed_map! {
    /// Values kept with inodes: the owner is any open file. Linux 5.10; the kernel must have the BPF LSM on.
    #[doc(alias = "BPF_MAP_TYPE_INODE_STORAGE")]
    InodeStorage<V>: [InodeStorage], key: Exactly(4), value: Exactly(size_of::<V>())
}
storage!(InodeStorage, "a file's inode");

typed_map! {
    /// Values kept with processes: the owner is a pidfd. Linux 5.11.
    #[doc(alias = "BPF_MAP_TYPE_TASK_STORAGE")]
    TaskStorage<V>: [TaskStorage], key: Exactly(4), value: Exactly(size_of::<V>())
}
storage!(TaskStorage, "a process (a pidfd)");

impl<V: Plain> TaskStorage<V> {
    /// Reads the value of the process with this number; `None` if it has none.
    pub fn get_pid(&self, pid: u32) -> Result<Option<V>, MapError> {
        self.get(sys::pidfd_open(pid).map_err(MapError::sys(self.map(), "open the process for"))?)
    }

    /// Writes the value of the process with this number.
    pub fn set_pid(&self, pid: u32, value: &V) -> Result<(), MapError> {
        self.set(sys::pidfd_open(pid).map_err(MapError::sys(self.map(), "open the process for"))?, value)
    }
}

typed_map! {
    /// Values kept with cgroups: the owner is an open directory of a cgroup2 file system. Linux 6.2.
    #[doc(alias = "BPF_MAP_TYPE_CGRP_STORAGE")]
    CgroupStorage<V>: [CgrpStorage], key: Exactly(4), value: Exactly(size_of::<V>())
}
storage!(CgroupStorage, "a cgroup");
