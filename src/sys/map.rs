//! A map descriptor that knows its sizes.
//!
//! `BPF_MAP_LOOKUP_ELEM` has no length argument. The kernel copies *its* idea of a value to the address
//! it was given: `value_size` bytes for most maps, but for per-CPU maps `value_size` rounded up to 8,
//! times the number of possible CPUs. A buffer that is too short is overrun, silently. So the number
//! lives here, beside the descriptor, and every buffer is checked against it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::ask::known_map_info;
use super::attr::{Fd, MapElem, Ptr, PtrMut};
use super::cmd::call;
use super::cpu::possible_cpus;
use super::errno::{Errno, SysError};
use super::info::RawMapInfo;
use super::object::{ObjectKind, fd_by_id};
use crate::uapi::{Cmd, MapType};

/// `map_flags` of map creation, and the flags that limit a descriptor.
#[allow(missing_docs)]
pub mod flags {
    #[doc(alias = "BPF_F_NO_PREALLOC")]
    pub const NO_PREALLOC: u32 = 1 << 0;
    #[doc(alias = "BPF_F_NO_COMMON_LRU")]
    pub const NO_COMMON_LRU: u32 = 1 << 1;
    #[doc(alias = "BPF_F_NUMA_NODE")]
    pub const NUMA_NODE: u32 = 1 << 2;
    #[doc(alias = "BPF_F_RDONLY")]
    pub const RDONLY: u32 = 1 << 3;
    #[doc(alias = "BPF_F_WRONLY")]
    pub const WRONLY: u32 = 1 << 4;
    #[doc(alias = "BPF_F_STACK_BUILD_ID")]
    pub const STACK_BUILD_ID: u32 = 1 << 5;
    #[doc(alias = "BPF_F_ZERO_SEED")]
    pub const ZERO_SEED: u32 = 1 << 6;
    #[doc(alias = "BPF_F_RDONLY_PROG")]
    pub const RDONLY_PROG: u32 = 1 << 7;
    #[doc(alias = "BPF_F_WRONLY_PROG")]
    pub const WRONLY_PROG: u32 = 1 << 8;
    #[doc(alias = "BPF_F_CLONE")]
    pub const CLONE: u32 = 1 << 9;
    #[doc(alias = "BPF_F_MMAPABLE")]
    pub const MMAPABLE: u32 = 1 << 10;
    #[doc(alias = "BPF_F_PRESERVE_ELEMS")]
    pub const PRESERVE_ELEMS: u32 = 1 << 11;
    #[doc(alias = "BPF_F_INNER_MAP")]
    pub const INNER_MAP: u32 = 1 << 12;
    #[doc(alias = "BPF_F_LINK")]
    pub const LINK: u32 = 1 << 13;
    #[doc(alias = "BPF_F_VTYPE_BTF_OBJ_FD")]
    pub const VTYPE_BTF_OBJ_FD: u32 = 1 << 15;
    #[doc(alias = "BPF_F_TOKEN_FD")]
    pub const TOKEN_FD: u32 = 1 << 16;
    #[doc(alias = "BPF_F_SEGV_ON_FAULT")]
    pub const SEGV_ON_FAULT: u32 = 1 << 17;
    #[doc(alias = "BPF_F_NO_USER_CONV")]
    pub const NO_USER_CONV: u32 = 1 << 18;
    #[doc(alias = "BPF_F_RB_OVERWRITE")]
    pub const RB_OVERWRITE: u32 = 1 << 19;

    /// The flags by their names without `BPF_F_`, for showing and for the command line.
    pub const NAMES: &[(u32, &str)] = &[
        (NO_PREALLOC, "NO_PREALLOC"),
        (NO_COMMON_LRU, "NO_COMMON_LRU"),
        (NUMA_NODE, "NUMA_NODE"),
        (RDONLY, "RDONLY"),
        (WRONLY, "WRONLY"),
        (STACK_BUILD_ID, "STACK_BUILD_ID"),
        (ZERO_SEED, "ZERO_SEED"),
        (RDONLY_PROG, "RDONLY_PROG"),
        (WRONLY_PROG, "WRONLY_PROG"),
        (CLONE, "CLONE"),
        (MMAPABLE, "MMAPABLE"),
        (PRESERVE_ELEMS, "PRESERVE_ELEMS"),
        (INNER_MAP, "INNER_MAP"),
        (LINK, "LINK"),
        (VTYPE_BTF_OBJ_FD, "VTYPE_BTF_OBJ_FD"),
        (TOKEN_FD, "TOKEN_FD"),
        (SEGV_ON_FAULT, "SEGV_ON_FAULT"),
        (NO_USER_CONV, "NO_USER_CONV"),
        (RB_OVERWRITE, "RB_OVERWRITE"),
    ];

