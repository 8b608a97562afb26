//! The instructions that take a number, and what happens to those that do not.

use super::{check, kernel, outcome, plan, programs, relocations};
use crate::gate::{HOST, require};
use rawbpf::bytes::Endian;
use rawbpf::elf::Object;
use rawbpf::insn::RawInsn;
use rawbpf::insn::raw::{class, mode, size};

const OURS: &str =
    "struct s { int a; u32 u; u64 b; void *ptr; s8 c; u8 d; _Bool t; char ch; enum e { E } e; };";

#[test]
fn every_class_of_instruction_is_patched() {
    require!(HOST);
    let table = [
        ("p->b", class::LDX, mode::MEM, "16/8"),
        ("p->a", class::LDX, mode::MEMSX, "8/4"),
        ("p->b = v; return 0", class::STX, mode::MEM, "16/8"),
        ("p->b = 42; return 0", class::ST, mode::MEM, "16/8"),
        ("BYTE_OFF(p->b)", class::ALU64, 0, "16"),
        ("ADDRESS(p->b)", class::ALU64, 0, "16"),
        ("VALUE(enum e, E)", class::LD, mode::IMM, "3"),
        ("TYPE_SIZE(struct s)", class::ALU64, 0, "24"),
    ];
    let expressions: Vec<&str> = table.iter().map(|row| row.0).collect();
    let object = programs(OURS, &expressions, Endian::Little);
    let kernel = kernel("enum e { E = 3 }; struct s { u64 x; int a; u64 b; } v; enum e e;", Endian::Little);
    for (i, (expression, class, mode, want)) in table.into_iter().enumerate() {
        let name = format!("p{i}");
        assert_eq!(outcome(&object, &name, &kernel), want, "{expression}");
        let (at, _) = relocations(&object, &name)[0];
        let insns = &plan(&object, &name, &kernel).expect("it has an outcome").insns;
        let insn = insns[at.index()];
        assert_eq!(insn.class(), class, "{expression}");
        if [class::LDX, class::ST, class::STX].contains(&class) {
            assert_eq!(insn.mode(), mode, "{expression}");
        }
    }
}

#[test]
fn arithmetic_of_32_bits_is_patched() {
    require!(HOST);
    let object = programs(OURS, &["BYTE_OFF(p->b)"], Endian::Little);
    let object = altered(&object, 0, |insn| insn.opcode = insn.opcode & !7 | class::ALU);
    assert_eq!(outcome(&object, "p0", &kernel("struct s { char pad[40]; u64 b; } v;", Endian::Little)), "40");
}

#[test]
fn atomic_stores_stay_atomic() {
    require!(HOST);
    let object = programs(OURS, &["p->u = v; return 0"], Endian::Little);
    let object = altered(&object, 0, |insn| insn.opcode = class::STX | size::W | mode::ATOMIC);
    let plan =
        plan(&object, "p0", &kernel("struct s { u32 x; u64 u; } v;", Endian::Little)).expect("a change");
    let (at, _) = relocations(&object, "p0")[0];
    assert_eq!(plan.insns[at.index()].opcode, class::STX | size::DW | mode::ATOMIC);
    assert_eq!(plan.insns[at.index()].off, 8);
}

#[test]
fn a_load_takes_the_size_that_the_field_has_here() {
    require!(HOST);
    let theirs = "struct s { u64 x; u64 u; u32 b; void *ptr; u32 d; u8 c; long a; u16 t, ch; enum e { E, F = 1LL << 40 } e; }; struct s v;";
    check(
        OURS,
        theirs,
        Endian::Little,
        &[
            ("p->u", "8/8"),
            ("p->b", "16/4"),
            ("p->d", "32/4"),
            ("p->u = v; return 0", "8/8"),
            ("p->u = 42; return 0", "8/8"),
            // A signed number would have to be extended, which the load does not do.
            ("p->a", "poison"),
            ("p->a = 42; return 0", "poison"),
            // The same size: no matter of signs.
            ("p->c", "36/1"),
            ("p->t", "48/2"),
            ("p->ch", "poison"),
            ("p->e", "poison"),
            // The address and the size themselves are right all the same.
            ("ADDRESS(p->a)", "40"),
            ("BYTE_SZ(p->a)", "8"),
        ],
    );
}

#[test]
fn an_array_counts_by_its_elements() {
    require!(HOST);
    check(
        "struct s { u32 a[4]; u8 by[4]; };",
        "struct s { u64 pad; u64 a[4]; u8 by[9]; }; struct s v;",
        Endian::Little,
        &[("p->a[1]", "16/8"), ("p->by[1]", "41/1"), ("p->a[0]", "8/8")],
    );
}

