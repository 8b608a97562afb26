//! What each type of map takes: the rules behind the `EINVAL` of `BPF_MAP_CREATE`, which names none of them.
//!
//! [`TypeRule`](super::TypeRule) fills in what its caller left open; this table says what is wrong with what was asked for,
//! after the kernel refused it.

use std::fmt;

use Is::{Between, Cpus, Either, Frames, Just, Pages, Positive};

use crate::sys;
use crate::sys::map::flags::{self, INNER_MAP, MMAPABLE, NO_COMMON_LRU, NO_PREALLOC, NUMA_NODE as NUMA};
use crate::sys::ring::page_size;
use crate::uapi::MapType;

/// What `BPF_MAP_CREATE` was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Its limit.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
}

/// What a number may be.
#[derive(Debug, Clone, Copy)]
enum Is {
    Positive,
    Just(u32),
    Either(u32, u32),
    Between(u32, u32),
    /// Frames of so many bytes: addresses, or build ids with offsets.
    Frames(u32),
    /// A power of two of whole pages.
    Pages,
    /// A slot for each number that a CPU may have, or fewer.
    Cpus,
}

impl Is {
    fn allows(self, n: u32) -> bool {
        match self {
            Is::Positive => n > 0,
            Is::Just(m) => n == m,
            Is::Either(a, b) => n == a || n == b,
            Is::Between(low, high) => (low..=high).contains(&n),
            Is::Frames(size) => n > 0 && n % size == 0 && n / size <= max_frames(),
            Is::Pages => n.is_power_of_two() && n as usize % page_size() == 0,
            Is::Cpus => n > 0 && sys::cpu_limit().is_none_or(|limit| n <= limit),
        }
    }
}

/// How many frames the kernel walks.
fn max_frames() -> u32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/perf_event_max_stack");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(127)
}

impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Is::Positive => f.write_str("more than 0"),
            Is::Just(n) => write!(f, "{n}"),
            Is::Either(a, b) => write!(f, "{a} or {b}"),
            Is::Between(low, high) => write!(f, "{low} to {high}"),
            Is::Frames(size) => write!(
                f,
                "a multiple of {size}, for at most {} frames (sysctl kernel.perf_event_max_stack)",
                max_frames()
            ),
            Is::Pages => {
                write!(f, "a power of two of pages, as {} or {}", page_size(), page_size().saturating_mul(64))
            }
            Is::Cpus => match sys::cpu_limit() {
                Some(limit) => write!(f, "1 to {limit}, the CPUs that this kernel was built for"),
                None => f.write_str("as many as there are CPUs"),
            },
        }
    }
}

/// A row: what these types take.
struct Takes {
    types: &'static [MapType],
    key_size: Is,
    value_size: Is,
    max_entries: Is,
    /// Flags that must be there.
    needs: u32,
    /// Flags that may be there as well.
    may: u32,
}

/// Who may read and write it.
const USER: u32 = flags::RDONLY | flags::WRONLY;
const ACCESS: u32 = USER | flags::RDONLY_PROG | flags::WRONLY_PROG;
const HASH: u32 = ACCESS | flags::ZERO_SEED;

const fn row(types: &'static [MapType], key_size: Is, value_size: Is, max_entries: Is, may: u32) -> Takes {
    Takes { types, key_size, value_size, max_entries, needs: 0, may }
}

impl Takes {
    const fn needs(self, needs: u32) -> Takes {
        Takes { needs, ..self }
    }
}

