//! Making maps from Rust, without an object file.
//!
//! Half of what `BPF_MAP_CREATE` takes follows from the type of the map: a queue has no key, a ring buffer's size
//! is a power of two of pages, a trie must not be preallocated. [`RULES`] is that knowledge, one row a type;
//! [`Builder`] fills in what its caller did not say and leaves the rest to the kernel to refuse.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::{Map, MapError, Mismatch, Plain, Shape};
use crate::btf::{BtfBuilder, BtfError, IntEncoding, TypeId};
use crate::sys::attr::{Fd, MapCreate, ObjName};
use crate::sys::map::{flags, is_per_cpu};
use crate::sys::ring::page_size;
use crate::sys::{self, Errno, SysError};
use crate::uapi::MapType;

/// How the limit of a map is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many elements.
    Elements,
    /// So many bytes: rounded up to a power of two of pages.
    RingBytes,
    /// So many pages.
    Pages,
    /// So many elements; one for each CPU if not given.
    Cpus,
    /// There is just one.
    One,
    /// There is no limit: it must be 0.
    None,
}

/// What follows from the type of a map.
#[derive(Debug, Clone, Copy)]
#[doc(alias = "Rule")]
pub struct TypeRule {
    /// The type.
    pub map_type: MapType,
    /// Bytes of a key, if the type says so.
    pub key_size: Option<u32>,
    /// Bytes of a value, if the type says so, or what is usual.
    pub value_size: Option<u32>,
    /// How the limit is meant.
    pub limit: Limit,
    /// Flags without which the kernel refuses it.
    pub flags: u32,
    /// It must have BTF: an int for the key, and a type for the value.
    pub needs_btf: bool,
}

const fn rule(map_type: MapType, key_size: Option<u32>, value_size: Option<u32>, limit: Limit) -> TypeRule {
    TypeRule { map_type, key_size, value_size, limit, flags: 0, needs_btf: false }
}

impl TypeRule {
    const fn flags(self, flags: u32) -> TypeRule {
        TypeRule { flags, ..self }
    }

    const fn storage(map_type: MapType) -> TypeRule {
        TypeRule {
            map_type,
            key_size: Some(4),
            value_size: None,
            limit: Limit::None,
            flags: flags::NO_PREALLOC,
            needs_btf: true,
        }
    }

    /// The rule of a type; `None` for types newer than this crate.
    pub fn of(map_type: MapType) -> Option<&'static TypeRule> {
        RULES.iter().find(|rule| rule.map_type == map_type)
    }
}

/// One row for each map type.
pub static RULES: &[TypeRule] = &[
    rule(MapType::Hash, None, None, Limit::Elements),
    rule(MapType::Array, Some(4), None, Limit::Elements),
    rule(MapType::ProgArray, Some(4), Some(4), Limit::Elements),
    rule(MapType::PerfEventArray, Some(4), Some(4), Limit::Cpus),
    rule(MapType::PercpuHash, None, None, Limit::Elements),
    rule(MapType::PercpuArray, Some(4), None, Limit::Elements),
    // 127 addresses, the most that bpf_get_stackid takes by default.
    rule(MapType::StackTrace, Some(4), Some(127 * 8), Limit::Elements),
    rule(MapType::CgroupArray, Some(4), Some(4), Limit::Elements),
    rule(MapType::LruHash, None, None, Limit::Elements),
    rule(MapType::LruPercpuHash, None, None, Limit::Elements),
    rule(MapType::LpmTrie, None, None, Limit::Elements).flags(flags::NO_PREALLOC),
    rule(MapType::ArrayOfMaps, Some(4), Some(4), Limit::Elements),
    rule(MapType::HashOfMaps, None, Some(4), Limit::Elements),
    rule(MapType::Devmap, Some(4), Some(4), Limit::Elements),
    rule(MapType::Sockmap, Some(4), Some(4), Limit::Elements),
    rule(MapType::Cpumap, Some(4), Some(4), Limit::Cpus),
    rule(MapType::Xskmap, Some(4), Some(4), Limit::Elements),
    rule(MapType::Sockhash, None, Some(4), Limit::Elements),
    rule(MapType::CgroupStorage, Some(16), None, Limit::None),
    rule(MapType::ReuseportSockarray, Some(4), Some(8), Limit::Elements),
    rule(MapType::PercpuCgroupStorage, Some(16), None, Limit::None),
    rule(MapType::Queue, Some(0), None, Limit::Elements),
    rule(MapType::Stack, Some(0), None, Limit::Elements),
    TypeRule::storage(MapType::SkStorage),
    rule(MapType::DevmapHash, Some(4), Some(4), Limit::Elements),
    rule(MapType::StructOps, Some(4), None, Limit::One),
    rule(MapType::Ringbuf, Some(0), Some(0), Limit::RingBytes),
    TypeRule::storage(MapType::InodeStorage),
    TypeRule::storage(MapType::TaskStorage),
    rule(MapType::BloomFilter, Some(0), None, Limit::Elements),
    rule(MapType::UserRingbuf, Some(0), Some(0), Limit::RingBytes),
    TypeRule::storage(MapType::CgrpStorage),
    rule(MapType::Arena, Some(0), Some(0), Limit::Pages).flags(flags::MMAPABLE),
    rule(MapType::InsnArray, Some(4), Some(16), Limit::Elements),
    rule(MapType::Rhash, None, None, Limit::Elements).flags(flags::NO_PREALLOC),
];

