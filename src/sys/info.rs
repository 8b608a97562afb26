//! What the kernel tells about its objects (`BPF_OBJ_GET_INFO_BY_FD`), as it lays it out.
//!
//! These structs only grow: an older kernel fills a shorter prefix and leaves the rest zero. Pointers in
//! them are *in* fields: user space says where a list may be written and how long it may be, and asks
//! again once it knows the length.

use super::attr::ObjName;
use crate::uapi::{AttachType, LinkType, MapType, ProgType};

/// A type that any bytes are a valid value of, so that the kernel may fill it.
///
/// # Safety
/// `#[repr(C)]`, no padding, no references, every bit pattern valid.
pub unsafe trait Pod: Default {}

macro_rules! info {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Default)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }

        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*);

        // SAFETY: repr(C), integers only, no padding (asserted above). Test: `attr::the_infos`.
        unsafe impl Pod for $name {}
    };
}

info! {
    /// `struct bpf_prog_info`.
    #[doc(alias = "bpf_prog_info")]
    #[allow(missing_docs)]
    RawProgInfo {
        prog_type: ProgType,
        id: u32,
        tag: [u8; 8],
        jited_prog_len: u32,
        xlated_prog_len: u32,
        jited_prog_insns: u64,
        xlated_prog_insns: u64,
        load_time: u64,
        created_by_uid: u32,
        nr_map_ids: u32,
        map_ids: u64,
        name: ObjName,
        ifindex: u32,
        flags: u32,
        netns_dev: u64,
        netns_ino: u64,
        nr_jited_ksyms: u32,
        nr_jited_func_lens: u32,
        jited_ksyms: u64,
        jited_func_lens: u64,
        btf_id: u32,
        func_info_rec_size: u32,
        func_info: u64,
        nr_func_info: u32,
        nr_line_info: u32,
        line_info: u64,
        jited_line_info: u64,
        nr_jited_line_info: u32,
        line_info_rec_size: u32,
        jited_line_info_rec_size: u32,
        nr_prog_tags: u32,
        prog_tags: u64,
        run_time_ns: u64,
        run_cnt: u64,
        recursion_misses: u64,
        verified_insns: u32,
        attach_btf_obj_id: u32,
        attach_btf_id: u32,
        pad: u32,
    }
}

info! {
    /// `struct bpf_map_info`.
    #[doc(alias = "bpf_map_info")]
    #[allow(missing_docs)]
    RawMapInfo {
        map_type: MapType,
        id: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        name: ObjName,
        ifindex: u32,
        btf_vmlinux_value_type_id: u32,
        netns_dev: u64,
        netns_ino: u64,
        btf_id: u32,
        btf_key_type_id: u32,
        btf_value_type_id: u32,
        btf_vmlinux_id: u32,
        map_extra: u64,
        hash: u64,
        hash_size: u32,
        pad: u32,
    }
}

info! {
    /// `struct bpf_btf_info`.
    #[doc(alias = "bpf_btf_info")]
    #[allow(missing_docs)]
    RawBtfInfo {
        btf: u64,
        btf_size: u32,
        id: u32,
        name: u64,
        name_len: u32,
        kernel_btf: u32,
    }
}

info! {
    /// `struct bpf_link_info`: a head common to all links and a union by link type.
    #[doc(alias = "bpf_link_info")]
    #[allow(missing_docs)]
    RawLinkInfo {
        link_type: LinkType,
        id: u32,
        prog_id: u32,
        pad: u32,
        extra: [u64; 6],
    }
}

impl RawLinkInfo {
    /// The `n`th u32 of the union.
    pub fn u32_at(&self, n: usize) -> u32 {
        let mut bytes = self.extra.iter().flat_map(|w| w.to_ne_bytes()).skip(n.saturating_mul(4));
        u32::from_ne_bytes(std::array::from_fn(|_| bytes.next().unwrap_or(0)))
    }

    /// The `n`th u32 of the union, as an attach type.
    pub fn attach_type_at(&self, n: usize) -> AttachType {
        AttachType(self.u32_at(n))
    }

    /// The `n`th u64 of the union.
    pub fn u64_at(&self, n: usize) -> u64 {
        self.extra.get(n).copied().unwrap_or(0)
    }
}
