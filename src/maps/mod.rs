//! Maps: tables that programs and user space share.
//!
//! A map is a kernel object with a type, a key size, a value size and a limit. A program reaches an element by a
//! pointer; user space reaches it by a system call, one element at a time or, since Linux 5.6, one batch. Keys
//! and values are bytes, and nothing in the kernel says what they mean: that is what BTF is for, on the command
//! line, and what Rust types are for, in programs.
//!
//! ```text
//!                 key (key_size bytes)       value
//!   hash          anything                   value_size bytes
//!   array         u32 index                  value_size bytes; never deleted, all there from the start
//!   per-CPU       as hash or array           (value_size rounded up to 8) x possible CPUs
//!   lpm_trie      u32 length, then bits      value_size bytes
//!   queue, stack  none                       value_size bytes
//!   bloom_filter  none                       value_size bytes; can be asked about, not listed
//!   of maps       as hash or array           in: a descriptor. out: an id
//!   prog_array, devmap, cpumap, xskmap, sockmap, cgroup_array ...   what programs call, send to, ask about
//!   *_storage     a descriptor of the owner  value_size bytes, kept with the owner and gone with it
//!   arena         none: memory-mapped        pages
//!   ringbuf ...   none: see crate::events    records
//! ```
//!
//! # Two layers
//!
//! ```text
//!   HashMap<u32, Stats>   Array<u64>   PerCpuArray<u64>   LpmTrie<Ip4, u32>   Queue<V>   ProgArray ...
//!        keys and values are Rust types; the sizes were checked once, by `try_from`
//!                                     |
//!   Map                  keys and values are bytes; the lengths are checked at each call
//!                                     |
//!   sys::map::MapFd      the descriptor and the kernel's sizes; the system calls
//! ```
//!
//! ```no_run
//! use rawbpf::maps::{HashMap, Map};
//! let counts = HashMap::<u32, u64>::try_from(Map::open_pin("/sys/fs/bpf/counts")?)?;
//! counts.set(&80, &0)?;
//! for element in counts.iter() {
//!     let (port, count) = element?;
//!     println!("{port}: {count}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Map`] is cheap to clone: the clones share one descriptor, which is closed with the last of them.

mod batches;
mod build;
mod bytes;
mod error;
mod fdinfo;
mod fifo;
mod flags;
mod hash;
mod lpm;
mod mapped;
mod nested;
mod percpu;
mod prefetch;
mod redirect;
mod rules;
mod shared;
mod sockets;
mod split_walk;
mod stack_trace;
mod storage;
mod struct_ops;
mod typed;
mod variable;
mod walk;

pub use crate::sys::net::{Be16, Be32, Be64, Ip4, Ip6, Mac};
pub use crate::sys::plain_types::{BuildIdFrame, CgroupStorageKey};
pub use crate::sys::{Partly, Plain, SharedMapping};
pub use build::{Builder, Limit, RULES, TypeRule};
pub use error::{MapError, Mismatch};
pub use fdinfo::FdInfo;
pub use fifo::{BloomFilter, Queue, Stack};
pub use flags::ElemFlags;
pub use hash::{Array, HashMap, MapIter};
pub use lpm::{LpmTrie, Prefix, PrefixSyntax};
pub use mapped::{Arena, MappedArray};
pub use nested::{ArrayOfMaps, CgroupArray, HashOfMaps, ProgArray};
pub use percpu::{PerCpu, PerCpuArray, PerCpuHash};
pub use redirect::{CpuMap, CpuQueue, DevMap, DevMapHash, Device, XskMap};
pub use rules::Shape;
pub use shared::SharedMaps;
pub use sockets::{ReuseportSockArray, SockHash, SockMap};
pub use stack_trace::{Frames, StackTraces};
pub use storage::{CgroupStorage, InodeStorage, SocketStorage, TaskStorage};
pub use struct_ops::{StructOps, StructOpsState};
pub use variable::{Section, Variable};
pub use walk::{Elements, Entry, Walk};

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::btf::{Btf, BtfKind, Kind, TypeId};
use crate::progs::loaded_btf;
use crate::sys::info::RawMapInfo;
use crate::sys::map::{MapFd, is_per_cpu};
use crate::sys::{self, ObjectKind, SysError};
use crate::uapi::MapType;

/// An open map. Clones share the descriptor.
#[derive(Debug, Clone)]
pub struct Map {
    pub(crate) fd: Arc<MapFd>,
    info: MapInfo,
    btf: Option<Arc<Btf>>,
}

/// What the kernel keeps about a map.
#[derive(Debug, Clone)]
pub struct MapInfo {
    /// Its id, unique while it lives.
    pub id: u32,
    /// The full name, where it is known; the kernel's 15 letters otherwise.
    pub name: String,
    /// What kind of table it is.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value, of one CPU.
    pub value_size: u32,
    /// The limit: elements, or bytes for ring buffers, pages for arenas.
    pub max_entries: u32,
    /// `BPF_F_*`, see [`sys::map::flags`].
    pub flags: u32,
    /// `map_extra`.
    pub extra: u64,
    /// Id of the BTF object that describes it, 0 if none.
    pub btf_id: u32,
    /// BTF type of the key, 0 if none.
    pub key_type: TypeId,
    /// BTF type of the value, 0 if none.
    pub value_type: TypeId,
    /// Device that it is offloaded to, 0 if none.
    pub ifindex: u32,
}

