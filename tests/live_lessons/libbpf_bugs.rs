//! Bugs of libbpf that show on a live kernel; see tests/libbpf_bugs.rs for the others, and for where the rest is.

use super::{kernel, load, load_object, object};
use crate::gate::{ARENA, CONNTRACK, FREPLACE, HOST, ROOT, UPROBE_MULTI, require};
use crate::net::{in_namespace, rawbpf};
use rawbpf::elf::{MapDecl, Object, Ty};
use rawbpf::insn::prelude::*;
use rawbpf::links::{self, MultiKind, Spots, UprobeMulti};
use rawbpf::loader::ProgTarget;
use rawbpf::uapi::MapType;
use rawbpf::{Options, Target};

/// libbpf fills the slots of a map of maps as soon as that map exists. What stands after it in the file does not exist
/// then, and the load fails.
#[test]
fn a_map_may_hold_maps_that_stand_after_it() {
    require!(ROOT);
    let mut a = Asm::named("nothing");
    a.lddw(R1, map("outer")).mov64(R0, 0).exit();
    let inner = MapDecl::new("inner", MapType::Array, 1).key(Ty::U32).value(Ty::U32);
    let outer =
        MapDecl::new("outer", MapType::ArrayOfMaps, 2).key(Ty::U32).inner(inner.clone()).slot(1, "inner");
    let built = Object::builder("order")
        .license("GPL")
        .map(outer)
        .map(inner)
        .program("xdp", a.finish().expect("code"))
        .finish()
        .expect("an object");
    // As a file has it: the outer map's symbol comes first.
    let object = Object::parse("order", &built.to_elf().expect("a file")).expect("an object");
    assert_eq!(object.maps[0].name, "outer");
    let lesson = load_object(object, &Options::default()).expect("it loads");
    let held = lesson.loaded.map("outer").expect("it is there").get(&1u32.to_ne_bytes());
    let id = lesson.loaded.map("inner").expect("it is there").info().id;
    assert_eq!(held.expect("it is read"), Some(id.to_ne_bytes().to_vec()));
}

/// libbpf compares a module's name only as far as the section writes it.
#[test]
fn a_part_of_a_modules_name_is_no_module() {
    require!(ROOT);
    let plan = |target: &str| {
        let mut tracer = object("packet_count");
        let program = tracer.program_mut("count_packets").expect("it is there");
        program.set_section(&format!("fentry/{target}")).expect("a section");
        tracer.plan(kernel(), &Options::default())
    };
    let whole = require!(CONNTRACK, plan("nf_conntrack:nf_conntrack_in"));
    assert!(whole.programs[0].attach.as_ref().expect("a target").module.is_some());
    let said = plan("nf:nf_conntrack_in").expect_err("no such module").to_string();
    assert!(said.contains("module `nf` is not loaded"), "{said}");
}

/// libbpf hands out the image of an arena's globals before loading, and the start of the arena after it, though the
/// globals may lie at its end.
#[test]
fn globals_of_an_arena_are_found_where_they_are() {
    require!(ROOT);
    let lesson = require!(ARENA, load("arena"));
    let at = lesson.object.plan(kernel(), &Options::default()).expect("a plan").arena_offset as usize;
    let before = lesson.object.map("arena").and_then(|m| m.contents.clone()).expect("globals");
    let after = lesson.loaded.arena("arena").and_then(|arena| arena.read(at, before.len()));
    assert_eq!(after, Some(before), "nothing has run yet");
}

/// libbpf attaches a replacement by BPF_LINK_CREATE alone; on kernels before 5.11 or so that takes no replacements, and
/// only BPF_RAW_TRACEPOINT_OPEN does.
#[test]
fn a_replacement_is_attached_on_every_kernel_that_has_them() {
    require!(ROOT);
    let only = Options { only: vec!["target".into()], ..Options::default() };
    let target = load_object(object("replace"), &only).expect("it loads");
    let id = target.loaded.program("target").and_then(|p| p.info().ok()).expect("it is there").id;
    let onto = vec![ProgTarget { program: "new_verdict".into(), target: id, function: None }];
    let new = require!(FREPLACE, load_object(object("replacement"), &Options { onto, ..Options::default() }));
    let program = new.loaded.program("new_verdict").expect("it was loaded");
    let link = require!(FREPLACE, links::auto(kernel(), program)).expect("it knows where");
    assert_eq!(target.xdp("target", 64), 2, "XDP_PASS, by the replacement");
    drop(link);
    assert_eq!(target.xdp("target", 64), 1, "XDP_DROP, as it was");
}

/// libbpf's list of functions by name works only for files with .symtab: for a stripped library it finds them all in
/// .dynsym and then returns ENOENT all the same.
#[test]
fn functions_of_a_stripped_library_are_listed_by_name() {
    require!(ROOT);
    require!(HOST);
    let lesson = require!(UPROBE_MULTI, load("uprobe_multi"));
    let names = ["getpgid", "getppid"].map(String::from).to_vec();
    let target = Target::UprobeMulti(UprobeMulti::new("libc.so.6", Spots::Names(names), MultiKind::Entry));
    let program = lesson.loaded.program("entries").expect("it was loaded");
    drop(require!(UPROBE_MULTI, links::attach_on(kernel(), program, &target)));
}

/// libbpf loads programs of its own first, a socket filter or a tracepoint, to see whether it may load any: a process
/// that may load others is told to look at RLIMIT_MEMLOCK. Here a probe may be refused, and the load goes on.
#[test]
fn no_other_program_has_to_be_allowed() {
    require!(ROOT);
    in_namespace(|| {
        let out = rawbpf(&["load", &crate::net::object("packet_count.o"), "--explain"]);
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{said}");
        let loads = said.lines().filter(|l| l.contains("bpf(BPF_PROG_LOAD") && !l.contains("= -1"));
        let kinds: Vec<bool> = loads.map(|l| l.contains("BPF_PROG_TYPE_XDP")).collect();
        assert_eq!(kinds, [true], "{said}");
    });
}
