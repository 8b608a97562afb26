//! Maps as memory: arrays that were made to be mapped (Linux 5.5), and arenas (6.9).
//!
//! What is mapped is read and written without system calls, while programs do the same on other CPUs. Words are
//! reached as atomics; larger values are copied, and may be seen half-written. See
//! [`SharedMapping`](crate::sys::SharedMapping).

use std::marker::PhantomData;
use std::sync::atomic::AtomicU64;

use super::typed::{Size, check};
use super::{Map, MapError, Mismatch, Plain};
use crate::sys::map::flags;
use crate::sys::ring::page_size;
use crate::sys::{SharedMapping, SharedU32};
use crate::uapi::MapType;

/// An array with `BPF_F_MMAPABLE`, mapped.
///
/// ```no_run
/// use rawbpf::maps::{Builder, MappedArray};
/// use rawbpf::sys::map::flags;
/// use rawbpf::uapi::MapType;
/// use std::sync::atomic::Ordering;
/// let builder = Builder::new(MapType::Array, "counts").values::<u64>().max_entries(4);
/// let counts = MappedArray::<u64>::new(builder.flags(flags::MMAPABLE).create()?)?;
/// if let Some(word) = counts.atomic_u64(2) {
///     word.fetch_add(1, Ordering::Relaxed);
/// }
/// assert_eq!(counts.load(2), Some(1));
/// # Ok::<(), rawbpf::maps::MapError>(())
/// ```
#[derive(Debug)]
pub struct MappedArray<V> {
    map: Map,
    memory: SharedMapping,
    types: PhantomData<fn() -> V>,
}

impl<V: Plain> MappedArray<V> {
    /// Maps an array whose values are `V`s, to be read and written.
    pub fn new(map: Map) -> Result<MappedArray<V>, MapError> {
        MappedArray::with(map, true)
    }

    /// Maps an array to be read alone: the only way for frozen ones.
    pub fn read_only(map: Map) -> Result<MappedArray<V>, MapError> {
        MappedArray::with(map, false)
    }

    fn with(map: Map, writable: bool) -> Result<MappedArray<V>, MapError> {
        check(&map, &[MapType::Array], Size::Exactly(4), Size::Exactly(size_of::<V>()))?;
        require(&map, flags::MMAPABLE, "BPF_F_MMAPABLE")?;
        let bytes = Self::stride().saturating_mul(map.info().max_entries as usize);
        let bytes = bytes.next_multiple_of(page_size());
        let memory =
            SharedMapping::new(&map, 0, bytes, writable).map_err(MapError::sys(&map, "map the memory of"))?;
        Ok(MappedArray { map, memory, types: PhantomData })
    }

    fn stride() -> usize {
        size_of::<V>().next_multiple_of(8)
    }

    fn offset(&self, index: u32) -> Option<usize> {
        (index < self.map.info().max_entries).then(|| Self::stride().saturating_mul(index as usize))
    }

    /// How many elements it has.
    #[allow(clippy::len_without_is_empty, reason = "the kernel makes no empty array")]
    pub fn len(&self) -> u32 {
        self.map.info().max_entries
    }

    /// A copy of an element; `None` beyond the end.
    pub fn load(&self, index: u32) -> Option<V> {
        let mut value = V::zeroed();
        self.memory.copy_out(self.offset(index)?, value.bytes_mut()).then_some(value)
    }

    /// Writes an element; false beyond the end, and if it was mapped to be read.
    pub fn store(&self, index: u32, value: &V) -> bool {
        self.offset(index).is_some_and(|offset| self.memory.copy_in(offset, value.bytes()))
    }

    /// The first 4 bytes of an element, to be changed in step with programs.
    pub fn atomic_u32(&self, index: u32) -> Option<SharedU32<'_>> {
        self.memory.atomic_u32(self.offset(index)?).filter(|_| size_of::<V>() >= 4)
    }

    /// The first 8 bytes of an element, to be changed in step with programs.
    pub fn atomic_u64(&self, index: u32) -> Option<&AtomicU64> {
        self.memory.atomic_u64(self.offset(index)?).filter(|_| size_of::<V>() >= 8)
    }

    /// The memory itself.
    pub fn memory(&self) -> &SharedMapping {
        &self.memory
    }

    /// The map itself.
    pub fn map(&self) -> &Map {
        &self.map
    }
}

/// An arena: memory that programs and this process share, in which pointers mean the same on both sides.
///
/// Pages come into being when a program allocates them (`bpf_arena_alloc_pages`) or when they are first touched
/// here. If the kernel has no more memory for that, the process gets `SIGSEGV`.
///
/// Linux 6.9.
#[derive(Debug)]
#[doc(alias = "BPF_MAP_TYPE_ARENA")]
pub struct Arena {
    map: Map,
    memory: SharedMapping,
}

impl Arena {
    /// Maps an arena. One made with `BPF_F_SEGV_ON_FAULT`, in which to touch a page that no program has
    /// allocated ends the process, is refused.
    pub fn new(map: Map) -> Result<Arena, MapError> {
        check(&map, &[MapType::Arena], Size::Any, Size::Any)?;
        if map.info().flags & flags::SEGV_ON_FAULT != 0 {
            return Err(MapError::argument(
                &map,
                "it has BPF_F_SEGV_ON_FAULT: reading it could end this process",
            ));
        }
        let bytes = page_size().saturating_mul(map.info().max_entries as usize);
        let memory = match map.info().extra {
            0 => SharedMapping::new(&map, 0, bytes, true),
            address => SharedMapping::at(&map, address, bytes),
        };
        let memory = memory.map_err(MapError::sys(&map, "map the memory of"))?;
        Ok(Arena { map, memory })
    }

    /// Where it begins, for this process and for programs that hold pointers into it.
    pub fn address(&self) -> usize {
        self.memory.address()
    }

    /// The offset of a pointer that a program has left in the arena; `None` if it points elsewhere.
    pub fn offset_of(&self, pointer: u64) -> Option<usize> {
        let offset = usize::try_from(pointer).ok()?.checked_sub(self.address())?;
        (offset < self.memory.len()).then_some(offset)
    }

    /// The memory: atomics and copies by offset.
    pub fn memory(&self) -> &SharedMapping {
        &self.memory
    }

    /// A copy of what lies at an offset; `None` if it is not all inside.
    pub fn load<V: Plain>(&self, offset: usize) -> Option<V> {
        let mut value = V::zeroed();
        self.memory.copy_out(offset, value.bytes_mut()).then_some(value)
    }

    /// Writes at an offset; false if it does not all fit.
    pub fn store<V: Plain>(&self, offset: usize, value: &V) -> bool {
        self.memory.copy_in(offset, value.bytes())
    }

    /// The map itself.
    pub fn map(&self) -> &Map {
        &self.map
    }
}

fn require(map: &Map, flag: u32, name: &'static str) -> Result<(), MapError> {
    if map.info().flags & flag != 0 {
        return Ok(());
    }
    Err(MapError::Mismatch { map: map.name().into(), mismatch: Mismatch::Flag(name) })
}