impl MapInfo {
    fn new(raw: &RawMapInfo) -> MapInfo {
        MapInfo {
            id: raw.id,
            name: raw.name.text(),
            map_type: raw.map_type,
            key_size: raw.key_size,
            value_size: raw.value_size,
            max_entries: raw.max_entries,
            flags: raw.map_flags,
            extra: raw.map_extra,
            btf_id: raw.btf_id,
            key_type: TypeId(raw.btf_key_type_id),
            value_type: TypeId(raw.btf_value_type_id),
            ifindex: raw.ifindex,
        }
    }

    /// Asks about an open map. The name is the kernel's 15 letters; [`Map::from_fd`] finds the full one.
    pub fn of(fd: impl AsFd) -> Result<MapInfo, SysError> {
        Ok(MapInfo::new(&sys::map_info(fd)?))
    }

    /// True for the types that keep one value for each CPU.
    pub fn is_per_cpu(&self) -> bool {
        is_per_cpu(self.map_type)
    }
}

impl Map {
    /// Takes a descriptor of a map whose full name and types are known already.
    pub(crate) fn created(fd: OwnedFd, name: &str, btf: Option<Arc<Btf>>) -> Result<Map, SysError> {
        let (fd, raw) = MapFd::known(fd)?;
        let info = MapInfo { name: name.into(), ..MapInfo::new(&raw) };
        Ok(Map { fd: Arc::new(fd), info, btf })
    }

    /// Takes an open descriptor and asks the kernel what it is. `EINVAL` if it is not a map.
    pub fn from_fd(fd: OwnedFd) -> Result<Map, SysError> {
        MapFd::new(fd).map(Map::with_types)
    }

    /// Takes an open map, and looks up its types and its full name in them.
    pub(crate) fn with_types((fd, raw): (MapFd, RawMapInfo)) -> Map {
        let mut info = MapInfo::new(&raw);
        let btf = (info.btf_id != 0).then(|| loaded_btf(info.btf_id)).flatten();
        if let Some(full) = btf.as_deref().and_then(|btf| full_name(btf, &info)) {
            info.name = full;
        }
        Map { fd: Arc::new(fd), info, btf }
    }

    /// Opens the map with this id. Needs `CAP_SYS_ADMIN`. Linux 4.13.
    pub fn open_id(id: u32) -> Result<Map, SysError> {
        MapFd::by_id(id).map(Map::with_types)
    }

    /// Opens a pinned map. Linux 4.4.
    pub fn open_pin(path: impl AsRef<Path>) -> Result<Map, SysError> {
        Map::from_fd(sys::obj_get(path.as_ref(), 0)?)
    }

    /// Opens a pinned map for reading alone: writes through it are refused with `EPERM`. Linux 4.15.
    #[doc(alias = "BPF_F_RDONLY")]
    pub fn open_pin_read_only(path: impl AsRef<Path>) -> Result<Map, SysError> {
        Map::from_fd(sys::obj_get(path.as_ref(), sys::map::flags::RDONLY)?)
    }

    /// Its full name, as far as it is known.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// What the kernel said of it when it was opened.
    pub fn info(&self) -> &MapInfo {
        &self.info
    }

    /// The types that describe it.
    pub fn btf(&self) -> Option<&Arc<Btf>> {
        self.btf.as_ref()
    }

    /// Bytes of a key.
    pub fn key_len(&self) -> usize {
        self.fd.key_len()
    }

    /// Bytes of a value as it is read and written: for per-CPU maps the slots of all CPUs.
    pub fn value_len(&self) -> usize {
        self.fd.value_len()
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Finds the full name of a map in its BTF: the variable of `.maps` that begins with the kernel's 15
/// letters and has the map's key and value types.
fn full_name(btf: &Btf, info: &MapInfo) -> Option<String> {
    if info.name.len() < 15 {
        return None;
    }
    let section = btf.ty(btf.find(".maps", BtfKind::Datasec).ok()?).ok()?;
    let Kind::Datasec(vars) = section.kind else { return None };
    let mut found = Vec::new();
    for var in vars.iter().filter_map(|v| btf.ty(v.ty).ok()) {
        let name = var.name.to_string();
        if name.starts_with(&info.name) {
            let Kind::Var { ty, .. } = var.kind else { continue };
            found.push((declared_types(btf, ty) == (info.key_type, info.value_type), name));
        }
    }
    let exact: Vec<&String> = found.iter().filter(|(same, _)| *same).map(|(_, name)| name).collect();
    match (exact.as_slice(), found.as_slice()) {
        ([one], _) => Some((*one).clone()),
        (_, [(_, one)]) => Some(one.clone()),
        _ => None,
    }
}

/// The key and value types of a map's declaration.
fn declared_types(btf: &Btf, ty: TypeId) -> (TypeId, TypeId) {
    let pointee = |name: &str| {
        let members = btf.resolve(ty).ok()?.members()?;
        let member = members.iter().find(|m| m.name == name)?;
        match btf.resolve(member.ty).ok()?.kind {
            Kind::Ptr(to) => Some(to),
            _ => None,
        }
    };
    (pointee("key").unwrap_or_default(), pointee("value").unwrap_or_default())
}

/// All maps of the machine, by id, with their full names. Needs `CAP_SYS_ADMIN`. One that goes away
/// meanwhile is left out.
pub fn list() -> Result<Vec<Map>, SysError> {
    let mut out = Vec::new();
    let mut id = 0;
    while let Some(next) = sys::next_id(ObjectKind::Map, id)? {
        id = next;
        if let Ok(map) = Map::open_id(id) {
            out.push(map);
        }
    }
    Ok(out)
}
