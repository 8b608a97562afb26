//! Keys and values whose layout is the kernel's own.

use crate::uapi::AttachType;

crate::plain! {
    /// A frame in a file, `struct bpf_stack_build_id`.
    #[doc(alias = "bpf_stack_build_id")]
    #[derive(Debug, PartialEq, Eq)]
    pub struct BuildIdFrame {
        /// 1: `at` is an offset in the file with this build id. 2: it could not be found, `at` is the address.
        pub status: i32,
        /// The file's build id, filled up with zeros.
        pub build_id: [u8; 20],
        /// Offset or address.
        pub at: u64,
    }

    /// The key of the old `cgroup_storage` maps (Linux 4.19), which belong to one program's attachment: the inode
    /// number of the cgroup's directory, and the attach type.
    ///
    /// ```no_run
    /// use rawbpf::maps::{CgroupStorageKey, Map, Plain as _};
    /// use rawbpf::uapi::AttachType;
    /// let key = CgroupStorageKey::new(1, AttachType::CgroupInetEgress);
    /// let bytes = Map::open_id(7)?.get(key.bytes())?;
    /// # Ok::<(), rawbpf::sys::SysError>(())
    /// ```
    #[doc(alias = "bpf_cgroup_storage_key")]
    #[derive(Debug, PartialEq, Eq)]
    pub struct CgroupStorageKey {
        /// Inode number of the cgroup's directory.
        pub cgroup: u64,
        /// The attach type's number.
        pub attach_type: u32,
        /// Unused.
        pub pad: u32,
    }
}

impl CgroupStorageKey {
    /// The key of a cgroup and an attach type.
    pub fn new(cgroup: u64, attach_type: AttachType) -> CgroupStorageKey {
        CgroupStorageKey { cgroup, attach_type: attach_type.0, pad: 0 }
    }
}
