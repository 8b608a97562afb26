//! Relocations that no compiler writes, in an object that none compiled. None of them may load.

use std::sync::Arc;

use super::{chain, compile, kernel_of};
use crate::gate::{HOST, require};
use rawbpf::btf::{
    Btf, BtfBuilder, BtfExt, BtfExtBuilder, CoreRelo, CoreReloKind, IntEncoding, NewMember, TypeId,
};
use rawbpf::bytes::Endian;
use rawbpf::elf::Object;
use rawbpf::loader::Options;

/// An object with one program of one load, `p->b`, and nothing that ties it to types.
fn object() -> Object {
    let source = "__attribute__((section(\"xdp\"), used)) long f(long *p) { return p[1]; }";
    Object::parse("test", &compile(source, Endian::Little, "v3")).expect("clang's object is read")
}

/// Types that the object and the kernel share, and the number of `struct s`.
fn types() -> (BtfBuilder, TypeId) {
    let mut b = BtfBuilder::with_endian(Endian::Little);
    let int = b.int("long", 8, IntEncoding::SIGNED);
    let array = b.array(int, int, 3);
    let anonymous = b.composite(false, "", 8, &[NewMember::at("x", int, 0)]);
    let members = [
        NewMember::at("a", int, 0),
        NewMember::at("b", int, 64),
        NewMember::at("arr", array, 128),
        NewMember::at("", anonymous, 320),
    ];
    let s = b.composite(false, "s", 48, &members);
    (b, s)
}

/// Plans the program with one relocation.
fn with(relo: impl Fn(TypeId) -> CoreRelo, access: &str) -> Result<Vec<String>, String> {
    let (mut b, s) = types();
    let section = b.string("xdp");
    let access_str = b.string(access);
    let btf = Arc::new(Btf::parse(b.to_bytes().expect("it is small")).expect("what is built parses"));
    let ext = BtfExtBuilder {
        core_relo: vec![(section, vec![CoreRelo { access_str, ..relo(s) }])],
        ..BtfExtBuilder::default()
    };
    let ext = BtfExt::parse(ext.to_bytes(Endian::Little)).expect("what is built parses");
    let object = Object { btf: Some(btf.clone()), ext: Some(Arc::new(ext)), ..object() };
    let plan = object.plan(&kernel_of(btf), &Options::default()).map_err(|e| chain(&e))?;
    Ok(plan.programs.iter().flat_map(|p| &p.insns).map(|i| format!("{}", i.off)).collect())
}

fn relo(type_id: TypeId) -> CoreRelo {
    CoreRelo { insn_off: 0, type_id, access_str: Default::default(), kind: CoreReloKind::FieldByteOffset }
}

#[test]
fn a_right_one_is_applied() {
    require!(HOST);
    assert_eq!(with(relo, "0:1").expect("it is right")[0], "8");
}

#[test]
fn wrong_ones_are_errors() {
    require!(HOST);
    let kind = |kind| move |s| CoreRelo { kind, ..relo(s) };
    let nested = vec!["0"; 65].join(":");
    for (access, want) in [
        ("", "malformed: its elements must be numbers"),
        (":0", "malformed"),
        ("0:", "malformed"),
        ("0::1", "malformed"),
        ("0:x", "malformed"),
        ("0:-1", "malformed"),
        ("0:+1", "malformed"),
        ("0:99999999999", "malformed"),
        ("0:4", "at element 1, the struct has fewer members"),
        ("0:2:3", "at element 2, the array has fewer elements"),
        ("0:1:0", "at element 2, the type is not a struct, union or array"),
        ("0:3:1", "at element 2, the struct has fewer members"),
        (&nested, "it has more than 64 elements"),
        ("2147483647", "more than 4 GiB"),
    ] {
        let error = with(relo, access).expect_err(access);
        assert!(error.contains(want), "{access}: {error}");
    }
    for (change, access, want) in [
        (kind(CoreReloKind(13)), "0", "kind 13 is newer than this program"),
        (kind(CoreReloKind::TypeExists), "0:0", "it must be `0` for a whole type"),
        (kind(CoreReloKind::EnumvalValue), "0", "the type is no enumeration"),
        (kind(CoreReloKind::FieldSigned), "0:2:1", "it asks for the signed of an array element"),
    ] {
        let error = with(change, access).expect_err(access);
        assert!(error.contains(want), "{access}: {error}");
    }
    let error = with(|s| CoreRelo { insn_off: 4, ..relo(s) }, "0:1").expect_err("between instructions");
    assert!(error.contains("is not that of an instruction"), "{error}");
    let error =
        with(|_| CoreRelo { type_id: TypeId(99), ..relo(TypeId(99)) }, "0:1").expect_err("no such type");
    assert!(error.contains("there is no type 99"), "{error}");
    let error = with(|_| relo(TypeId(3)), "0:0").expect_err("no name");
    assert!(error.contains("its type has no name"), "{error}");
}

#[test]
fn those_of_no_function_are_passed_over() {
    require!(HOST);
    // Code that a linker dropped leaves its records behind.
    assert_eq!(with(|s| CoreRelo { insn_off: 8000, ..relo(s) }, "0:0").expect("not its own")[0], "8");
}
