//! Maps: tables that programs and user space share.
//!
//! A map is a kernel object with a type, a key size, a value size and a limit. User space reaches its
//! elements by system calls, one element or (since Linux 5.6) one batch at a time; keys and values are
//! bytes, and BTF, if the map has it, says what they mean. [`Map`] is an open map with its full name and
//! its types.
//!
//! ```text
//!            key (key_size bytes)           value
//!   hash     anything                       value_size bytes
//!   array    u32 index                      value_size bytes
//!   per-CPU  as hash or array               (value_size rounded up to 8) × possible CPUs
//!   queue    none                           value_size bytes
//!   ringbuf  none: memory-mapped            -
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use crate::btf::{Btf, BtfKind, Kind, TypeId};
use crate::progs::loaded_btf;
use crate::sys::info::RawMapInfo;
use crate::sys::map::{Batch, MapFd, is_per_cpu};
use crate::sys::{self, Errno, ObjectKind, SysError};
use crate::uapi::MapType;

/// An open map.
#[derive(Debug)]
pub struct Map {
    fd: MapFd,
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
        let (fd, raw) = MapFd::new(fd)?;
        let info = MapInfo { name: name.into(), ..MapInfo::new(&raw) };
        Ok(Map { fd, info, btf })
    }

    /// Takes an open descriptor and asks the kernel what it is. `EINVAL` if it is not a map.
    pub fn from_fd(fd: OwnedFd) -> Result<Map, SysError> {
        let (fd, raw) = MapFd::new(fd)?;
        let mut info = MapInfo::new(&raw);
        let btf = (info.btf_id != 0).then(|| loaded_btf(info.btf_id)).flatten();
        if let Some(full) = btf.as_deref().and_then(|btf| full_name(btf, &info)) {
            info.name = full;
        }
        Ok(Map { fd, info, btf })
    }

    /// Opens the map with this id. Needs `CAP_SYS_ADMIN`. Linux 4.13.
    pub fn open_id(id: u32) -> Result<Map, SysError> {
        Map::from_fd(sys::fd_by_id(ObjectKind::Map, id)?)
    }

    /// Opens a pinned map. Linux 4.4.
    pub fn open_pin(path: impl AsRef<Path>) -> Result<Map, SysError> {
        Map::from_fd(sys::obj_get(path.as_ref(), 0)?)
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

    /// Reads an element. `None` if there is none. `flags`: `BPF_F_LOCK`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, SysError> {
        let mut value = vec![0; self.value_len()];
        Ok(self.fd.lookup(key, &mut value, 0)?.then_some(value))
    }

    /// Writes an element. `flags`: 0 any, 1 only a new one (`BPF_NOEXIST`), 2 only an existing one (`BPF_EXIST`).
    pub fn set(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), SysError> {
        self.fd.update(key, value, flags)
    }

    /// Removes an element; false if there was none.
    pub fn delete(&self, key: &[u8]) -> Result<bool, SysError> {
        self.fd.delete(key)
    }

    /// Forbids writes from user space from now on. Linux 5.2.
    pub fn freeze(&self) -> Result<(), SysError> {
        self.fd.freeze()
    }

    /// Gives it a name in a bpffs; it then outlives this process. Linux 4.4.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), SysError> {
        sys::obj_pin(&self.fd, path.as_ref())
    }

    /// Calls `each` with every element, and says whether that was all of them.
    ///
    /// Reads in batches where the kernel can (hashes since Linux 5.6), else key by key. A map that is
    /// written to meanwhile may hide elements or, in a hash, send the key-by-key walk back to its start; the
    /// walk ends all the same, after twice as many keys as the map can hold.
    pub fn for_each(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<Walk, SysError> {
        match self.batches(&mut each) {
            Err(e) if is_unsupported(e.errno) => self.keys(each),
            other => other,
        }
    }

    fn batches(&self, each: &mut impl FnMut(&[u8], &[u8])) -> Result<Walk, SysError> {
        let mut batch = Batch::new(4096.min(self.info.max_entries.max(1) as usize));
        let mut walk = Walk { elements: 0, complete: true };
        loop {
            let more = match self.fd.lookup_batch(&mut batch, false) {
                // A bucket with more elements than fit: ask for more at a time.
                Err(e) if e.errno == Errno::ENOSPC && batch.max < 1 << 20 => {
                    batch.max *= 4;
                    continue;
                }
                other => other?,
            };
            let (key, value) = (self.key_len().max(1), self.value_len().max(1));
            for (key, value) in batch.keys.chunks_exact(key).zip(batch.values.chunks_exact(value)) {
                walk.elements += 1;
                each(key, value);
            }
            if !more {
                return Ok(walk);
            }
        }
    }

    fn keys(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<Walk, SysError> {
        let mut walk = Walk { elements: 0, complete: true };
        let (mut key, mut value) = (vec![0; self.key_len()], vec![0; self.value_len()]);
        let mut more = self.fd.next_key(None, &mut key)?;
        let limit = u64::from(self.info.max_entries).saturating_mul(2);
        let mut steps = 0;
        while more {
            // An element may be gone by now; then there is nothing to show.
            if self.fd.lookup(&key, &mut value, 0)? {
                walk.elements += 1;
                each(&key, &value);
            }
            steps += 1;
            if steps > limit {
                walk.complete = false;
                break;
            }
            let last = key.clone();
            more = self.fd.next_key(Some(&last), &mut key)?;
        }
        Ok(walk)
    }
}

/// What a walk over a map saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// How many elements.
    pub elements: u64,
    /// False if the map changed so much meanwhile that the walk was ended.
    pub complete: bool,
}

/// What kernels answer to batch reads of map types that have none, and before 5.6.
fn is_unsupported(errno: Errno) -> bool {
    [Errno::EINVAL, Errno::ENOTSUPP, Errno::EOPNOTSUPP].contains(&errno)
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
