//! Pins, ids and infos: what is done with every kind of object.

use std::fmt;

use super::{Attr, AttrField, Fd, Ptr, PtrMut, attr};

attr! {
    /// Gives an object a name in a bpffs; the object lives as long as the name does. Linux 4.4.
    #[doc(alias = "BPF_OBJ_PIN")]
    ObjPin<'a> {
        /// Path, NUL-terminated.
        pathname: Ptr<'a, u8>,
        /// The object.
        bpf_fd: Fd<'a>,
        /// None for pinning, but `BPF_F_PATH_FD`.
        file_flags: u32,
        /// Directory that `pathname` is relative to; Linux 6.5.
        path_fd: Fd<'a>,
        /// Unused.
        pad: u32,
    }
}

attr! {
    /// Opens a pinned object; returns a descriptor. Linux 4.4.
    #[doc(alias = "BPF_OBJ_GET")]
    ObjGet<'a> {
        /// Path, NUL-terminated.
        pathname: Ptr<'a, u8>,
        /// Unused.
        bpf_fd: Fd<'a>,
        /// `BPF_F_RDONLY`, `BPF_F_WRONLY` for maps.
        file_flags: u32,
        /// Directory that `pathname` is relative to; Linux 6.5.
        path_fd: Fd<'a>,
        /// Unused.
        pad: u32,
    }
}

attr! {
    /// What the `GET_NEXT_ID` and `GET_FD_BY_ID` commands take. Linux 4.13.
    #[doc(alias = "BPF_PROG_GET_NEXT_ID")]
    #[doc(alias = "BPF_PROG_GET_FD_BY_ID")]
    ById<'a> {
        /// Start id, or the id to open.
        id: u32,
        /// Out: the next id.
        next_id: u32,
        /// `BPF_F_RDONLY`, `BPF_F_WRONLY` for maps.
        open_flags: u32,
        /// BPF token; Linux 6.15.
        fd_by_id_token_fd: Fd<'a>,
    }
}

attr! {
    /// Asks what an object is. Linux 4.13.
    #[doc(alias = "BPF_OBJ_GET_INFO_BY_FD")]
    ObjInfo<'a> {
        /// The object.
        bpf_fd: Fd<'a>,
        /// In: bytes of `info`. Out: bytes written.
        info_len: u32,
        /// One of the structs of [`info`](crate::sys::info).
        info: PtrMut<'a, u8>,
    }
}

attr! {
    /// Asks which probe a perf event descriptor of some process is. Linux 4.18.
    #[doc(alias = "BPF_TASK_FD_QUERY")]
    TaskFdQuery<'a> {
        /// Process.
        pid: u32,
        /// Its descriptor.
        fd: u32,
        /// None defined.
        flags: u32,
        /// In: room in `buf`. Out: bytes of the name.
        buf_len: u32,
        /// Out: tracepoint, symbol or file name.
        buf: PtrMut<'a, u8>,
        /// Out: program id.
        prog_id: u32,
        /// Out: `BPF_FD_TYPE_*`.
        fd_type: u32,
        /// Out: offset in the symbol or the file.
        probe_offset: u64,
        /// Out: address.
        probe_addr: u64,
    }
}
