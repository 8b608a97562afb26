//! The questions about whole types and about the values of enumerations.

use super::{check, kernel, outcome, programs};
use crate::gate::{HOST, require};
use rawbpf::btf::BtfKind;
use rawbpf::bytes::Endian;

const OURS: &str = "
struct s { int a; }; struct s___flavour { int a; }; union un { int a; }; struct gone { int a; };
enum e { E_A = 1, E_B = 2, E_C = 3 }; enum gone_e { G };
enum big { B_A = 1, B_B = 0x123456789a };
typedef int (*fn_t)(int, struct s *); typedef int int4_t[4]; typedef struct s s_t; typedef u64 num_t;";

#[test]
fn types_that_are_there() {
    require!(HOST);
    let theirs = "
        struct s { u64 a; char b[3]; }; union un { int a[5]; };
        enum e { E_X, E_A = 7, E_B___moved = 8 }; enum big { B_B = -3 };
        typedef long (*fn_t)(long, struct s *); typedef char int4_t[9]; typedef struct s s_t; typedef char num_t;
        struct s v; union un w; enum e x; enum big y; fn_t f; int4_t g; s_t h; num_t i;";
    check(
        OURS,
        theirs,
        Endian::Little,
        &[
            ("TYPE_EXISTS(struct s)", "1"),
            ("TYPE_EXISTS(struct s___flavour)", "1"),
            ("TYPE_EXISTS(union un)", "1"),
            ("TYPE_EXISTS(enum e)", "1"),
            ("TYPE_EXISTS(fn_t)", "1"),
            ("TYPE_EXISTS(int4_t)", "1"),
            ("TYPE_EXISTS(num_t)", "1"),
            ("TYPE_SIZE(struct s)", "16"),
            ("TYPE_SIZE(int4_t)", "9"),
            ("TYPE_SIZE(s_t)", "16"),
            ("VALUE_EXISTS(enum e, E_A)", "1"),
            ("VALUE(enum e, E_A)", "7"),
            // Flavours of values do not count either.
            ("VALUE(enum e, E_B)", "8"),
            ("VALUE_EXISTS(enum e, E_C)", "0"),
            ("VALUE(enum e, E_C)", "poison"),
            // An enumeration of 64 bits here, of 32 bits and negative there.
            ("VALUE(enum big, B_B)", "-3"),
            ("VALUE(enum big, B_A)", "poison"),
        ],
    );
}

#[test]
fn types_that_are_missing() {
    require!(HOST);
    check(
        OURS,
        "union s { int a; } v; struct un { int a; } w; int gone, gone_e;",
        Endian::Little,
        &[
            ("TYPE_EXISTS(struct s)", "0"),
            ("TYPE_EXISTS(union un)", "0"),
            ("TYPE_EXISTS(struct gone)", "0"),
            ("TYPE_SIZE(struct gone)", "0"),
            ("TYPE_MATCHES(struct gone)", "0"),
            ("TARGET_ID(struct gone)", "0"),
            ("VALUE_EXISTS(enum gone_e, G)", "0"),
            ("VALUE(enum gone_e, G)", "poison"),
            ("TYPE_EXISTS(fn_t)", "0"),
        ],
    );
}

#[test]
fn candidates_that_disagree_are_an_error() {
    require!(HOST);
    let several = |one: u64, other: u64| {
        format!("the kernel has several such types, and the answer is {one} for one and {other} for another")
    };
    let theirs = "
        struct s { int a; }; struct s___2 { long a; }; enum e { E_A = 1, E_B = 2 }; enum e___2 { E_A___2 = 5, E_B___2 = 2 };
        struct s v; struct s___2 w; enum e x; enum e___2 y;";
    check(
        OURS,
        theirs,
        Endian::Little,
        &[
            ("TYPE_EXISTS(struct s)", "1"),
            ("TYPE_SIZE(struct s)", &several(4, 8)),
            ("TARGET_ID(struct s)", "the kernel has several such types, and the answer is"),
            ("VALUE(enum e, E_A)", &several(1, 5)),
            ("VALUE(enum e, E_B)", "2"),
            ("VALUE_EXISTS(enum e, E_A)", "1"),
            // `struct s` matches and `struct s___2` does not, so there is one answer.
            ("TYPE_MATCHES(struct s)", "1"),
        ],
    );
}

#[test]
fn the_ids_are_those_of_the_two_btfs() {
    require!(HOST);
    let object = programs(
        OURS,
        &["LOCAL_ID(struct s)", "TARGET_ID(struct s)", "LOCAL_ID(struct gone)"],
        Endian::Little,
    );
    let kernel = kernel("struct pad { int x; } p; struct s { int a; } v;", Endian::Little);
    let ours = object.btf.as_ref().expect("types");
    let theirs = kernel.btf().expect("types");
    let id = |btf: &rawbpf::btf::Btf, name| btf.find(name, BtfKind::Struct).expect(name).to_string();
    assert_eq!(outcome(&object, "p0", &kernel), id(ours, "s"));
    assert_eq!(outcome(&object, "p1", &kernel), id(theirs, "s"));
    assert_eq!(outcome(&object, "p2", &kernel), id(ours, "gone"));
    assert_ne!(id(ours, "s"), id(theirs, "s"));
}

