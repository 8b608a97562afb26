//! Loading a program and what goes with it, and running it.

use std::fmt;

use super::{Attr, AttrField, Fd, ObjName, Ptr, PtrMut, attr};
use crate::uapi::{AttachType, ProgType};

attr! {
    /// Verifies and loads a program; returns its descriptor. Linux 3.18.
    #[doc(alias = "BPF_PROG_LOAD")]
    ProgLoad<'a> {
        /// What kind of program.
        prog_type: ProgType,
        /// Number of 8-byte slots in `insns`.
        insn_cnt: u32,
        /// The instructions.
        insns: Ptr<'a, [u8; 8]>,
        /// License, NUL-terminated; "GPL" and its kin unlock GPL-only helpers.
        license: Ptr<'a, u8>,
        /// 0 none, 1 branches, 2 every instruction, 4 statistics (a bit set).
        log_level: u32,
        /// Bytes of `log_buf`; 128 to u32::MAX >> 2.
        log_size: u32,
        /// Where the verifier writes.
        log_buf: PtrMut<'a, u8>,
        /// `LINUX_VERSION_CODE`; checked for kprobes up to Linux 4.20.
        kern_version: u32,
        /// `BPF_F_SLEEPABLE` and others of [`prog_flags`].
        prog_flags: u32,
        /// Name; Linux 4.15.
        prog_name: ObjName,
        /// Device of an offloaded or device-bound program.
        prog_ifindex: u32,
        /// Hook that the program will be attached to; Linux 4.17.
        expected_attach_type: AttachType,
        /// BTF that the infos below refer to; Linux 4.20.
        prog_btf_fd: Fd<'a>,
        /// Bytes of one `func_info` record.
        func_info_rec_size: u32,
        /// Functions: first slot and BTF type of each.
        func_info: Ptr<'a, u8>,
        /// Number of `func_info` records.
        func_info_cnt: u32,
        /// Bytes of one `line_info` record.
        line_info_rec_size: u32,
        /// Source lines.
        line_info: Ptr<'a, u8>,
        /// Number of `line_info` records.
        line_info_cnt: u32,
        /// Kernel function (or type) to attach to; Linux 5.5.
        attach_btf_id: u32,
        /// Program to replace or trace (Linux 5.5), or BTF object of a module (5.11).
        attach_prog_fd: Fd<'a>,
        /// Number of `core_relos` records, for the kernel's own CO-RE; Linux 5.17.
        core_relo_cnt: u32,
        /// Descriptors that instructions refer to by index; Linux 5.14.
        fd_array: Ptr<'a, i32>,
        /// CO-RE relocations.
        core_relos: Ptr<'a, u8>,
        /// Bytes of one `core_relos` record.
        core_relo_rec_size: u32,
        /// Out: how many bytes the whole log needs; Linux 6.4.
        log_true_size: u32,
        /// BPF token; Linux 6.9.
        prog_token_fd: Fd<'a>,
        /// Length of `fd_array` when its maps are to be bound to the program; Linux 6.14.
        fd_array_cnt: u32,
        /// PKCS#7 signature; Linux 6.18.
        signature: Ptr<'a, u8>,
        /// Bytes of `signature`.
        signature_size: u32,
        /// Keyring to check it with.
        keyring_id: i32,
    }
}

/// `prog_flags` of [`ProgLoad`].
#[allow(missing_docs)]
pub mod prog_flags {
    pub const STRICT_ALIGNMENT: u32 = 1 << 0;
    pub const ANY_ALIGNMENT: u32 = 1 << 1;
    #[doc(alias = "BPF_F_SLEEPABLE")]
    pub const SLEEPABLE: u32 = 1 << 4;
    #[doc(alias = "BPF_F_XDP_HAS_FRAGS")]
    pub const XDP_HAS_FRAGS: u32 = 1 << 5;
    #[doc(alias = "BPF_F_XDP_DEV_BOUND_ONLY")]
    pub const XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
    #[doc(alias = "BPF_F_TOKEN_FD")]
    pub const TOKEN_FD: u32 = 1 << 16;
}

