//! Whether a type of map can be made: by making one.

use rawbpf::btf::TypeId;
use rawbpf::kernel::Answer;
use rawbpf::maps::{Builder, Limit, MapError, TypeRule};
use rawbpf::sys::Errno;
use rawbpf::sys::map::flags;
use rawbpf::uapi::MapType;

/// Makes the smallest map of a type.
pub(super) fn answer(map_type: MapType) -> Answer {
    let inner = match map_type {
        MapType::ArrayOfMaps | MapType::HashOfMaps => {
            match Builder::new(MapType::Array, "probe").key_size(4).value_size(4).max_entries(1).create() {
                Ok(map) => Some(map),
                Err(e) => return Answer::Unknown(format!("no inner map: {}", reason(&e))),
            }
        }
        _ => None,
    };
    let mut builder = Builder::new(map_type, "probe");
    let Some(rule) = TypeRule::of(map_type) else { return Answer::Unknown("it is newer than rawbpf".into()) };
    if rule.key_size.is_none() {
        // A trie's key is a length and at least one byte.
        builder = builder.key_size(if map_type == MapType::LpmTrie { 8 } else { 4 });
    }
    if rule.value_size.is_none() {
        builder = builder.value_size(8);
    }
    match rule.limit {
        Limit::Elements | Limit::Cpus | Limit::Pages => builder = builder.max_entries(1),
        Limit::RingBytes => builder = builder.max_entries(4096),
        Limit::One | Limit::None => {}
    }
    if let Some(inner) = &inner {
        builder = builder.inner(inner);
    }
    if map_type == MapType::Arena {
        builder = builder.flags(flags::MMAPABLE);
    }
    if map_type == MapType::StructOps {
        builder = builder.vmlinux_value_type(TypeId(1));
    }
    match builder.create() {
        Ok(_) => Answer::Yes,
        Err(e) => match errno(&e) {
            // Type 1 is none that can be registered: this is how a kernel that has such maps says it.
            Some(Errno::ENOTSUPP) if map_type == MapType::StructOps => Answer::Yes,
            Some(Errno::EINVAL | Errno::ENOTSUPP | Errno::EOPNOTSUPP | Errno::E2BIG) => {
                Answer::No(reason(&e))
            }
            _ => Answer::Unknown(reason(&e)),
        },
    }
}

fn errno(e: &MapError) -> Option<Errno> {
    match e {
        MapError::Create { source, .. } | MapError::Sys { source, .. } => Some(source.errno),
        _ => None,
    }
}

fn reason(e: &MapError) -> String {
    match e {
        MapError::Create { source, .. } | MapError::Sys { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
