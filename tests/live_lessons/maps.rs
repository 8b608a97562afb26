//! Elements that the file sets, and maps that are shared by their names.

use super::{load, load_object, object};
use crate::gate::{ROOT, require};
use crate::net::{in_namespace, mount_bpffs, rawbpf_ok};
use rawbpf::Options;
use rawbpf::elf::MapDef;
use rawbpf::loader::LoadError;
use rawbpf::uapi::MapType;

#[test]
fn slots_hold_maps_and_programs() {
    require!(ROOT);
    let lesson = load("nested").expect("it loads");
    for (map, value) in [("one", 7u32), ("other", 9)] {
        let map = lesson.loaded.map(map).expect("it is there");
        map.set(&[0; 4], &value.to_ne_bytes(), 0).expect("written");
    }
    let values: Vec<i32> = (0..4).map(|slot| lesson.xdp("value_of", 14 + slot)).collect();
    assert_eq!(values, [-1, 7, -1, 9]);
    let jumps: Vec<i32> = (0..3).map(|slot| lesson.xdp("jump", 14 + slot)).collect();
    assert_eq!(jumps, [-1, -1, 77]);
    // Alone a program has nothing to jump to, and can be verified all the same.
    let said = rawbpf_ok(&["verify", &crate::net::object("nested.o")]);
    assert!(said.contains("3 programs: 3 accepted, 0 refused"), "{said}");
}

#[test]
fn what_is_pinned_is_taken_and_what_differs_is_told() {
    require!(ROOT);
    in_namespace(|| {
        mount_bpffs();
        let options = Options { pin_root: "/sys/fs/bpf/lesson".into(), ..Options::default() };
        let first = load_object(object("pinned"), &options).expect("it loads");
        assert_eq!(first.loaded.new_pins(), [std::path::Path::new("/sys/fs/bpf/lesson/shared")]);
        assert_eq!(first.xdp("note", 64), 1);
        let second = load_object(object("pinned"), &options).expect("it loads again");
        assert!(second.loaded.new_pins().is_empty(), "it was there");
        assert_eq!(second.xdp("note", 64), 2, "both count in one map");
        drop((first, second));
        let third = load_object(object("pinned"), &options).expect("the pin keeps it");
        assert_eq!(third.xdp("note", 64), 3);
        differences(&options);
    });
}

/// Each field that may differ from what is pinned, and what is said about it.
fn differences(options: &Options) {
    type Change = fn(&mut MapDef);
    let table: [(Change, &str); 6] = [
        (|m| m.map_type = MapType::LruHash, "type is hash, the object wants lru_hash"),
        (|m| m.key_size = 8, "key_size is 4, the object wants 8"),
        (|m| m.value_size = 16, "value_size is 8, the object wants 16"),
        (|m| m.max_entries = 9, "max_entries is 8, the object wants 9"),
        (|m| m.flags = 0, "map_flags is 0x1, the object wants 0x0"),
        (|m| m.extra = 1, "map_extra is 0, the object wants 1"),
    ];
    let refused = |change: &dyn Fn(&mut MapDef)| {
        let mut other = object("pinned");
        change(other.map_mut("shared").expect("it is there"));
        let error = load_object(other, options).err().expect("it differs");
        match error {
            rawbpf::Error::Load(LoadError::PinMismatch { differences, path, .. }) => {
                assert_eq!(path, std::path::Path::new("/sys/fs/bpf/lesson/shared"));
                differences
            }
            other => panic!("{other:?}"),
        }
    };
    for (change, said) in table {
        assert_eq!(refused(&change), said);
    }
    let all = refused(&|m| table.iter().for_each(|(change, _)| change(m)));
    for (_, said) in table {
        assert!(all.contains(said), "{said} in {all}");
    }
}