    /// The names of those that are set, as `BPF_F_X | BPF_F_Y`; a number for bits without a name.
    pub fn names(set: u32) -> String {
        let named = NAMES.iter().filter(|(bit, _)| set & bit != 0);
        let rest = set & !NAMES.iter().fold(0, |all, (bit, _)| all | bit);
        let mut names: Vec<String> = named.map(|(_, name)| format!("BPF_F_{name}")).collect();
        if rest != 0 {
            names.push(format!("{rest:#x}"));
        }
        names.join(" | ")
    }
}

/// True for the types whose value is one slot per possible CPU.
pub const fn is_per_cpu(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::PercpuHash | MapType::PercpuArray | MapType::LruPercpuHash | MapType::PercpuCgroupStorage
    )
}

/// True for the types whose keys are the numbers below `max_entries`: a walk over them cannot start again.
pub const fn is_indexed(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::Array
            | MapType::PercpuArray
            | MapType::ArrayOfMaps
            | MapType::ProgArray
            | MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::Devmap
            | MapType::Cpumap
            | MapType::Xskmap
            | MapType::Sockmap
            | MapType::ReuseportSockarray
            | MapType::StructOps
            | MapType::InsnArray
    )
}

/// An open map together with the sizes that the kernel uses for it.
#[derive(Debug)]
pub struct MapFd {
    fd: OwnedFd,
    id: u32,
    map_type: MapType,
    key_len: usize,
    value_len: usize,
    slot_len: usize,
    /// Why its elements cannot be reached: how many bytes the kernel would write is not known.
    unknown: Option<SysError>,
}

impl MapFd {
    /// Asks the kernel what an open descriptor is, and for its sizes. `EINVAL` if it is not a map.
    ///
    /// A map whose values have a length that cannot be told is opened all the same, and its elements are refused with
    /// the reason: a per-CPU map where the number of CPUs cannot be read, and a map of a type that came after those
    /// of [`MapType`] (`EOPNOTSUPP`).
    pub fn new(fd: OwnedFd) -> Result<(MapFd, RawMapInfo), SysError> {
        ObjectKind::Map.require(&fd)?;
        MapFd::known(fd)
    }

    /// Opens the map with this id. `ENOENT` if it is gone; needs `CAP_SYS_ADMIN`. Linux 4.13.
    pub fn by_id(id: u32) -> Result<(MapFd, RawMapInfo), SysError> {
        MapFd::known(fd_by_id(ObjectKind::Map, id)?)
    }

    /// Takes what the kernel made as a map.
    pub(crate) fn known(fd: OwnedFd) -> Result<(MapFd, RawMapInfo), SysError> {
        let info = known_map_info(&fd)?;
        Ok((MapFd::with_info(fd, &info), info))
    }

    fn with_info(fd: OwnedFd, info: &RawMapInfo) -> MapFd {
        let (value_size, map_type) = (info.value_size as usize, info.map_type);
        let (slot_len, slots) = match map_type {
            t if is_per_cpu(t) => (value_size.next_multiple_of(8), possible_cpus()),
            // The value of these is a descriptor on the way in and an id on the way out.
            MapType::ArrayOfMaps | MapType::HashOfMaps | MapType::ProgArray => (4, Ok(1)),
            t if t.name().is_some() => (value_size, Ok(1)),
            _ => {
                let newer = "reaching elements of a map type that is not known here";
                (value_size, Err(SysError::other(newer, Errno::EOPNOTSUPP)))
            }
        };
        let value_len = slots.as_ref().map_or(0, |slots| slot_len.saturating_mul(*slots));
        let key_len = info.key_size as usize;
        MapFd { fd, id: info.id, map_type, key_len, value_len, slot_len, unknown: slots.err() }
    }

    /// Its id; 0 before Linux 4.13.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What kind of map it is.
    pub fn map_type(&self) -> MapType {
        self.map_type
    }

    /// Bytes of a key.
    pub fn key_len(&self) -> usize {
        self.key_len
    }

    /// Bytes of a value as user space reads and writes it: all CPUs' slots for per-CPU maps. 0 where that cannot be
    /// told, and every call that would need it fails.
    pub fn value_len(&self) -> usize {
        self.value_len
    }

    /// Bytes of a value of one CPU, rounded up to 8: where the next CPU's begins. The value's own length for
    /// other maps.
    pub fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// Refuses buffers of other lengths than the kernel's.
    pub(super) fn check(&self, cmd: Cmd, key: Option<usize>, value: Option<usize>) -> Result<(), SysError> {
        if let Some(unknown) = self.unknown {
            return Err(unknown);
        }
        let ok = key.is_none_or(|len| len == self.key_len) && value.is_none_or(|len| len == self.value_len);
        if ok { Ok(()) } else { Err(SysError::bpf(cmd, Errno::EINVAL)) }
    }