attr! {
    /// Gives a BTF object to the kernel; returns its descriptor. Linux 4.18.
    #[doc(alias = "BPF_BTF_LOAD")]
    BtfLoad<'a> {
        /// The BTF.
        btf: Ptr<'a, u8>,
        /// Where the BTF verifier writes.
        btf_log_buf: PtrMut<'a, u8>,
        /// Bytes of `btf`.
        btf_size: u32,
        /// Bytes of `btf_log_buf`.
        btf_log_size: u32,
        /// 0 or 1.
        btf_log_level: u32,
        /// Out: how many bytes the whole log needs; Linux 6.4.
        btf_log_true_size: u32,
        /// `BPF_F_TOKEN_FD`.
        btf_flags: u32,
        /// BPF token; Linux 6.9.
        btf_token_fd: Fd<'a>,
    }
}

attr! {
    /// Runs a program on data from user space. Linux 4.12.
    #[doc(alias = "BPF_PROG_TEST_RUN")]
    #[doc(alias = "BPF_PROG_RUN")]
    ProgTestRun<'a> {
        /// The program.
        prog_fd: Fd<'a>,
        /// Out: what it returned.
        retval: u32,
        /// Bytes of `data_in`; XDP and tc want at least 14.
        data_size_in: u32,
        /// In: room in `data_out`. Out: bytes written.
        data_size_out: u32,
        /// The packet.
        data_in: Ptr<'a, u8>,
        /// The packet afterwards.
        data_out: PtrMut<'a, u8>,
        /// How often to run it.
        repeat: u32,
        /// Out: nanoseconds of one run, on average.
        duration: u32,
        /// Bytes of `ctx_in`.
        ctx_size_in: u32,
        /// In: room in `ctx_out`. Out: bytes written.
        ctx_size_out: u32,
        /// The context; Linux 5.2. A `syscall` program's changes to it are written back here.
        ctx_in: PtrMut<'a, u8>,
        /// The context afterwards.
        ctx_out: PtrMut<'a, u8>,
        /// `BPF_F_TEST_RUN_ON_CPU`, `BPF_F_TEST_XDP_LIVE_FRAMES`.
        flags: u32,
        /// With `BPF_F_TEST_RUN_ON_CPU`.
        cpu: u32,
        /// Frames at a time for live frames; Linux 5.18.
        batch_size: u32,
        /// Unused.
        pad: u32,
    }
}

attr! {
    /// Turns on run-time statistics for as long as the returned descriptor is open. Linux 5.8.
    #[doc(alias = "BPF_ENABLE_STATS")]
    EnableStats {
        /// 0: `BPF_STATS_RUN_TIME`.
        kind: u32,
    }
}

attr! {
    /// Keeps a map alive with a program that does not use it. Linux 5.10.
    #[doc(alias = "BPF_PROG_BIND_MAP")]
    ProgBindMap<'a> {
        /// The program.
        prog_fd: Fd<'a>,
        /// The map.
        map_fd: Fd<'a>,
        /// None defined.
        flags: u32,
    }
}

attr! {
    /// Makes a token from a bpffs that delegates. Linux 6.9.
    #[doc(alias = "BPF_TOKEN_CREATE")]
    TokenCreate<'a> {
        /// None defined.
        flags: u32,
        /// Root directory of the bpffs.
        bpffs_fd: Fd<'a>,
    }
}

attr! {
    /// Reads what a program printed to one of its streams. Linux 6.17.
    #[doc(alias = "BPF_PROG_STREAM_READ_BY_FD")]
    ProgStreamRead<'a> {
        /// Where to.
        stream_buf: PtrMut<'a, u8>,
        /// Bytes of `stream_buf`.
        stream_buf_len: u32,
        /// 1 stdout, 2 stderr.
        stream_id: u32,
        /// The program.
        prog_fd: Fd<'a>,
        /// Unused.
        pad: u32,
    }
}

attr! {
    /// Ties a program to a struct_ops map. Linux 6.19.
    #[doc(alias = "BPF_PROG_ASSOC_STRUCT_OPS")]
    ProgAssocStructOps<'a> {
        /// The map.
        map_fd: Fd<'a>,
        /// The program.
        prog_fd: Fd<'a>,
        /// None defined.
        flags: u32,
    }
}
