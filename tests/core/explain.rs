//! What a poisoned instruction and an error say.

use super::{kernel, outcome, plan, programs};
use crate::gate::{HOST, require};
use rawbpf::bytes::Endian;
use rawbpf::kernel::Kernel;
use rawbpf::loader::Poison;
use rawbpf::uapi::Release;

/// The text that goes with the only poison of a program.
fn text(types: &str, expression: &str, kernel_types: &str) -> String {
    let object = programs(types, &[expression], Endian::Little);
    let plan = plan(&object, "p0", &kernel(kernel_types, Endian::Little)).expect("poison is no error");
    match plan.poisons.as_slice() {
        [(_, Poison::Core(text))] => text.split_once("> [").map_or(text.clone(), |(kind, rest)| {
            // The number of the type is the compiler's affair.
            let rest = rest.split_once("] ").map_or(rest, |(_, rest)| rest);
            format!("{}> {rest}", kind)
        }),
        other => panic!("one poison, not {other:?}"),
    }
}

#[test]
fn a_missing_member_is_named_with_its_nearest() {
    require!(HOST);
    assert_eq!(
        text(
            "struct s { u64 x; long __state; };",
            "p->__state",
            "struct s { volatile long state; int stack; } v;"
        ),
        "<byte_off> struct s.__state (0:1 @ offset 8): `struct s` [1] has no member `__state` (the nearest is \
         `state`). If the program can do without it, test for it first: bpf_core_field_exists(struct s, __state)"
    );
    assert_eq!(
        text(
            "struct in { int x, yy; }; struct s { struct in in[2]; };",
            "p->in[1].yy",
            "struct in { int a; }; struct s { struct in in[2]; } v;"
        ),
        "<byte_off> struct s.in[1].yy (0:0:1:1 @ offset 12): `struct s` [1] has `struct in`, which has no member \
         `yy`. If the program can do without it, test for it first: bpf_core_field_exists(struct s, in[1].yy)"
    );
}

#[test]
fn every_candidate_is_named() {
    require!(HOST);
    let text = text(
        "struct s { int a; };",
        "p->a",
        "struct s { struct { int q; } a; }; struct s___2 { int b; }; struct s v; struct s___2 w;",
    );
    assert!(
        text.contains("`struct s` [1] has `a` as `struct (anonymous)`, where the program has `int`; "),
        "{text}"
    );
    assert!(text.contains("`struct s___2` [5] has no member `a`. If"), "{text}");
}

#[test]
fn a_missing_type_is_told_from_a_type_of_another_sort() {
    require!(HOST);
    let ours = "struct s { int a; };";
    assert_eq!(
        text(ours, "p->a", "int v;"),
        "<byte_off> struct s.a (0:0 @ offset 0): there is no `struct s` in its BTF or in that of its modules. If \
         the program can do without it, test for it first: bpf_core_type_exists(struct s)"
    );
    let text = text(ours, "p->a", "union s { int a; } v;");
    assert!(text.contains("in that of its modules, only `union s` [1]. If"), "{text}");
}

#[test]
fn a_missing_value_is_named() {
    require!(HOST);
    assert_eq!(
        text(
            "struct s { int a; }; enum e { RINGBUF_TYPE = 5 };",
            "VALUE(enum e, RINGBUF_TYPE)",
            "enum e { HASH_TYPE, RINGBUFS_TYPE } v;"
        ),
        "<enumval_value> enum e::RINGBUF_TYPE = 5: `enum e` [1] has no value `RINGBUF_TYPE` (the nearest is \
         `RINGBUFS_TYPE`). If the program can do without it, test for it first: \
         bpf_core_enum_value_exists(enum e, RINGBUF_TYPE)"
    );
}

#[test]
fn short_arrays_and_resized_numbers_are_explained() {
    require!(HOST);
    let short = text("struct s { int a[4]; };", "p->a[3]", "struct s { int a[2]; } v;");
    assert!(short.contains("`struct s` [1] has an array of 2 where the program wants `[3]`"), "{short}");
    let part = text("struct s { struct { int x; } a; };", "p->a.x", "struct s { int *a; } v;");
    assert!(part.contains("has `a` as `int *`, where the program has `struct (anonymous)`"), "{part}");
    let grown = text("struct s { int a; };", "p->a", "struct s { long a; } v;");
    assert!(
        grown.contains("it has 4 byte(s) (`int`) in the program and 8 byte(s) (`long`) on this kernel"),
        "{grown}"
    );
    let bits = text("struct s { int a; };", "p->a", "struct s { int x:3, a:4; } v;");
    assert!(bits.contains("in the program and a bitfield on this kernel"), "{bits}");
}

#[test]
fn an_error_says_where_it_is() {
    require!(HOST);
    let object = programs("struct s { int a; };", &["v + p->a"], Endian::Little);
    let error = outcome(
        &object,
        "p0",
        &kernel(
            "struct s { int a; }; struct s___x { int b, a; }; struct s v; struct s___x w;",
            Endian::Little,
        ),
    );
    let (place, rest) = error.split_once(": CO-RE relocation <byte_off> [").expect("the place comes first");
    assert!(
        place.starts_with("`p0` (section `xdp`), instruction 0, at ") && place.contains("t.c:"),
        "{place}"
    );
    assert!(
        rest.contains("] struct s.a (0:0 @ offset 0) cannot be applied: the kernel has several"),
        "{rest}"
    );
}

#[test]
fn a_kernel_without_types_is_an_error_only_where_they_are_needed() {
    require!(HOST);
    let object = programs("struct s { int a; };", &["LOCAL_ID(struct s)", "p->a"], Endian::Little);
    let bare = Kernel::fixture(Release(6, 12, 0));
    assert!(outcome(&object, "p0", &bare).parse::<u32>().is_ok());
    let error = outcome(&object, "p1", &bare);
    assert!(error.contains("the types of the kernel are needed for it: this kernel has no BTF"), "{error}");
}
