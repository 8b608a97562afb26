//! Functions, callbacks, exceptions, sections without a type, jump tables.

use std::process::Command;

use super::{kernel, load, load_object, object};
use crate::gate::{BPF_LOOP, EXCEPTIONS, FOR_EACH_MAP_ELEM, HOST, INSN_ARRAY, ROOT, require};
use crate::net::{rawbpf_fails, rawbpf_json, rawbpf_ok};
use rawbpf::elf::{Reloc, RelocTarget};
use rawbpf::insn::prelude::*;
use rawbpf::insn::{InsnIx, RawInsn};
use rawbpf::{Object, Options};

#[test]
fn programs_of_one_section_call_the_same_functions() {
    require!(ROOT);
    let lesson = load("functions").expect("it loads");
    assert_eq!(lesson.xdp("length_squared", 20), 400);
    assert_eq!(lesson.xdp("length_squared_twice", 20), 800);
    assert!(lesson.loaded.program("endless").is_none(), "it stands behind a question mark");
}

#[test]
fn a_program_behind_a_question_mark_is_loaded_when_it_is_asked_for() {
    require!(ROOT);
    let only = |name: &str| Options { only: vec![name.into()], ..Options::default() };
    let e = load_object(object("functions"), &only("endless")).err().expect("the verifier refuses it");
    assert!(e.to_string().contains("the kernel refused program `endless`"), "{e}");
    let lesson = load_object(object("functions"), &only("length_squared")).expect("it loads");
    assert_eq!(lesson.loaded.programs().count(), 1);
}

#[test]
fn a_weak_function_is_used_until_there_is_another() {
    require!(ROOT);
    assert_eq!(load("weak").expect("it loads").xdp("ask", 64), 1);
    // Linked by libbpf's linker, which leaves the weak one's instructions in .text without a name.
    require!(HOST);
    let dir = tempfile::tempdir().expect("a directory");
    let linked = dir.path().join("linked.o");
    let parts = ["weak.o", "override.o"].map(crate::net::object);
    let link = Command::new("bpftool").args(["gen", "object"]).arg(&linked).args(parts).output();
    let link = link.expect("bpftool is installed: make deps");
    assert!(link.status.success(), "{}", String::from_utf8_lossy(&link.stderr));
    let object = Object::open(&linked).expect("an object");
    assert_eq!(object.functions.len(), 1, "the weak one is gone");
    assert_eq!(load_object(object, &Options::default()).expect("it loads").xdp("ask", 64), 2);
}

#[test]
fn a_helper_calls_a_function_back() {
    require!(ROOT);
    let only = |name: &str| Options { only: vec![name.into()], ..Options::default() };
    let lesson = require!(FOR_EACH_MAP_ELEM, load_object(object("callbacks"), &only("sum_of_values")));
    let map = lesson.loaded.map("numbers").expect("it is there");
    for n in 0..4u32 {
        map.set(&n.to_ne_bytes(), &(n * 10).to_ne_bytes(), 0).expect("written");
    }
    assert_eq!(lesson.xdp("sum_of_values", 64), 60);
    let lesson = require!(BPF_LOOP, load_object(object("callbacks"), &only("sum_of_indexes")));
    assert_eq!(lesson.xdp("sum_of_indexes", 64), 45);
}

#[test]
fn an_exception_is_caught_by_the_function_in_the_tag() {
    require!(ROOT);
    let lesson = require!(EXCEPTIONS, load("exception"));
    assert_eq!(lesson.xdp("at_most_20", 20), 20);
    assert_eq!(lesson.xdp("at_most_20", 21), 121);
}

#[test]
fn sections_of_a_projects_own_are_given_types() {
    let file = crate::net::object("custom.o");
    let said = rawbpf_fails(1, &["plan", &file]);
    assert!(said.contains("section `our/entry` is not a known program type"), "{said}");
    let types = |plan: &serde_json::Value| -> Vec<u64> {
        let rows = plan["programs"].as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|p| p["prog_type"].as_u64()).collect()
    };
    assert_eq!(types(&rawbpf_json(&["plan", &file, "--type", "xdp"])), [6, 6]);
    let by_name = ["plan", &file, "--type", "entry=xdp", "--type", "leave=tc"];
    assert_eq!(types(&rawbpf_json(&by_name)), [6, 3]);
    require!(ROOT);
    let said = rawbpf_ok(&["verify", &file, "--type", "entry=xdp", "--type", "leave=tc"]);
    assert!(said.contains("2 programs: 2 accepted, 0 refused"), "{said}");
}

/// `goto *table[length of the packet - 14]`: no clang of today writes such an object unless it is told to, so it is put
/// together here. Each entry of .jumptables is the byte offset of a target in the section.
fn with_a_jump_table() -> Object {
    let mut a = Asm::named("choose");
    let out = a.label();
    // r1 = data_end - data - 14
    a.load(W, R2, R1 + 4).load(W, R1, R1 + 0).sub64(R2, R1).sub64(R2, 14).mov64(R1, R2);
    a.mov64(R0, 99).jgt(R1, 2, out).lsh64(R1, 3);
    a.lddw(R2, 0).add64(R2, R1).load(DW, R3, R2 + 0).mov64(R3, R3);
    for answer in [10, 20, 30] {
        a.mov64(R0, answer).exit();
    }
    a.bind(out).exit();
    let mut object = Object::builder("jumps")
        .license("GPL")
        .program("xdp", a.finish().expect("code"))
        .finish()
        .expect("an object");
    let func = &mut object.programs[0].func;
    // gotox r3 stands where a move kept its place.
    let at = func.insns.iter().position(|i| i.opcode == 0xbf && i.dst == 3).expect("the place");
    func.insns[at] = RawInsn { opcode: 0x0d, dst: 3, src: 0, off: 0, imm: 0 };
    let table = func.insns.iter().position(|i| i.is_lddw()).expect("the load of the table");
    func.relocs
        .push(Reloc { at: InsnIx(table as u32), target: RelocTarget::JumpTable { offset: 0, size: 24 } });
    let targets = (0..3u64).map(|n| (at as u64 + 1 + 2 * n) * 8);
    object.jump_tables = targets.flat_map(u64::to_ne_bytes).collect();
    object
}

#[test]
fn a_jump_goes_where_the_table_says() {
    require!(ROOT);
    let object = with_a_jump_table();
    let plan = object.plan(kernel(), &Options::default()).expect("a plan");
    assert_eq!(plan.programs[0].jump_tables.len(), 1);
    let lesson = require!(INSN_ARRAY, load_object(object, &Options::default()));
    let answers: Vec<i32> = (14..18).map(|len| lesson.xdp("choose", len)).collect();
    assert_eq!(answers, [10, 20, 30, 99]);
}
