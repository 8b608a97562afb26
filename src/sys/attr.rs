//! One struct for each command of `bpf(2)`, laid out as the kernel reads it.
//!
//! `union bpf_attr` in `include/uapi/linux/bpf.h` is a union of about forty structs. Here each is a
//! type of its own, made by the macro `attr!`, which also
//! * asserts at compile time that the struct has no padding (the kernel would read rubbish there),
//! * makes the all-zero value (`Default`): zero is the kernel's "not given" everywhere,
//! * lists the fields that are set, by their UAPI names, for `rawbpf --explain`.
//!
//! The layouts are checked against the running kernel's own BTF by a test.

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::uapi::{AttachType, MapType, ProgType};

/// A pointer that the kernel reads through, as the u64 that `bpf_attr` holds. It borrows what it points
/// to, so the call cannot come after the memory is gone.
#[repr(transparent)]
pub struct Ptr<'a, T>(u64, PhantomData<&'a [T]>);

impl<'a, T> Ptr<'a, T> {
    /// "Not given".
    pub const NULL: Self = Ptr(0, PhantomData);

    /// Points to the elements of a slice; an empty slice is "not given".
    pub fn to(slice: &'a [T]) -> Self {
        if slice.is_empty() { Self::NULL } else { Ptr(slice.as_ptr() as u64, PhantomData) }
    }
}

impl<'a> Ptr<'a, u8> {
    /// Points to a NUL-terminated string.
    pub fn to_str(s: &'a CStr) -> Self {
        Ptr(s.as_ptr() as u64, PhantomData)
    }

    /// The address, for structs that hold pointers as plain numbers.
    pub(super) fn address(&self) -> u64 {
        self.0
    }
}

/// A pointer that the kernel writes through. It borrows its target exclusively.
#[repr(transparent)]
pub struct PtrMut<'a, T>(u64, PhantomData<&'a mut [T]>);

impl<'a, T> PtrMut<'a, T> {
    /// "Not given".
    pub const NULL: Self = PtrMut(0, PhantomData);

    /// Points to the elements of a slice; an empty slice is "not given".
    pub fn to(slice: &'a mut [T]) -> Self {
        if slice.is_empty() { Self::NULL } else { PtrMut(slice.as_mut_ptr() as u64, PhantomData) }
    }

    /// The address, for structs that hold pointers as plain numbers.
    pub(super) fn address(&self) -> u64 {
        self.0
    }

    /// Points to memory that the command at hand only reads, though others write through the same field.
    pub(super) fn to_const(slice: &'a [T]) -> Self {
        if slice.is_empty() { Self::NULL } else { PtrMut(slice.as_ptr() as u64, PhantomData) }
    }
}

/// A file descriptor argument, 0 for "not given".
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fd<'a>(i32, PhantomData<BorrowedFd<'a>>);

impl<'a> Fd<'a> {
    /// "Not given".
    pub const NONE: Self = Fd(0, PhantomData);

    /// Borrows an open descriptor for the call.
    pub fn of(fd: &'a (impl AsFd + ?Sized)) -> Self {
        Fd(fd.as_fd().as_raw_fd(), PhantomData)
    }

    /// A borrowed descriptor, or "not given".
    pub fn borrow(fd: Option<BorrowedFd<'a>>) -> Self {
        fd.map_or(Fd::NONE, |fd| Fd(fd.as_raw_fd(), PhantomData))
    }

    /// An interface index, in the fields that the kernel reads as either.
    pub fn ifindex(index: u32) -> Self {
        Fd(index as i32, PhantomData)
    }

    /// The number as the kernel sees it.
    pub fn raw(self) -> i32 {
        self.0
    }
}

impl Default for Fd<'_> {
    fn default() -> Self {
        Fd::NONE
    }
}

impl<T> Default for Ptr<'_, T> {
    fn default() -> Self {
        Ptr::NULL
    }
}

impl<T> Default for PtrMut<'_, T> {
    fn default() -> Self {
        PtrMut::NULL
    }
}

/// A program, map or BTF name as the kernel keeps it: at most 15 bytes and a NUL.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ObjName(pub [u8; 16]);

