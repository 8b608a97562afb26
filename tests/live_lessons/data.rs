//! Global variables, the kernel's configuration, arenas.

use super::{kernel, load, load_object, object};
use crate::gate::{ARENA, ROOT, require};
use crate::net::rawbpf_json;
use rawbpf::{Kernel, Options};

#[test]
fn each_data_section_is_a_map() {
    require!(ROOT);
    let mut object = object("globals");
    let lesson = load_object(object.clone(), &Options::default()).expect("it loads");
    // base * scale + extra + limits + range.low + inner
    assert_eq!(lesson.xdp("compute", 64), 10 + 100 + 55 + 3);
    assert_eq!((lesson.number("runs"), lesson.numbers("range", 2)), (1, vec![0, 10]));
    for (name, value) in
        [("scale", "3"), ("limits[1]", "60"), ("base", "-4"), ("extra", "1000"), ("range.low", "7")]
    {
        object.global(name).expect(name).set(value).expect(name);
    }
    let lesson = load_object(object, &Options::default()).expect("it loads");
    assert_eq!(lesson.xdp("compute", 64), -12 + 1000 + 65 + 7 + 3);
    assert_eq!(lesson.numbers("range", 2), [7, -12]);
    let names: Vec<&str> = lesson.loaded.maps().map(|m| m.name()).collect();
    for section in [".rodata", ".rodata.limits", ".data", ".data.extra", ".bss", ".bss.range"] {
        let map = lesson.loaded.map(section).unwrap_or_else(|| panic!("no {section} among {names:?}"));
        let set = map.set(&[0; 4], &vec![0; map.value_len()], 0);
        assert_eq!(set.is_err(), section.starts_with(".rodata"), "constants are frozen: {section}: {set:?}");
    }
}

#[test]
fn data_maps_are_called_as_libbpf_calls_them() {
    let plan = rawbpf_json(&["plan", &crate::net::object("globals.o"), "--release", "6.12"]);
    let names: Vec<_> = plan["maps"].as_array().into_iter().flatten().map(|m| &m["map_name"]).collect();
    for name in
        ["globals.rodata", ".rodata.limits", "globals.data", ".data.extra", "globals.bss", ".bss.range"]
    {
        assert!(names.iter().any(|n| *n == name), "no {name} among {names:?}");
    }
}

#[test]
fn the_configuration_is_read_by_its_types() {
    require!(ROOT);
    let text = "CONFIG_BPF_SYSCALL=y\nCONFIG_TRI=m\nCONFIG_NUMBER=-7\nCONFIG_WIDE=0x123456789a\n\
                CONFIG_LETTER=y\nCONFIG_TEXT=\"hello\"\n# CONFIG_NOT_SET_ANYWHERE is not set\n";
    let plan = object("kconfig").plan(&Kernel::host().with_kconfig(text), &Options::default());
    let loaded = plan.expect("a plan").run().expect("it loads");
    let lesson = super::Lesson { object: object("kconfig"), loaded };
    lesson.xdp("read_all", 64);
    let numbers = ["yes", "tri", "number", "letter", "unset"].map(|name| lesson.number(name));
    assert_eq!(numbers, [1, 2, -7, i64::from(b'y'), 0]);
    assert_eq!(lesson.number("wide"), 0x12_3456_789a);
    assert_eq!(lesson.bytes("text"), b"hello\0\0\0");
    let release = kernel().release();
    assert_eq!(lesson.number("version"), i64::from(release.code()), "{release}");
}

#[test]
fn a_missing_option_is_an_error_unless_it_is_weak() {
    let kernel = Kernel::fixture(rawbpf::uapi::Release(6, 12, 0)).with_kconfig("CONFIG_BPF_SYSCALL=y\n");
    let e = object("kconfig").plan(&kernel, &Options::default()).expect_err("CONFIG_TRI and others");
    let said = e.to_string();
    assert!(said.contains("CONFIG_") && !said.contains("CONFIG_NOT_SET_ANYWHERE"), "{said}");
}

#[test]
fn globals_of_an_arena_are_shared_with_user_space() {
    require!(ROOT);
    let lesson = require!(ARENA, load("arena"));
    let plan = lesson.object.plan(kernel(), &Options::default()).expect("a plan");
    let arena = lesson.loaded.arena("arena").expect("it is mapped");
    let at = plan.arena_offset as usize;
    let read = |offset: usize| {
        let bytes = arena.read(at + offset, 8).expect("it lies in the arena");
        u64::from_ne_bytes(bytes.try_into().expect("8 bytes"))
    };
    let contents = lesson.object.map("arena").and_then(|m| m.contents.clone()).expect("globals");
    // Where each variable lies, the file says; the one that is not zero is the first.
    let first = contents.iter().position(|&b| b == 41).expect("first = 41");
    for _ in 0..3 {
        assert_eq!(lesson.call("count"), 0);
    }
    let all: Vec<u32> = (0..contents.len() / 4)
        .map(|n| u32::from_ne_bytes(arena.read(at + 4 * n, 4).expect("inside").try_into().expect("4 bytes")))
        .collect();
    assert_eq!(all[first / 4], 41);
    let total = all.iter().position(|&n| n == 3 * 42).expect("the total") * 4;
    let pointer = (arena.address() + at + total) as u64;
    assert!((0..contents.len()).step_by(8).any(|o| read(o) == pointer), "where = {pointer:#x}");
}
