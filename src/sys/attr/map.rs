//! Making a map, reading and writing it.

use std::fmt;

use super::{Attr, AttrField, Fd, ObjName, Ptr, PtrMut, attr};
use crate::uapi::MapType;

attr! {
    /// Creates a map; returns its descriptor. Linux 3.18, `CAP_BPF` (5.8) or `CAP_SYS_ADMIN`.
    #[doc(alias = "BPF_MAP_CREATE")]
    MapCreate<'a> {
        /// What kind of table.
        map_type: MapType,
        /// Bytes of a key; 0 for types without keys (queue, ringbuf ...).
        key_size: u32,
        /// Bytes of a value.
        value_size: u32,
        /// How many elements; bytes for ring buffers, pages for arenas.
        max_entries: u32,
        /// `BPF_F_*` flags of [`map::flags`](crate::sys::map::flags).
        map_flags: u32,
        /// Prototype of the inner maps (map-in-map types).
        inner_map_fd: Fd<'a>,
        /// NUMA node; read only with `BPF_F_NUMA_NODE`.
        numa_node: u32,
        /// Name; Linux 4.15.
        map_name: ObjName,
        /// Offload device.
        map_ifindex: u32,
        /// BTF object that the two ids below belong to; Linux 4.18.
        btf_fd: Fd<'a>,
        /// Type of the key.
        btf_key_type_id: u32,
        /// Type of the value.
        btf_value_type_id: u32,
        /// Kernel type of a struct_ops value; Linux 5.6.
        btf_vmlinux_value_type_id: u32,
        /// Bloom filter hash count, arena address ...; Linux 5.16.
        map_extra: u64,
        /// Module BTF of `btf_vmlinux_value_type_id`; Linux 6.9.
        value_type_btf_obj_fd: Fd<'a>,
        /// BPF token; Linux 6.9.
        map_token_fd: Fd<'a>,
        /// SHA-256 of the only program that may use this map; Linux 6.18.
        excl_prog_hash: Ptr<'a, [u8; 32]>,
        /// Bytes of `excl_prog_hash`; set by [`map_create`](crate::sys::map_create).
        excl_prog_hash_size: u32,
        /// Unused; keeps the struct free of padding.
        pad: u32,
    }
}

attr! {
    /// What the element commands take: look up, update, delete, next key, look up and delete, freeze.
    #[doc(alias = "BPF_MAP_LOOKUP_ELEM")]
    #[doc(alias = "BPF_MAP_UPDATE_ELEM")]
    MapElem<'a> {
        /// The map.
        map_fd: Fd<'a>,
        /// Unused.
        pad: u32,
        /// The key, `key_size` bytes.
        key: Ptr<'a, u8>,
        /// The value or the next key; the kernel's size of it, see [`map::MapFd`](crate::sys::map::MapFd).
        value: PtrMut<'a, u8>,
        /// `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`, `BPF_F_LOCK`.
        flags: u64,
    }
}

attr! {
    /// What the batch commands take. Linux 5.6.
    #[doc(alias = "BPF_MAP_LOOKUP_BATCH")]
    MapBatch<'a> {
        /// Where the last call ended; "not given" to start.
        in_batch: Ptr<'a, u8>,
        /// Out: where this call ended.
        out_batch: PtrMut<'a, u8>,
        /// Keys, one after the other.
        keys: PtrMut<'a, u8>,
        /// Values, one after the other.
        values: PtrMut<'a, u8>,
        /// In: room or number of elements. Out: how many were done.
        count: u32,
        /// The map.
        map_fd: Fd<'a>,
        /// Flags of each element.
        elem_flags: u64,
        /// None defined.
        flags: u64,
    }
}