impl ObjName {
    /// Cuts `name` to its first 15 bytes. The kernel accepts letters, digits, `_` and `.` (`.` since 5.2)
    /// and refuses anything else with `EINVAL`.
    #[doc(alias = "BPF_OBJ_NAME_LEN")]
    pub fn cut(name: &str) -> ObjName {
        let mut out = [0; 16];
        for (to, from) in out.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        ObjName(out)
    }

    /// The name up to its NUL.
    pub fn text(&self) -> String {
        let bytes = self.0.split(|&b| b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// How a field shows in `rawbpf --explain`: nothing when it is zero.
pub trait Field {
    /// The value as text, `None` when it is the kernel's "not given".
    fn show(&self) -> Option<String>;
}

macro_rules! show_numbers {
    ($($t:ty),*) => { $(impl Field for $t {
        fn show(&self) -> Option<String> { (*self != 0).then(|| self.to_string()) }
    })* };
}
show_numbers!(u32, i32, u64);

macro_rules! show_enums {
    ($($t:ty),*) => { $(impl Field for $t {
        fn show(&self) -> Option<String> { (self.0 != 0).then(|| format!("{self:?}")) }
    })* };
}
show_enums!(MapType, ProgType);

impl Field for AttachType {
    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl<T> Field for Ptr<'_, T> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| format!("{:#x}", self.0))
    }
}

impl<T> Field for PtrMut<'_, T> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| format!("{:#x}", self.0))
    }
}

impl Field for Fd<'_> {
    fn show(&self) -> Option<String> {
        (self.0 != 0).then(|| self.0.to_string())
    }
}

impl Field for ObjName {
    fn show(&self) -> Option<String> {
        (self.0[0] != 0).then(|| format!("\"{}\"", self.text()))
    }
}

/// What a `bpf(2)` command takes.
///
/// # Safety
/// The type must be `#[repr(C)]`, without padding, and laid out as the kernel expects for the command that
/// it is passed with.
pub unsafe trait Attr {
    /// The fields that are set, as (UAPI name, value).
    fn fields(&self) -> Vec<(&'static str, String)>;
}

macro_rules! attr {
    ($(#[$meta:meta])* $name:ident $(<$lt:lifetime>)? {
        $($(#[$fmeta:meta])* $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Default)]
        pub struct $name $(<$lt>)? { $($(#[$fmeta])* pub $field: $ty,)* }

        impl $(<$lt>)? $name $(<$lt>)? {
            /// The kernel would read padding, so there must be none.
            #[allow(dead_code, reason = "compilers before 1.90 do not see the use below")]
            const NO_PADDING: () = assert!(
                size_of::<Self>() == 0 $(+ size_of::<$ty>())*,
                concat!(stringify!($name), " has padding"),
            );
        }
        const _: () = $name::NO_PADDING;

        impl $(<$lt>)? fmt::Debug for $name $(<$lt>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut s = f.debug_struct(stringify!($name));
                for (name, value) in self.fields() {
                    s.field(name, &format_args!("{value}"));
                }
                s.finish()
            }
        }

        // SAFETY: repr(C), no padding (asserted above), the kernel's layout (checked against BTF by a test).
        unsafe impl $(<$lt>)? Attr for $name $(<$lt>)? {
            fn fields(&self) -> Vec<(&'static str, String)> {
                let mut out = Vec::new();
                $(if let Some(v) = self.$field.show() { out.push((stringify!($field), v)); })*
                out
            }
        }
    };
}

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
        /// `BPF_F_*` flags of [`map::flags`](super::map::flags).
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
        excl_prog_hash: Ptr<'a, u8>,
        /// Bytes of `excl_prog_hash`.
        excl_prog_hash_size: u32,
        /// Unused; keeps the struct free of padding.
        pad: u32,
    }
}

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
        /// The value or the next key; the kernel's size of it, see [`map::MapFd`](super::map::MapFd).
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
    /// Attaches a program without a link. Linux 4.10.
    #[doc(alias = "BPF_PROG_ATTACH")]
    ProgAttach<'a> {
        /// Cgroup, map, netns or ... descriptor, or interface index.
        target_fd: Fd<'a>,
        /// The program.
        attach_bpf_fd: Fd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// `BPF_F_ALLOW_MULTI` and others.
        attach_flags: u32,
        /// Program to replace; Linux 5.6.
        replace_bpf_fd: Fd<'a>,
        /// Program or link to stand before or after; Linux 6.6.
        relative_fd: u32,
        /// Fail unless the hook's list still has this revision; Linux 6.6.
        expected_revision: u64,
    }
}

attr! {
    /// Detaches a program that was attached without a link. Linux 4.10.
    #[doc(alias = "BPF_PROG_DETACH")]
    ProgDetach<'a> {
        /// As in [`ProgAttach`].
        target_fd: Fd<'a>,
        /// The program.
        attach_bpf_fd: Fd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// As in [`ProgAttach`].
        attach_flags: u32,
        /// Unused.
        replace_bpf_fd: Fd<'a>,
        /// As in [`ProgAttach`].
        relative_fd: u32,
        /// As in [`ProgAttach`].
        expected_revision: u64,
    }
}

attr! {
    /// Lists the programs at a hook. Linux 4.15.
    #[doc(alias = "BPF_PROG_QUERY")]
    ProgQuery<'a> {
        /// As in [`ProgAttach`].
        target_fd: Fd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// `BPF_F_QUERY_EFFECTIVE`.
        query_flags: u32,
        /// Out: flags of the hook.
        attach_flags: u32,
        /// Out: program ids.
        prog_ids: PtrMut<'a, u32>,
        /// In: room. Out: number of programs.
        count: u32,
        /// Unused.
        pad: u32,
        /// Out: flags of each program; Linux 6.1.
        prog_attach_flags: PtrMut<'a, u32>,
        /// Out: link id of each program, 0 if none; Linux 6.6.
        link_ids: PtrMut<'a, u32>,
        /// Out: flags of each link; Linux 6.6.
        link_attach_flags: PtrMut<'a, u32>,
        /// Out: revision of the hook's list; Linux 6.6.
        revision: u64,
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
        /// One of the structs of [`info`](super::info).
        info: PtrMut<'a, u8>,
    }
}

