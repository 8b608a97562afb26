//! What each type of map takes, asked of the kernel: where it makes a map, our table finds nothing wrong with it, and
//! where it refuses one, the table says why.

use rawbpf::Error;
use rawbpf::btf::{BtfBuilder, IntEncoding};
use rawbpf::maps::{Builder, RULES, Shape};
use rawbpf::sys::attr::{Fd, MapCreate, ObjName};
use rawbpf::sys::map::flags;
use rawbpf::sys::{self, Errno, SysError};
use rawbpf::uapi::MapType;
use std::os::fd::{AsFd, OwnedFd};

use crate::gate::{ROOT, require};

/// The types that must say what their keys and values are; with values of this size.
fn types(value_size: u32) -> Option<(OwnedFd, u32, u32)> {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let byte = b.int("unsigned char", 1, IntEncoding::UNSIGNED);
    let value = b.array(byte, int, value_size);
    let (fd, _) = sys::btf_load(&b.to_bytes().ok()?, &mut [], Fd::NONE);
    Some((fd.ok()?.into(), int.0, value.0))
}

fn ask(shape: &Shape, btf: Option<&(OwnedFd, u32, u32)>, inner: &OwnedFd) -> Result<OwnedFd, SysError> {
    let of_maps = matches!(shape.map_type, MapType::ArrayOfMaps | MapType::HashOfMaps);
    sys::map_create(&mut MapCreate {
        map_type: shape.map_type,
        key_size: shape.key_size,
        value_size: shape.value_size,
        max_entries: shape.max_entries,
        map_flags: shape.flags,
        map_name: ObjName::cut("takes"),
        inner_map_fd: if of_maps { Fd::borrow(Some(inner.as_fd())) } else { Fd::NONE },
        btf_fd: Fd::borrow(btf.map(|b| b.0.as_fd())),
        btf_key_type_id: btf.map_or(0, |b| b.1),
        btf_value_type_id: btf.map_or(0, |b| b.2),
        ..Default::default()
    })
}

/// Every combination of these for one type; what the kernel and the table do not agree on.
fn disagreements(map_type: MapType, needs_btf: bool, inner: &OwnedFd) -> Vec<String> {
    let mut out = Vec::new();
    for value_size in [0, 4, 7, 8, 16] {
        let btf = if needs_btf { types(value_size) } else { None };
        for (key_size, max_entries) in [0, 4, 5, 8, 16].into_iter().flat_map(|k| [0, 1, 4096].map(|m| (k, m)))
        {
            for flags in [0, flags::NO_PREALLOC, flags::MMAPABLE, flags::RDONLY, flags::NO_COMMON_LRU] {
                let shape = Shape { map_type, key_size, value_size, max_entries, flags };
                let (made, broken) = (ask(&shape, btf.as_ref(), inner).map(drop), shape.broken());
                match (&made, &broken) {
                    (Ok(()), None) | (Err(_), Some(_)) => {}
                    _ => out.push(format!("{shape:?}: {made:?}, {broken:?}")),
                }
            }
        }
    }
    out
}

#[test]
fn the_kernel_and_the_table_agree() {
    require!(ROOT);
    let inner = Builder::new(MapType::Array, "inner").value_size(4).create().expect("an array");
    let inner = inner.as_fd().try_clone_to_owned().expect("a descriptor");
    let mut wrong = Vec::new();
    let mut types = 0;
    // Sets of callbacks are made of types of the kernel's own.
    for rule in RULES.iter().filter(|rule| rule.map_type != MapType::StructOps) {
        let there = Builder::new(rule.map_type, "there").inner(&inner);
        let usual = [rule.key_size.unwrap_or(8), rule.value_size.unwrap_or(4)];
        if there.key_size(usual[0]).value_size(usual[1]).create().is_err() {
            continue;
        }
        types += 1;
        wrong.extend(disagreements(rule.map_type, rule.needs_btf, &inner));
    }
    assert!(types >= 25, "only {types} types could be made at all");
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_refused_map_is_told_what_its_type_takes() {
    require!(ROOT);
    let refused = |builder: &Builder<'_>, want: &str| {
        let error = Error::from(builder.create().expect_err(want));
        assert_eq!(error.errno(), Some(Errno::EINVAL), "{error}");
        assert_eq!(error.advice().map(|advice| advice.to_string()).as_deref(), Some(want));
    };
    refused(
        &Builder::new(MapType::Array, "wide").key_size(8).value_size(8),
        "a map of type array takes a key_size of 4, and this one has 8",
    );
    refused(
        &Builder::new(MapType::Hash, "empty").key_size(4).value_size(8).max_entries(0),
        "a map of type hash takes a max_entries of more than 0, and this one has 0",
    );
    refused(
        &Builder::new(MapType::Queue, "keyed").key_size(4).value_size(8),
        "a map of type queue takes a key_size of 0, and this one has 4",
    );
    refused(
        &Builder::new(MapType::Array, "lazy").value_size(8).flags(flags::NO_PREALLOC),
        "a map of type array does not take the flag BPF_F_NO_PREALLOC",
    );
}