    fn elem<'a>(&'a self, key: &'a [u8], value: &'a mut [u8], flags: u64) -> MapElem<'a> {
        MapElem { map_fd: Fd::of(&self.fd), pad: 0, key: Ptr::to(key), value: PtrMut::to(value), flags }
    }

    /// `BPF_MAP_LOOKUP_ELEM`: fills `value`; false if there is no such element. For maps without keys (queue,
    /// stack, bloom filter) `key` is empty; a bloom filter reads `value` instead of filling it.
    ///
    /// With `BPF_F_CPU` only the first [`MapFd::slot_len`] bytes are filled.
    pub fn lookup(&self, key: &[u8], value: &mut [u8], flags: u64) -> Result<bool, SysError> {
        self.check(Cmd::MapLookupElem, Some(key.len()), Some(value.len()))?;
        // SAFETY: both buffers have the kernel's sizes. Test: `sound_attacks::buffers_that_are_too_short`.
        found(unsafe { call(Cmd::MapLookupElem, &mut self.elem(key, value, flags)) })
    }

    /// `BPF_MAP_LOOKUP_AND_DELETE_ELEM`: as [`MapFd::lookup`], and removes it. Linux 4.20 (queues), 5.14 (hashes).
    pub fn lookup_and_delete(&self, key: &[u8], value: &mut [u8], flags: u64) -> Result<bool, SysError> {
        self.check(Cmd::MapLookupAndDeleteElem, Some(key.len()), Some(value.len()))?;
        // SAFETY: both buffers have the kernel's sizes. Test: `sound_attacks::buffers_that_are_too_short`.
        found(unsafe { call(Cmd::MapLookupAndDeleteElem, &mut self.elem(key, value, flags)) })
    }

    /// `BPF_MAP_UPDATE_ELEM`: writes an element. `E2BIG` when the map is full, `EEXIST`/`ENOENT` by `flags`
    /// (0 any, 1 `BPF_NOEXIST`, 2 `BPF_EXIST`).
    ///
    /// With `BPF_F_CPU` or `BPF_F_ALL_CPUS` the kernel reads the value of one CPU; kernels that do not know
    /// these flags read all CPUs' before they refuse, so the value has its full length all the same.
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), SysError> {
        self.check(Cmd::MapUpdateElem, Some(key.len()), Some(value.len()))?;
        let mut attr = MapElem {
            map_fd: Fd::of(&self.fd),
            pad: 0,
            key: Ptr::to(key),
            value: PtrMut::to_const(value),
            flags,
        };
        // SAFETY: both buffers have the kernel's sizes, and an update only reads the value. Test:
        // `sound_attacks::buffers_that_are_too_short`.
        unsafe { call(Cmd::MapUpdateElem, &mut attr) }.map(drop)
    }

    /// `BPF_MAP_DELETE_ELEM`: removes an element; false if there was none.
    pub fn delete(&self, key: &[u8]) -> Result<bool, SysError> {
        self.check(Cmd::MapDeleteElem, Some(key.len()), None)?;
        // SAFETY: the key has the kernel's size. Test: `sound_attacks::buffers_that_are_too_short`.
        found(unsafe { call(Cmd::MapDeleteElem, &mut self.elem(key, &mut [], 0)) })
    }

    /// `BPF_MAP_GET_NEXT_KEY`: the key after `key` (the first, if `None`) into `next`; false at the end.
    pub fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool, SysError> {
        self.check(Cmd::MapGetNextKey, key.map(<[u8]>::len), None)?;
        self.check(Cmd::MapGetNextKey, Some(next.len()), None)?;
        // SAFETY: both buffers have the kernel's key size. Test: `sound_attacks::buffers_that_are_too_short`.
        found(unsafe { call(Cmd::MapGetNextKey, &mut self.elem(key.unwrap_or_default(), next, 0)) })
    }

    /// `BPF_MAP_FREEZE`: no more writes from user space. Linux 5.2. `EBUSY` while it is written or mapped.
    pub fn freeze(&self) -> Result<(), SysError> {
        // SAFETY: no pointers. Test: `sound_attacks::buffers_that_are_too_short`.
        unsafe { call(Cmd::MapFreeze, &mut self.elem(&[], &mut [], 0)) }.map(drop)
    }
}

/// `ENOENT` is an answer here, not a failure.
fn found(result: Result<i32, SysError>) -> Result<bool, SysError> {
    match result {
        Ok(_) => Ok(true),
        Err(e) if e.errno == Errno::ENOENT => Ok(false),
        Err(e) => Err(e),
    }
}

impl AsFd for MapFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<MapFd> for OwnedFd {
    fn from(map: MapFd) -> OwnedFd {
        map.fd
    }
}