attr! {
    /// Attaches a raw tracepoint, and other tracing programs up to Linux 5.14; returns a link. Linux 4.17.
    #[doc(alias = "BPF_RAW_TRACEPOINT_OPEN")]
    RawTracepointOpen<'a> {
        /// Tracepoint, NUL-terminated; "not given" for tracing and LSM programs.
        name: Ptr<'a, u8>,
        /// The program.
        prog_fd: Fd<'a>,
        /// Unused.
        pad: u32,
        /// Value that the program gets by `bpf_get_attach_cookie`; Linux 6.9.
        cookie: u64,
    }
}

attr! {
    /// Attaches a program; returns a link, which detaches when its last descriptor and pin are gone.
    /// Linux 5.7.
    ///
    /// The tail of this struct is a union in the kernel, by attach type: see [`LinkExtra`].
    #[doc(alias = "BPF_LINK_CREATE")]
    LinkCreate<'a> {
        /// The program (or the struct_ops map).
        prog_fd: Fd<'a>,
        /// Cgroup, netns, perf event, map ... descriptor, or interface index.
        target_fd: Fd<'a>,
        /// The hook.
        attach_type: AttachType,
        /// `XDP_FLAGS_*`, `BPF_F_BEFORE` ... by attach type.
        flags: u32,
        /// What this attach type wants besides.
        extra: LinkExtra<'a>,
    }
}

/// The attach type's own part of [`LinkCreate`]: a union in the kernel, 48 bytes here.
#[repr(C)]
#[derive(Default)]
pub struct LinkExtra<'a>([u64; 6], PhantomData<&'a ()>);

impl<'a> LinkExtra<'a> {
    fn words(words: [u64; 6]) -> Self {
        LinkExtra(words, PhantomData)
    }

