//! Maps, as this kernel will be asked for them: sizes that depend on the machine, types that take no BTF,
//! names that the kernel cuts.

use std::path::PathBuf;

use super::options::Options;
use super::plan_error::PlanError;
use super::struct_ops::{Callbacks, StructOpsPlan};
use crate::btf::TypeId;
use crate::elf::{DataKind, MapDef, MapOrigin, Object, SlotTarget};
use crate::kernel::{Answer, Feature, Kernel};
use crate::maps::{MapInfo, Shape};
use crate::sys::map::flags;
use crate::uapi::MapType;

/// A map as it will be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapPlan {
    /// The full name.
    pub name: String,
    /// What the kernel will call it: at most 15 letters; empty on kernels that take no names.
    pub kernel_name: String,
    /// What it was made from.
    pub origin: MapOrigin,
    /// What kind of table.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Its limit, adjusted to this machine.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
    /// `map_extra`.
    pub extra: u64,
    /// NUMA node.
    pub numa_node: u32,
    /// BTF type of the key, 0 for none.
    pub key_type: TypeId,
    /// BTF type of the value, 0 for none.
    pub value_type: TypeId,
    /// What the inner maps look like; such a map is made first and shown to the kernel.
    pub inner: Option<Box<MapPlan>>,
    /// First contents.
    pub contents: Option<Vec<u8>>,
    /// Elements that are maps or programs.
    pub slots: Vec<(u32, SlotTarget)>,
    /// Freeze it once it is filled.
    pub freeze: bool,
    /// Reuse what is pinned here, or pin it here.
    pub pin: Option<PathBuf>,
    /// Create it at all.
    pub create: bool,
    /// A set of kernel callbacks: its type and layout on this kernel.
    pub struct_ops: Option<StructOpsPlan>,
}

impl MapPlan {
    /// How a map that is there is otherwise than planned, field by field; such a map cannot be used in its place.
    pub fn differences(&self, info: &MapInfo) -> Vec<String> {
        let mut out = Vec::new();
        let mut compare = |field: &str, pinned: String, wanted: String| {
            if pinned != wanted {
                out.push(format!("{field} is {pinned}, the object wants {wanted}"));
            }
        };
        // The kernel sets this flag by itself for maps of devices.
        let devmap = matches!(self.map_type, MapType::Devmap | MapType::DevmapHash);
        let ignored = if devmap { flags::RDONLY_PROG } else { 0 };
        compare("type", info.map_type.to_string(), self.map_type.to_string());
        compare("key_size", info.key_size.to_string(), self.key_size.to_string());
        compare("value_size", info.value_size.to_string(), self.value_size.to_string());
        compare("max_entries", info.max_entries.to_string(), self.max_entries.to_string());
        compare(
            "map_flags",
            format!("{:#x}", info.flags & !ignored),
            format!("{:#x}", self.flags & !ignored),
        );
        compare("map_extra", info.extra.to_string(), self.extra.to_string());
        out
    }

    /// What the kernel will be asked for.
    pub fn shape(&self) -> Shape {
        let (key_size, value_size, max_entries) = (self.key_size, self.value_size, self.max_entries);
        Shape { map_type: self.map_type, key_size, value_size, max_entries, flags: self.flags }
    }

    /// True for the constants of an object.
    pub fn is_rodata(&self) -> bool {
        matches!(self.origin, MapOrigin::Data { kind: DataKind::Rodata, .. })
    }
}

/// Plans all maps of an object.
pub(super) fn all(
    object: &Object,
    kernel: &Kernel,
    options: &Options,
    callbacks: &Callbacks,
) -> Result<Vec<MapPlan>, PlanError> {
    let mut out = Vec::new();
    for (i, def) in object.maps.iter().enumerate() {
        let mut plan = one(def, object, kernel, options)?;
        if let Some(ops) = callbacks.maps.get(&i) {
            plan.value_size = u32::try_from(ops.value.len()).unwrap_or(u32::MAX);
            plan.flags |= if ops.module.is_some() { flags::VTYPE_BTF_OBJ_FD } else { 0 };
            plan.struct_ops = Some(ops.clone());
        }
        out.push(plan);
    }
    Ok(out)
}