#[test]
fn functions_and_pointers_are_of_a_sort_by_what_they_lead_to() {
    require!(HOST);
    let ours = "struct s { int a; };
        typedef int (*f0)(void); typedef int (*f1)(int); typedef int (*f2)(int, struct s *); typedef int (*f3)(struct s *);
        typedef void (*f4)(void); typedef int *ptr0; typedef struct s *ptr1; typedef void *ptr2; typedef int a0[3]; typedef int *a1[3];
        typedef float fl;";
    let theirs = "struct s { long z; }; union un { int a; };
        typedef int (*f0)(int); typedef char (*f1)(u64); typedef int (*f2)(int, union un *); typedef int (*f3)(struct s *const);
        typedef int (*f4)(void); typedef char *ptr0; typedef union un *ptr1; typedef const void *ptr2; typedef long a0[5]; typedef int a1[3];
        typedef float fl;
        struct s v; f0 v0; f1 v1; f2 v2; f3 v3; f4 v4; ptr0 v5; ptr1 v6; ptr2 v7; a0 v8; a1 v9; fl v10;";
    let exists = |name: &str| format!("TYPE_EXISTS({name})");
    let table = [
        ("f0", "0"),
        ("f1", "1"),
        ("f2", "0"),
        ("f3", "1"),
        ("f4", "0"),
        ("ptr0", "1"),
        ("ptr1", "0"),
        ("ptr2", "1"),
        ("a0", "1"),
        ("a1", "0"),
        ("fl", "0"),
    ];
    let table: Vec<(String, &str)> = table.iter().map(|(name, want)| (exists(name), *want)).collect();
    let table: Vec<(&str, &str)> = table.iter().map(|(q, w)| (q.as_str(), *w)).collect();
    check(ours, theirs, Endian::Little, &table);
}

#[test]
fn a_type_matches_when_all_that_the_program_names_is_there() {
    require!(HOST);
    let ours = "
        struct s { int a; }; enum e { A, B };
        struct fewer { int a; }; struct more { int a, b; }; struct size { int a; }; struct sign { int a; };
        struct order { int a; char b; }; struct ptr { struct s *p; struct s q; }; struct ptr2 { struct gone *p; };
        struct arr { int a[3]; }; struct arr2 { int a[3]; }; struct en { enum e e; }; struct en2 { enum e2 { C, D } e; };
        struct fn { int (*f)(int, struct s *); }; struct fn2 { int (*f)(int); }; struct anon { struct { int a; }; int b; };
        struct fl { float f; }; struct named { struct x1 { int a; } x; }; struct flav { struct x2___mine { int a; } x; };
        struct bits { u32 a:3; };";
    let theirs = "
        struct s { int a; }; enum e { B = 9, Z, A }; struct gone;
        struct fewer { int a, b; }; struct more { int a; }; struct size { long a; }; struct sign { u32 a; };
        struct order { char b; int a; }; struct ptr { struct s *p; struct s q; }; struct ptr2 { struct gone *p; };
        struct arr { int a[3]; }; struct arr2 { int a[4]; }; struct en { enum e e; }; struct en2 { enum e2 { C } e; };
        struct fn { int (*f)(int, struct s *); }; struct fn2 { int (*f)(long); };
        struct anon { int z; struct { int c; }; struct { char q; int a; }; int b; };
        struct fl { float f; }; struct named { struct y1 { int a; } x; }; struct flav { struct x2 { int a; } x; };
        struct bits { u32 z:9, a:20; };
        struct s v; struct fewer v1; struct more v2; struct size v3; struct sign v4; struct order v5; struct ptr v6;
        struct ptr2 v7; struct arr v8; struct arr2 v9; struct en v10; struct en2 v11; struct fn v12; struct fn2 v13;
        struct anon v14; struct fl v15; struct named v16; struct flav v17; struct bits v18;";
    let table = [
        ("s", "1"),
        ("fewer", "1"),
        ("more", "0"),
        ("size", "0"),
        ("sign", "0"),
        ("order", "1"),
        ("ptr", "1"),
        ("ptr2", "1"),
        ("arr", "1"),
        ("arr2", "0"),
        ("en", "1"),
        ("en2", "0"),
        ("fn", "1"),
        ("fn2", "0"),
        ("anon", "1"),
        ("fl", "0"),
        ("named", "0"),
        ("flav", "1"),
        ("bits", "1"),
    ];
    let table: Vec<(String, &str)> =
        table.iter().map(|(name, want)| (format!("TYPE_MATCHES(struct {name})"), *want)).collect();
    let table: Vec<(&str, &str)> = table.iter().map(|(q, w)| (q.as_str(), *w)).collect();
    check(ours, theirs, Endian::Little, &table);
}
