//! The oldest kernel for an object, and why.

use std::collections::BTreeSet;

use rawbpf::elf::{MapDecl, Object, Requirement, Ty};
use rawbpf::insn::prelude::*;
use rawbpf::uapi::{MapType, Release};

fn object(name: &str) -> Object {
    let path = crate::net::object(&format!("{name}.o"));
    Object::open(&path).unwrap_or_else(|e| panic!("{path}: {e:?}"))
}

/// What decides: the newest thing that is asked for, and by whom.
fn newest(object: &Object) -> Requirement {
    object.requirements().into_iter().next().expect("something is asked for")
}

#[test]
fn each_lesson_says_what_makes_it_new() {
    let table = [
        ("globals", Release(5, 2, 0), "global variables"),
        ("callbacks", Release(5, 17, 0), "BPF_FUNC_loop"),
        ("exception", Release(6, 7, 0), "bpf_throw"),
        ("conntrack", Release(5, 18, 0), "bpf_ct_release"),
        ("ksyms", Release(5, 10, 0), "bpf_prog_active"),
        ("syscall", Release(5, 14, 0), "BPF_PROG_TYPE_SYSCALL"),
        ("arena", Release(6, 9, 0), "BPF_MAP_TYPE_ARENA"),
        ("cc", Release(5, 6, 0), "BPF_PROG_TYPE_STRUCT_OPS"),
        ("cc_link", Release(6, 4, 0), "links of struct_ops"),
        ("xdp_frags", Release(5, 18, 0), "XDP on packets in several buffers"),
        ("kprobe_session", Release(6, 10, 0), "BPF_TRACE_KPROBE_SESSION"),
        ("ring_events", Release(5, 8, 0), "BPF_MAP_TYPE_RINGBUF"),
    ];
    for (name, release, what) in table {
        let object = object(name);
        let all = object.requirements();
        assert_eq!(object.oldest_kernel(), Some(release), "{name}: {all:#?}");
        let row = all.iter().find(|r| r.what == what).unwrap_or_else(|| panic!("{name}: {what} in {all:#?}"));
        assert_eq!(row.since, Some(release), "{name}: {what}");
        assert!(!row.used_by.is_empty(), "{name}: {what}");
    }
}

/// The hook of an XDP program is sent only where the kernel takes one, so it makes no program newer.
#[test]
fn what_can_be_left_out_is_not_asked_for() {
    let all = object("packet_count").requirements();
    assert!(!all.iter().any(|r| r.kind == "attach type"), "{all:?}");
    // A weak kfunc may be missing, and with it all calls of kfuncs.
    let session = object("kprobe_session").requirements();
    assert!(!session.iter().any(|r| r.kind == "kfunc" || r.what.contains("kfuncs")), "{session:?}");
    // Data maps can be mapped by user space where the kernel allows it.
    let globals = object("globals").requirements();
    assert!(!globals.iter().any(|r| r.kind == "map flag"), "{globals:?}");
}

#[test]
fn flags_of_maps_are_asked_for_by_name() {
    let flags = |object: &Object| -> BTreeSet<(String, Option<Release>)> {
        let all = object.requirements().into_iter().filter(|r| r.kind == "map flag");
        all.map(|r| (r.what, r.since)).collect()
    };
    let wanted = BTreeSet::from([("BPF_F_NO_PREALLOC".to_string(), Some(Release(4, 6, 0)))]);
    assert_eq!(flags(&object("pinned")), wanted);
    let mut built = Object::builder("flags")
        .map(MapDecl::new("ring", MapType::Ringbuf, 4096))
        .map(MapDecl::new("table", MapType::Hash, 1).key(Ty::U32).value(Ty::U32))
        .finish()
        .expect("an object");
    built.map_mut("ring").expect("it is there").flags = 1 << 19 | 1 << 30;
    let found = flags(&built);
    assert!(found.contains(&("BPF_F_RB_OVERWRITE".to_string(), Some(Release(6, 19, 0)))), "{found:?}");
    assert!(found.contains(&("map_flags 0x40000000".to_string(), None)), "{found:?}");
    assert_eq!(built.oldest_kernel(), None, "nobody knows which kernel has that one");
}

#[test]
fn instructions_of_the_newest_compilers_are_asked_for() {
    let mut a = Asm::named("signed");
    a.mov64(R0, -7).sdiv64(R0, 2).exit();
    let built = Object::builder("v4").program("xdp", a.finish().expect("code")).finish().expect("an object");
    let row = newest(&built);
    assert_eq!((row.kind, row.what.as_str()), ("instruction", "signed division and remainder"));
    assert_eq!((row.since, row.used_by), (Some(Release(6, 6, 0)), vec!["signed".to_string()]));
}

#[test]
fn programs_that_may_sleep() {
    let asks = |section: &str| {
        let mut object = object("packet_count");
        let program = object.program_mut("count_packets").expect("it is there");
        program.set_section(section).expect("a section");
        let all = object.requirements();
        all.iter().find(|r| r.what.contains("sleep")).and_then(|r| r.since)
    };
    assert_eq!(asks("fentry.s/f"), Some(Release(5, 10, 0)));
    assert_eq!(asks("iter.s/task"), Some(Release(5, 18, 0)));
    assert_eq!(asks("uprobe.s/a:b"), Some(Release(6, 0, 0)));
    assert_eq!(asks("fentry/f"), None);
}