fn one(def: &MapDef, object: &Object, kernel: &Kernel, options: &Options) -> Result<MapPlan, PlanError> {
    let bad = |why: String| PlanError::Map { map: def.name.clone(), why };
    let data = matches!(def.origin, MapOrigin::Data { .. });
    let struct_ops = matches!(def.origin, MapOrigin::StructOps(_));
    let read_only = matches!(&def.origin, MapOrigin::Data { kind: DataKind::Rodata | DataKind::Kconfig, .. });
    let (key_type, value_type) = match takes_no_btf(def.map_type) || struct_ops {
        true => Default::default(),
        false => (def.key_type.unwrap_or_default(), def.value_type.unwrap_or_default()),
    };
    let mut map_flags = def.flags;
    if data && map_flags & flags::MMAPABLE != 0 && kernel.has(Feature::ArrayMmap).is_no() {
        map_flags &= !flags::MMAPABLE;
    }
    let inner = match &def.inner {
        Some(inner) => Some(Box::new(one(inner, object, kernel, options)?)),
        None if matches!(def.map_type, MapType::ArrayOfMaps | MapType::HashOfMaps) => {
            return Err(bad(
                "it does not say what its inner maps look like; add __array(values, struct { ... })".into(),
            ));
        }
        None => None,
    };
    let named = kernel.has(Feature::ProgName).allows();
    // A bpffs takes no dots in names.
    let pin_by_name = || options.pin_root.join(def.name.replace('.', "_"));
    Ok(MapPlan {
        name: def.name.clone(),
        kernel_name: if named { def.kernel_name(&object.name) } else { String::new() },
        origin: def.origin.clone(),
        map_type: def.map_type,
        key_size: def.key_size,
        value_size: def.value_size,
        max_entries: entries(def, kernel)?,
        flags: map_flags,
        extra: def.extra,
        numa_node: def.numa_node,
        key_type,
        value_type,
        inner,
        contents: if struct_ops { None } else { def.contents.clone() },
        slots: def.slots.clone(),
        freeze: read_only,
        pin: def.pin_path.clone().or_else(|| def.pin_by_name.then(pin_by_name)),
        create: def.autocreate && !(data && kernel.has(Feature::GlobalData).is_no()),
        struct_ops: None,
    })
}

/// The limit on this machine: ring buffers are a power of two of pages, a perf event array has a slot for
/// each CPU.
fn entries(def: &MapDef, kernel: &Kernel) -> Result<u32, PlanError> {
    Ok(match def.map_type {
        MapType::Ringbuf | MapType::UserRingbuf => ring_size(def.max_entries, kernel.page_size()),
        MapType::PerfEventArray if def.max_entries == 0 => kernel.possible_cpus().map_err(|e| {
            let why = format!("it takes a slot for each CPU, and how many there are cannot be told: {e}");
            PlanError::Map { map: def.name.clone(), why }
        })?,
        _ => def.max_entries,
    })
}

/// The nearest power of two of pages that is not less, as libbpf does it; sizes that cannot be rounded are
/// left for the kernel to refuse.
///
/// ```text
///   0 ► 0     1 ► 4096     4096 ► 4096     4097 ► 8192     12288 ► 16384
/// ```
fn ring_size(bytes: u32, page: u32) -> u32 {
    if bytes == 0 || page == 0 {
        return bytes;
    }
    let pages = bytes.div_ceil(page).checked_next_power_of_two();
    pages.and_then(|p| p.checked_mul(page)).unwrap_or(bytes)
}

/// Types for which the kernel refuses BTF types of keys and values.
fn takes_no_btf(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::PerfEventArray
            | MapType::CgroupArray
            | MapType::StackTrace
            | MapType::ArrayOfMaps
            | MapType::HashOfMaps
            | MapType::Devmap
            | MapType::DevmapHash
            | MapType::Cpumap
            | MapType::Xskmap
            | MapType::Sockmap
            | MapType::Sockhash
            | MapType::Queue
            | MapType::Stack
            | MapType::Arena
    )
}

/// Where arena globals begin in their arena: at its end where instructions can say so, else at its start.
pub(super) fn arena_offset(object: &Object, kernel: &Kernel) -> Result<u32, PlanError> {
    let arena = object.maps.iter().find(|m| m.map_type == MapType::Arena);
    let Some((arena, contents)) = arena.and_then(|m| Some((m, m.contents.as_ref()?))) else { return Ok(0) };
    let page = u64::from(kernel.page_size());
    let size = u64::from(arena.max_entries).saturating_mul(page);
    let used = (contents.len() as u64).next_multiple_of(page.max(1));
    if used > size {
        let why = format!(
            "its global variables take {} bytes and it has {size}; raise max_entries, which counts pages of {page} bytes",
            contents.len()
        );
        return Err(PlanError::Map { map: arena.name.clone(), why });
    }
    // Where that is unknown, the start is right on every kernel.
    if kernel.has(Feature::WideMapOffset) != Answer::Yes {
        return Ok(0);
    }
    Ok(u32::try_from(size.saturating_sub(used)).unwrap_or(0))
}