static TABLE: &[Takes] = &[
    row(&[MapType::Array], Just(4), Positive, Positive, NUMA | MMAPABLE | ACCESS | INNER_MAP),
    row(&[MapType::PercpuArray], Just(4), Positive, Positive, ACCESS),
    row(&[MapType::ProgArray, MapType::CgroupArray], Just(4), Just(4), Positive, NUMA | USER),
    row(&[MapType::PerfEventArray], Just(4), Just(4), Positive, NUMA | USER | flags::PRESERVE_ELEMS),
    row(&[MapType::ArrayOfMaps], Just(4), Just(4), Positive, NUMA | USER),
    row(&[MapType::Hash], Positive, Positive, Positive, NUMA | NO_PREALLOC | HASH),
    row(&[MapType::PercpuHash], Positive, Positive, Positive, NO_PREALLOC | HASH),
    row(&[MapType::LruHash], Positive, Positive, Positive, NUMA | NO_COMMON_LRU | HASH),
    row(&[MapType::LruPercpuHash], Positive, Positive, Positive, NO_COMMON_LRU | HASH),
    row(&[MapType::HashOfMaps], Positive, Just(4), Positive, NUMA | NO_PREALLOC | HASH),
    // The length of the prefix, and 1 to 256 bytes.
    row(&[MapType::LpmTrie], Between(5, 260), Positive, Positive, NUMA | ACCESS).needs(NO_PREALLOC),
    row(&[MapType::Queue, MapType::Stack], Just(0), Positive, Positive, NUMA | ACCESS),
    row(&[MapType::BloomFilter], Just(0), Positive, Positive, NUMA | HASH),
    row(&[MapType::StackTrace], Just(4), Frames(8), Positive, NUMA | USER | flags::STACK_BUILD_ID),
    row(&[MapType::Ringbuf], Just(0), Just(0), Pages, NUMA | flags::RB_OVERWRITE),
    row(&[MapType::UserRingbuf], Just(0), Just(0), Pages, NUMA),
    row(
        &[MapType::SkStorage, MapType::InodeStorage, MapType::TaskStorage, MapType::CgrpStorage],
        Just(4),
        Positive,
        Just(0),
        flags::CLONE,
    )
    .needs(NO_PREALLOC),
    // The number of the cgroup alone, or with the type of attachment.
    row(
        &[MapType::CgroupStorage, MapType::PercpuCgroupStorage],
        Either(8, 16),
        Positive,
        Just(0),
        NUMA | ACCESS,
    ),
    // The number of the device, CPU or socket alone, or with that of a program.
    row(&[MapType::Devmap, MapType::DevmapHash], Just(4), Either(4, 8), Positive, NUMA | USER),
    row(&[MapType::Cpumap], Just(4), Either(4, 8), Cpus, NUMA),
    row(&[MapType::Xskmap], Just(4), Just(4), Positive, NUMA | USER),
    // The number of the socket as 4 bytes, or its cookie, as 8.
    row(&[MapType::Sockmap], Just(4), Either(4, 8), Positive, NUMA | USER),
    row(&[MapType::Sockhash], Positive, Either(4, 8), Positive, NUMA | USER),
    row(&[MapType::ReuseportSockarray], Just(4), Either(4, 8), Positive, NUMA | ACCESS),
    row(&[MapType::Arena], Just(0), Just(0), Positive, flags::SEGV_ON_FAULT | flags::NO_USER_CONV)
        .needs(MMAPABLE),
    row(&[MapType::InsnArray], Just(4), Just(16), Positive, 0),
    row(&[MapType::Rhash], Positive, Positive, Positive, HASH).needs(NO_PREALLOC),
];

/// Flags that say how the call is meant, not what the map is like.
const OF_THE_CALL: u32 = flags::TOKEN_FD | flags::VTYPE_BTF_OBJ_FD | flags::LINK;

impl Shape {
    /// The first thing in it that maps of this type do not take, as a clause about the map: "takes ..., and this one
    /// ...". `None` if all of it is in order, or if the table has no row for the type.
    pub fn broken(&self) -> Option<String> {
        let takes = TABLE.iter().find(|row| row.types.contains(&self.map_type))?;
        let value_size = match takes.value_size {
            Frames(_) if self.flags & flags::STACK_BUILD_ID != 0 => Frames(32),
            is => is,
        };
        let numbers = [
            ("key_size", takes.key_size, self.key_size),
            ("value_size", value_size, self.value_size),
            ("max_entries", takes.max_entries, self.max_entries),
        ];
        if let Some((name, is, n)) = numbers.into_iter().find(|(_, is, n)| !is.allows(*n)) {
            return Some(format!("takes a {name} of {is}, and this one has {n}"));
        }
        let missing = takes.needs & !self.flags;
        if missing != 0 {
            return Some(format!("takes the flag {}, and this one has it not", flags::names(missing)));
        }
        let odd = self.flags & !(takes.needs | takes.may | OF_THE_CALL);
        (odd != 0).then(|| format!("does not take the flag {}", flags::names(odd)))
    }
}