/// A map that is to be made.
///
/// ```no_run
/// use rawbpf::maps::{Builder, Ip4, LpmTrie, Prefix};
/// use rawbpf::uapi::MapType;
/// let map = Builder::new(MapType::LpmTrie, "routes").keys::<[u8; 8]>().values::<u32>().max_entries(1024).create()?;
/// let routes = LpmTrie::<Ip4, u32>::try_from(map)?;
/// # Ok::<(), rawbpf::maps::MapError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder makes nothing before `create`"]
pub struct Builder<'a> {
    name: String,
    map_type: MapType,
    key_size: Option<u32>,
    value_size: Option<u32>,
    max_entries: Option<u32>,
    flags: u32,
    extra: u64,
    numa_node: Option<u32>,
    ifindex: u32,
    inner: Option<BorrowedFd<'a>>,
    token: Option<BorrowedFd<'a>>,
    btf: Option<(BorrowedFd<'a>, TypeId, TypeId)>,
    vmlinux_value_type: u32,
}

impl<'a> Builder<'a> {
    /// A map of this type; the kernel keeps 15 letters of its name. What is not said is taken from [`TypeRule::of`]
    /// the type.
    pub fn new(map_type: MapType, name: impl Into<String>) -> Builder<'a> {
        Builder {
            name: name.into(),
            map_type,
            key_size: None,
            value_size: None,
            max_entries: None,
            flags: 0,
            extra: 0,
            numa_node: None,
            ifindex: 0,
            inner: None,
            token: None,
            btf: None,
            vmlinux_value_type: 0,
        }
    }

    /// Keys of this type.
    pub fn keys<K: Plain>(self) -> Self {
        self.key_size(size_of::<K>() as u32)
    }

    /// Values of this type.
    pub fn values<V: Plain>(self) -> Self {
        self.value_size(size_of::<V>() as u32)
    }

    /// Bytes of a key. Of an LPM trie: 4 more than the longest prefix has.
    pub fn key_size(self, bytes: u32) -> Self {
        Builder { key_size: Some(bytes), ..self }
    }

    /// Bytes of a value, of one CPU.
    pub fn value_size(self, bytes: u32) -> Self {
        Builder { value_size: Some(bytes), ..self }
    }

    /// The limit: elements, bytes (ring buffers; rounded up) or pages (arenas).
    pub fn max_entries(self, limit: u32) -> Self {
        Builder { max_entries: Some(limit), ..self }
    }

    /// More flags of [`sys::map::flags`](crate::sys::map::flags).
    pub fn flags(self, flags: u32) -> Self {
        Builder { flags: self.flags | flags, ..self }
    }

    /// `map_extra`: the number of hash functions of a bloom filter (1 to 15), the address of an arena. Linux 5.16.
    pub fn extra(self, extra: u64) -> Self {
        Builder { extra, ..self }
    }

    /// Takes the memory from this NUMA node. Linux 4.14.
    pub fn numa_node(self, node: u32) -> Self {
        Builder { numa_node: Some(node), flags: self.flags | flags::NUMA_NODE, ..self }
    }

    /// Offloads it to this device.
    pub fn offload(self, ifindex: u32) -> Self {
        Builder { ifindex, ..self }
    }

    /// What the inner maps of a map of maps look like: an open map that is like them.
    pub fn inner(self, map: &'a impl AsFd) -> Self {
        Builder { inner: Some(map.as_fd()), ..self }
    }

    /// Creates it with the rights of a BPF token. Linux 6.9.
    pub fn token(self, token: &'a impl AsFd) -> Self {
        Builder { token: Some(token.as_fd()), flags: self.flags | flags::TOKEN_FD, ..self }
    }

    /// The types of keys and values, in a BTF object that the kernel has. Linux 4.18.
    pub fn types(self, btf: &'a impl AsFd, key: TypeId, value: TypeId) -> Self {
        Builder { btf: Some((btf.as_fd(), key, value)), ..self }
    }

    /// The kernel's own type (`struct bpf_struct_ops_...`) that is the value of a struct_ops map. Linux 5.6.
    pub fn vmlinux_value_type(self, id: TypeId) -> Self {
        Builder { vmlinux_value_type: id.0, ..self }
    }

    /// The fields of the map as the kernel will be asked for them.
    fn fields(&self) -> [(&'static str, u64); 6] {
        let rule = TypeRule::of(self.map_type);
        let key_size = self.key_size.or(rule.and_then(|r| r.key_size)).unwrap_or(0);
        let value_size = self.value_size.or(rule.and_then(|r| r.value_size)).unwrap_or(0);
        let flags = self.flags | rule.map_or(0, |r| r.flags);
        [
            ("type", self.map_type.0.into()),
            ("key_size", key_size.into()),
            ("value_size", value_size.into()),
            ("max_entries", self.limit(rule.map_or(Limit::Elements, |r| r.limit)).into()),
            ("map_flags", (flags & !flags::TOKEN_FD).into()),
            ("map_extra", self.extra),
        ]
    }

    fn limit(&self, limit: Limit) -> u32 {
        let given = self.max_entries;
        match limit {
            Limit::Elements | Limit::Pages => given.unwrap_or(1),
            Limit::RingBytes => ring_size(given.unwrap_or(1 << 18)),
            Limit::Cpus => given.unwrap_or_else(|| sys::possible_cpus().map_or(0, |cpus| cpus as u32)),
            Limit::One => given.unwrap_or(1),
            Limit::None => given.unwrap_or(0),
        }
    }

    /// How many bytes of memory it will take, roughly: the kernel adds a head to each element and rounds up.
    pub fn memory(&self) -> u64 {
        /// What a hash keeps beside an element.
        const HEAD: u64 = 48;
        let [_, (_, key), (_, value), (_, entries), (_, flags), _] = self.fields();
        let cpus = if is_per_cpu(self.map_type) { sys::possible_cpus().unwrap_or(1) as u64 } else { 1 };
        let value = value.next_multiple_of(8).saturating_mul(cpus);
        match TypeRule::of(self.map_type).map(|rule| rule.limit) {
            Some(Limit::RingBytes) => entries,
            _ if flags & u64::from(flags::NO_PREALLOC) != 0 => 0,
            _ if matches!(
                self.map_type,
                MapType::Array | MapType::PercpuArray | MapType::Queue | MapType::Stack
            ) =>
            {
                entries.saturating_mul(value)
            }
            Some(Limit::Elements) => {
                entries.saturating_mul(key.next_multiple_of(8).saturating_add(value).saturating_add(HEAD))
            }
            _ => 0,
        }
    }

    /// Makes the map.
    ///
    /// Before Linux 5.11 the memory of maps counts against `RLIMIT_MEMLOCK`, and `EPERM` is what the kernel says
    /// when it is used up; then the limit is raised, for this process, and the map is tried once more.
    pub fn create(&self) -> Result<Map, MapError> {
        let fail = |source| MapError::Create {
            map: self.name.clone(),
            map_type: self.map_type,
            what: self.describe(),
            shape: self.shape(),
            source,
        };
        if self.max_entries.is_none()
            && TypeRule::of(self.map_type).is_some_and(|rule| rule.limit == Limit::Cpus)
        {
            sys::possible_cpus().map_err(fail)?;
        }
        let needs_btf = TypeRule::of(self.map_type).is_some_and(|rule| rule.needs_btf) && self.btf.is_none();
        let made = if needs_btf { Some(self.plain_types().map_err(fail)?) } else { None };
        let types = match (&self.btf, &made) {
            (Some((fd, key, value)), _) => Some((*fd, *key, *value)),
            (None, Some((fd, key, value))) => Some((fd.as_fd(), *key, *value)),
            (None, None) => None,
        };
        let fd = match self.ask(types) {
            Err(e) if e.errno == Errno::EPERM => {
                let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
                self.ask(types)
            }
            other => other,
        };
        let mut map = Map::from_fd(fd.map_err(fail)?).map_err(fail)?;
        map.info.name.clone_from(&self.name);
        Ok(map)
    }

    fn ask(&self, types: Option<(BorrowedFd<'_>, TypeId, TypeId)>) -> Result<OwnedFd, SysError> {
        let [_, (_, key), (_, value), (_, entries), (_, map_flags), _] = self.fields();
        let mut attr = MapCreate {
            map_type: self.map_type,
            key_size: key as u32,
            value_size: value as u32,
            max_entries: entries as u32,
            map_flags: map_flags as u32 | self.flags & flags::TOKEN_FD,
            inner_map_fd: Fd::borrow(self.inner),
            numa_node: self.numa_node.unwrap_or(0),
            map_name: ObjName::cut(&self.name),
            map_ifindex: self.ifindex,
            btf_fd: Fd::borrow(types.map(|t| t.0)),
            btf_key_type_id: types.map_or(0, |t| t.1.0),
            btf_value_type_id: types.map_or(0, |t| t.2.0),
            btf_vmlinux_value_type_id: self.vmlinux_value_type,
            map_extra: self.extra,
            map_token_fd: Fd::borrow(self.token),
            ..Default::default()
        };
        sys::map_create(&mut attr)
    }

    /// Local storages must have types: an int for the key, and bytes for the value.
    fn plain_types(&self) -> Result<(OwnedFd, TypeId, TypeId), SysError> {
        let [_, _, (_, value_size), ..] = self.fields();
        let mut b = BtfBuilder::new();
        let int = b.int("int", 4, IntEncoding::SIGNED);
        let byte = b.int("unsigned char", 1, IntEncoding::UNSIGNED);
        let value = b.array(byte, int, value_size as u32);
        let bytes = b.to_bytes().map_err(|_: BtfError| SysError::other("BPF_BTF_LOAD", Errno::EINVAL))?;
        let (fd, _) = sys::btf_load(&bytes, &mut [], Fd::borrow(self.token));
        Ok((fd?.into(), int, value))
    }

    /// What the kernel will be asked for.
    pub fn shape(&self) -> Shape {
        let [_, (_, key), (_, value), (_, entries), (_, flags), _] = self.fields();
        let (key_size, value_size, max_entries) = (key as u32, value as u32, entries as u32);
        Shape { map_type: self.map_type, key_size, value_size, max_entries, flags: flags as u32 }
    }

    fn describe(&self) -> String {
        let [_, (_, key), (_, value), (_, entries), ..] = self.fields();
        let memory = match self.memory() {
            0 => String::new(),
            n if n < 1 << 20 => format!(", {} KiB", n.div_ceil(1 << 10)),
            n => format!(", {} MiB", n.div_ceil(1 << 20)),
        };
        format!("key {key}, value {value}, max_entries {entries}{memory}")
    }

    /// Opens the map that is pinned at `path`, if it is like this one; makes and pins it, if there is none.
    ///
    /// # Errors
    /// [`Mismatch::Field`] names the first field in which the pinned map differs.
    pub fn open_or_create(&self, path: impl AsRef<Path>) -> Result<Map, MapError> {
        let path = path.as_ref();
        let sys = |doing| move |source| MapError::Sys { map: self.name.clone(), doing, source };
        loop {
            match Map::open_pin(path) {
                Ok(map) => return self.like(map),
                Err(e) if e.errno == Errno::ENOENT => {}
                Err(e) => return Err(sys("open the pin of")(e)),
            }
            let map = self.create()?;
            match map.pin(path) {
                Ok(()) => return Ok(map),
                // Another process was faster: its map it is.
                Err(e) if e.errno == Errno::EEXIST => {}
                Err(e) => return Err(sys("pin")(e)),
            }
        }
    }

    fn like(&self, mut map: Map) -> Result<Map, MapError> {
        let info = map.info();
        let found = [
            info.map_type.0.into(),
            info.key_size.into(),
            info.value_size.into(),
            info.max_entries.into(),
            u64::from(info.flags & !flags::TOKEN_FD),
            info.extra,
        ];
        for ((field, expected), found) in self.fields().into_iter().zip(found) {
            if expected != found {
                let mismatch = Mismatch::Field { field, expected, found };
                return Err(MapError::Mismatch { map: self.name.clone(), mismatch });
            }
        }
        map.info.name.clone_from(&self.name);
        Ok(map)
    }
}

/// The nearest power of two of pages that is not less.
fn ring_size(bytes: u32) -> u32 {
    let page = page_size() as u32;
    let pages = bytes.div_ceil(page.max(1)).max(1).checked_next_power_of_two();
    pages.and_then(|pages| pages.checked_mul(page)).unwrap_or(bytes)
}
