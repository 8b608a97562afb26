//! What a program's author wrote into it: read-only variables whose names begin with `bpf_metadata_`.
//!
//! ```c
//! volatile const char bpf_metadata_version[] SEC(".rodata") = "1.4";
//! ```

use rawbpf::Map;
use rawbpf::btf::{Kind, decode};
use rawbpf::progs::ProgInfo;
use rawbpf::uapi::MapType;
use serde_json::{Map as JsonMap, Value as Json};

use crate::values::json::json_of;

const PREFIX: &str = "bpf_metadata_";

/// The metadata of a program, by the names without their prefix. Empty if it has none, or if it cannot be read.
pub(super) fn of(program: &ProgInfo) -> JsonMap<String, Json> {
    let maps = program.map_ids.iter().filter_map(|id| Map::open_id(*id).ok());
    maps.filter(|m| m.name().ends_with(".rodata")).map(|m| read(&m).unwrap_or_default()).fold(
        JsonMap::new(),
        |mut all, some| {
            all.extend(some);
            all
        },
    )
}

fn read(map: &Map) -> Option<JsonMap<String, Json>> {
    let info = map.info();
    let (btf, one) = (map.btf()?, info.max_entries == 1 && info.map_type == MapType::Array);
    let Kind::Datasec(variables) = btf.ty(info.value_type).ok().filter(|_| one)?.kind else { return None };
    let mut out = JsonMap::new();
    let mut bytes = None;
    for var in variables {
        let (name, ty) = (btf.ty(var.ty).ok()?.name.to_string(), var.ty);
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        if bytes.is_none() {
            bytes = Some(map.get(&0u32.to_ne_bytes()).ok()??);
        }
        let (start, end) = (var.offset as usize, (var.offset as usize).checked_add(var.size as usize)?);
        let slice = bytes.as_deref()?.get(start..end)?;
        if let Ok(value) = decode(btf, ty, slice) {
            out.insert(name.into(), json_of(&value));
        }
    }
    Some(out)
}