#[test]
fn offsets_end_where_instructions_end() {
    require!(HOST);
    check(
        "struct s { int a, b; };",
        "struct s { char pad[32764]; int a; int b; }; struct s v;",
        Endian::Little,
        &[
            ("p->a", "32764/4"),
            ("p->b", "the field's offset on this kernel is 32768, and a load or store reaches 32767 at most"),
            ("BYTE_OFF(p->b)", "32768"),
        ],
    );
}

/// The object with one instruction of `p0` changed: the one that has the relocation, or one further on.
fn altered(object: &Object, further: usize, change: impl Fn(&mut RawInsn)) -> Object {
    let (at, _) = relocations(object, "p0")[0];
    let mut object = object.clone();
    change(&mut object.programs[0].func.insns[at.index() + further]);
    object
}

#[test]
fn an_instruction_with_another_number_is_an_error() {
    require!(HOST);
    let theirs = kernel("enum e { E } e; struct s { u64 x; int a; u64 b; } v;", Endian::Little);
    for (expression, found) in [
        ("p->b", "has 9,"),
        ("BYTE_OFF(p->b)", "has 9,"),
        ("VALUE(enum e, E)", "has 9,"),
        ("p->b = 1; return 0", "has 9,"),
    ] {
        let object = programs(OURS, &[expression], Endian::Little);
        let wrong = altered(&object, 0, |insn| match insn.class() {
            class::LD | class::ALU | class::ALU64 => insn.imm = 9,
            _ => insn.off = 9,
        });
        let error = outcome(&wrong, "p0", &theirs);
        assert!(error.contains(found) && error.contains("where the program's types give"), "{error}");
    }
    // Where an object was linked from several, the numbers of types are no longer what they were.
    let object = programs(OURS, &["LOCAL_ID(struct s)"], Endian::Little);
    let right = outcome(&object, "p0", &theirs);
    assert_eq!(outcome(&altered(&object, 0, |insn| insn.imm = 999), "p0", &theirs), right);
    // Compilers differ in what they take for the place of a bitfield.
    let object = programs("struct s { u32 a:3, b:4; };", &["BYTE_OFF(p->b)"], Endian::Little);
    let theirs = kernel("struct s { u64 z; u32 b:4; } v;", Endian::Little);
    assert_eq!(outcome(&altered(&object, 0, |insn| insn.imm = 999), "p0", &theirs), "8");
}

#[test]
fn an_instruction_without_a_place_for_the_number_is_an_error() {
    require!(HOST);
    let theirs = kernel("struct s { u64 x; int a; u64 b; } v;", Endian::Little);
    let load = programs(OURS, &["p->b"], Endian::Little);
    let constant = programs(OURS, &["TARGET_ID(struct s)"], Endian::Little);
    let wrong = [
        altered(&load, 0, |insn| insn.opcode = 0x05),     // goto
        altered(&load, 0, |insn| insn.opcode = 0x56),     // if w != imm goto
        altered(&load, 0, |insn| insn.opcode = 0x0f),     // r += r
        altered(&load, 0, |insn| insn.opcode = 0x20),     // a packet load
        altered(&constant, 0, |insn| insn.src = 1),       // a map
        altered(&constant, 1, |insn| insn.opcode = 0xb7), // half a constant
        altered(&constant, 1, |insn| insn.off = 1),
    ];
    for object in wrong {
        let error = outcome(&object, "p0", &theirs);
        assert!(error.contains("is none that takes a number"), "{error}");
    }
}

#[test]
fn a_load_of_half_a_field_that_grew_is_an_error() {
    require!(HOST);
    let theirs = kernel("struct s { u64 u; u64 b; } v;", Endian::Little);
    let object = programs(OURS, &["p->u"], Endian::Little);
    let narrow = altered(&object, 0, |insn| insn.opcode = class::LDX | size::H | mode::MEM);
    let error = outcome(&narrow, "p0", &theirs);
    assert!(error.contains("moves 2 byte(s), but the field has 4"), "{error}");
    assert_eq!(outcome(&object, "p0", &theirs), "0/8");
    let theirs = kernel("struct s { unsigned __int128 u; } v;", Endian::Little);
    let error = outcome(&object, "p0", &theirs);
    assert!(error.contains("the field has 16 byte(s) on this kernel"), "{error}");
}

#[test]
fn both_halves_of_a_constant_are_poisoned() {
    require!(HOST);
    let object = programs(OURS, &["VALUE(enum e, E)"], Endian::Little);
    let plan =
        plan(&object, "p0", &kernel("struct s { int a; } v;", Endian::Little)).expect("poison is no error");
    let poison = RawInsn { opcode: 0x85, imm: 195_896_080, ..RawInsn::default() };
    assert_eq!(plan.insns[..2], [poison, poison]);
    assert_eq!(plan.poisons.len(), 1);
}