    /// Two u32 fields that share a word of the union, in memory order.
    fn pair(first: u32, second: u32) -> u64 {
        let [a, b, c, d] = first.to_ne_bytes();
        let [e, f, g, h] = second.to_ne_bytes();
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    /// `perf_event.bpf_cookie`: kprobes, uprobes, tracepoints; Linux 5.15.
    pub fn perf_event(cookie: u64) -> Self {
        Self::words([cookie, 0, 0, 0, 0, 0])
    }

    /// `tracing.target_btf_id`, `tracing.cookie`: fentry and its kin, freplace, LSM.
    pub fn tracing(target_btf_id: u32, cookie: u64) -> Self {
        Self::words([Self::pair(target_btf_id, 0), cookie, 0, 0, 0, 0])
    }

    /// `iter_info`, `iter_info_len`; Linux 5.8.
    pub fn iter(info: &'a [u8]) -> Self {
        Self::words([Ptr::to(info).0, Self::pair(info.len() as u32, 0), 0, 0, 0, 0])
    }

    /// `kprobe_multi` with symbols as an array of string pointers, or with addresses.
    pub fn kprobe_multi(
        flags: u32,
        count: u32,
        syms: Ptr<'a, Ptr<'a, u8>>,
        addrs: Ptr<'a, u64>,
        cookies: Ptr<'a, u64>,
    ) -> Self {
        Self::words([Self::pair(flags, count), syms.0, addrs.0, cookies.0, 0, 0])
    }

    /// `uprobe_multi`; Linux 6.6.
    pub fn uprobe_multi(
        path: &'a CStr,
        offsets: &'a [u64],
        ref_ctr_offsets: Ptr<'a, u64>,
        cookies: Ptr<'a, u64>,
        flags: u32,
        pid: u32,
    ) -> Self {
        Self::words([
            Ptr::to_str(path).0,
            Ptr::to(offsets).0,
            ref_ctr_offsets.0,
            cookies.0,
            Self::pair(offsets.len() as u32, flags),
            Self::pair(pid, 0),
        ])
    }

    /// `netfilter.{pf, hooknum, priority, flags}`; Linux 6.4.
    pub fn netfilter(pf: u32, hook: u32, priority: i32, flags: u32) -> Self {
        Self::words([Self::pair(pf, hook), Self::pair(priority as u32, flags), 0, 0, 0, 0])
    }

    /// `tcx`, `netkit`, `cgroup`: `{relative_fd | relative_id, expected_revision}`; Linux 6.6.
    pub fn ordered(relative: u32, expected_revision: u64) -> Self {
        Self::words([Self::pair(relative, 0), expected_revision, 0, 0, 0, 0])
    }

    /// `tracing_multi.{ids, cookies, cnt}`; Linux 7.2.
    pub fn tracing_multi(ids: &'a [u32], cookies: Ptr<'a, u64>) -> Self {
        Self::words([Ptr::to(ids).0, cookies.0, Self::pair(ids.len() as u32, 0), 0, 0, 0])
    }
}

impl Field for LinkExtra<'_> {
    fn show(&self) -> Option<String> {
        let last = self.0.iter().rposition(|&w| w != 0)?;
        let words = self.0.iter().take(last + 1).map(|w| format!("{w:#x}")).collect::<Vec<_>>();
        Some(format!("[{}]", words.join(", ")))
    }
}

attr! {
    /// Puts another program behind a link, atomically. Linux 5.7.
    #[doc(alias = "BPF_LINK_UPDATE")]
    LinkUpdate<'a> {
        /// The link.
        link_fd: Fd<'a>,
        /// The new program (or struct_ops map).
        new_prog_fd: Fd<'a>,
        /// `BPF_F_REPLACE` if `old_prog_fd` is given.
        flags: u32,
        /// Fail unless this program is behind the link now.
        old_prog_fd: Fd<'a>,
    }
}

attr! {
    /// Detaches a link by force: the link object stays, without effect. Linux 5.9.
    #[doc(alias = "BPF_LINK_DETACH")]
    LinkDetach<'a> {
        /// The link.
        link_fd: Fd<'a>,
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
    /// Starts an iterator; returns a descriptor to read from. Linux 5.8.
    #[doc(alias = "BPF_ITER_CREATE")]
    IterCreate<'a> {
        /// The iterator's link.
        link_fd: Fd<'a>,
        /// None defined.
        flags: u32,
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
