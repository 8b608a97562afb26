//! The six questions about fields, and where fields are found.

use super::check;
use crate::gate::{HOST, require};
use rawbpf::bytes::Endian;

/// The struct of the program; the tests give that of the kernel.
const OURS: &str = "
struct inner { int x; u64 y; };
struct s {
    int a; u64 b; s16 c; void *ptr; int arr[4]; struct inner in; u32 bits:5; s32 sbits:3;
    union { u32 u1; u64 u2; };
};";

#[test]
fn a_field_that_moved_is_found() {
    require!(HOST);
    let theirs = "
        struct inner { u64 new; int x; u64 y; };
        struct s { u64 pad[3]; struct inner in; u64 b; int a; s16 c; void *ptr; int arr[8];
                   u32 more:7, bits:5; s32 sbits:3; struct { u64 deep; union { u64 u2; u32 u1; }; }; };
        struct s v;";
    check(
        OURS,
        theirs,
        Endian::Little,
        &[
            ("p->a", "56/4"),
            ("p->b", "48/8"),
            ("p->in.x", "32/4"),
            ("p->arr[2]", "80/4"),
            ("p->u1", "120/4"),
            ("ADDRESS(p->in)", "24"),
            ("BYTE_OFF(p->b)", "48"),
            ("BYTE_SZ(p->in)", "24"),
            ("BYTE_SZ(p->arr)", "32"),
            ("BYTE_SZ(p->arr[1])", "4"),
            ("EXISTS(p->b)", "1"),
            ("SIGNED(p->a) + SIGNED(p->b)", "1 0"),
            ("LSHIFT(p->c) + RSHIFT(p->c)", "48 48"),
            ("BYTE_OFF(p->bits) + BYTE_SZ(p->bits)", "104 4"),
            ("LSHIFT(p->bits) + RSHIFT(p->bits)", "52 59"),
            ("SIGNED(p->sbits)", "1"),
        ],
    );
}

#[test]
fn a_field_that_is_missing_poisons_or_is_0() {
    require!(HOST);
    check(
        OURS,
        "struct s { int other; }; struct s v;",
        Endian::Little,
        &[
            ("p->a", "poison"),
            ("ADDRESS(p->in)", "poison"),
            ("BYTE_OFF(p->b)", "poison"),
            ("BYTE_SZ(p->b)", "poison"),
            ("SIGNED(p->b)", "poison"),
            ("LSHIFT(p->bits)", "poison"),
            ("RSHIFT(p->bits)", "poison"),
            ("EXISTS(p->b)", "0"),
            ("EXISTS(p->in.x)", "0"),
        ],
    );
    check(OURS, "struct t { int a; } v;", Endian::Little, &[("p->a", "poison"), ("EXISTS(p->b)", "0")]);
}

#[test]
fn candidates_that_disagree_are_an_error() {
    require!(HOST);
    let theirs = "
        struct s { int a; int b; u64 same; int arr[2]; };
        struct s___other { int b; int a; u64 same; int arr[3]; };
        struct s v; struct s___other w;";
    let ours = "struct s { int a, b; u64 same; int arr[2], gone; };";
    let offset = "the kernel has several such types, with the field at bit 0 of one and at bit 32 of another";
    let value = "the kernel has several such types, and the answer is 8 for one and 12 for another";
    check(
        ours,
        theirs,
        Endian::Little,
        &[
            ("p->a", offset),
            ("BYTE_OFF(p->a)", offset),
            ("BYTE_SZ(p->a)", offset),
            ("SIGNED(p->a)", offset),
            ("LSHIFT(p->a)", offset),
            ("RSHIFT(p->a)", offset),
            ("EXISTS(p->a)", offset),
            ("BYTE_SZ(p->arr)", value),
            ("p->same", "8/8"),
            ("p->arr[1]", "20/4"),
            ("p->gone", "poison"),
        ],
    );
}

#[test]
fn a_candidate_without_the_field_is_passed_over() {
    require!(HOST);
    let theirs = "
        struct s { int a; int pad; int b; };
        struct s___old { int b; };
        struct s v; struct s___old w;";
    // After `a`, only the candidate that has it is left, so `b` is no longer ambiguous.
    check(
        "struct s { int a, b; };",
        theirs,
        Endian::Little,
        &[("p->b", "the kernel has several such types"), ("p->a + p->b", "0/4 8/4")],
    );
}

#[test]
fn flavours_are_one_type() {
    require!(HOST);
    let ours = "
        struct s { int a; }; struct s___v2 { int b; }; struct s___v3 { long a; }; struct s____no { int a; };
        struct f { struct s *s; };";
    check(
        ours,
        "struct s { u64 x; int a; int b; }; struct s v;",
        Endian::Little,
        &[
            ("p->a", "8/4"),
            ("((struct s___v2 *)p)->b", "12/4"),
            ("EXISTS(((struct s___v3 *)p)->a)", "1"),
            ("EXISTS(((struct s____no *)p)->a)", "0"),
        ],
    );
    check(
        ours,
        "struct s___kernel { u64 x; int a; int b; }; struct s___kernel v;",
        Endian::Little,
        &[("p->a", "8/4"), ("((struct s___v2 *)p)->b", "12/4")],
    );
}

#[test]
fn anonymous_members_do_not_count() {
    require!(HOST);
    let ours =
        "struct s { int x; struct { union { int a; struct { char b, c[3]; }; }; }; struct { int d; } n; };";
    check(
        ours,
        "struct s { u64 pad; struct { int b; }; char c[9]; int a; union { struct { int d; } n; }; }; struct s v;",
        Endian::Little,
        &[
            ("p->a", "24/4"),
            ("p->c[2]", "14/1"),
            ("p->n.d", "28/4"),
            ("p->x", "poison"),
            ("EXISTS(p->b)", "1"),
        ],
    );
    check(
        "struct s { int a, b; };",
        "struct s { struct { struct { struct { int z; union { long q; struct { int y, b; }; }; }; }; }; int a; }; struct s v;",
        Endian::Little,
        &[("p->a", "16/4"), ("p->b", "12/4")],
    );
}

#[test]
fn arrays_need_the_element_and_not_the_length() {
    require!(HOST);
    let ours = "struct e { int x, y; }; struct s { int n[4], m[2][3]; struct e e[3]; int flex[]; };
                struct z { int n; int zero[0]; };";
    check(
        ours,
        "struct e { int w, x, y; }; struct s { int n[2], m[2][5]; struct e e[9]; long k; int flex[]; };
         struct z { int zero[0]; int n; };
         struct s *v; void f(struct s *p) { v = p + 1; } struct z w;",
        Endian::Little,
        &[
            ("p->n[1]", "4/4"),
            ("p->n[3]", "poison"),
            ("EXISTS(p->n[3])", "0"),
            ("ADDRESS(p->m[1])", "28"),
            ("p->e[2].y", "80/4"),
            ("p->flex[7]", "196/4"),
            ("BYTE_SZ(p->m[1])", "20"),
            ("((struct z *)p)->zero[1]", "poison"),
            ("p[1].n[0]", "168/4"),
        ],
    );
}

#[test]
fn element_of_an_array_has_no_sign_and_no_shifts() {
    require!(HOST);
    check(
        "struct s { int n[4]; };",
        "struct s { int n[4]; } v;",
        Endian::Little,
        &[("BYTE_OFF(p->n[2]) + BYTE_SZ(p->n[2]) + EXISTS(p->n[2])", "8 4 1")],
    );
}

#[test]
fn types_of_another_sort_do_not_fit() {
    require!(HOST);
    let ours = "
        enum e { E1 }; enum f { F1 }; struct in { int x; };
        struct s { int i; void *p; enum e e; struct in st; int arr[2]; float fl; enum { A1 } an; int (*fn)(int); };";
    check(
        ours,
        "enum e___x { E1 }; enum f { F2 }; union in { long x; };
         struct s { long i; u64 p; enum e___x e; union in st; long arr[5]; double fl; enum f an; char *fn; }; struct s v;",
        Endian::Little,
        &[
            ("EXISTS(p->i)", "1"),
            ("EXISTS(p->p)", "0"),
            ("EXISTS(p->e)", "1"),
            ("EXISTS(p->st)", "1"),
            ("EXISTS(p->st.x)", "1"),
            ("EXISTS(p->arr[1])", "1"),
            ("EXISTS(p->fl)", "1"),
            ("EXISTS(p->an)", "1"),
            ("EXISTS(p->fn)", "1"),
        ],
    );
    check(
        ours,
        "enum f { F2 };
         struct s { void *i; int p[2]; enum f e; int st; int *arr[5]; int fl; int an; struct { int a; } fn; }; struct s v;",
        Endian::Little,
        &[
            ("EXISTS(p->i)", "0"),
            ("EXISTS(p->p)", "0"),
            ("EXISTS(p->e)", "0"),
            ("EXISTS(p->st)", "0"),
            ("EXISTS(p->arr)", "0"),
            ("EXISTS(p->fl)", "0"),
            ("EXISTS(p->an)", "0"),
            ("EXISTS(p->fn)", "0"),
        ],
    );
}

#[test]
fn qualifiers_and_typedefs_are_looked_through() {
    require!(HOST);
    check(
        "typedef const int ci; typedef volatile ci vci; struct s { vci a; const u32 b; };
         typedef struct s s_t; typedef const s_t cs_t;",
        "typedef struct { int q; } q_t; typedef u32 x_t; typedef const x_t y_t;
         struct s { u64 pad; y_t b; volatile y_t a; }; typedef struct s s_t; typedef struct s cs_t;
         s_t v; cs_t *w; void f(cs_t *p) { w = p + 1; }",
        Endian::Little,
        &[
            ("p->a", "12/4"),
            ("((s_t *)p)->b", "8/4"),
            // The name of the root counts as it stands: a typedef is looked for as a typedef.
            ("TYPE_EXISTS(cs_t)", "1"),
        ],
    );
}

#[test]
fn bitfields_are_cut_out_of_either_end() {
    require!(HOST);
    let ours = "struct s { u32 a:7, b:3; u64 c:40; s32 d:5; enum e { X = -1 } e:4; int plain; };";
    let theirs = "struct s { u32 b:3, a:9; int plain:6; u64 z:30, c:20; u64 wide; s64 d:5; enum e { X = -1 } e:4; }; struct s v;";
    let all = |f: &str| format!("BYTE_OFF({f}) + BYTE_SZ({f}) + LSHIFT({f}) + RSHIFT({f}) + SIGNED({f})");
    let questions = ["p->a", "p->b", "p->c", "p->d", "p->e"].map(all);
    let table = |wants: [&'static str; 5]| -> Vec<(String, &'static str)> {
        questions.iter().cloned().zip(wants).collect()
    };
    let run = |endian, wants| {
        let table = table(wants);
        let table: Vec<(&str, &str)> = table.iter().map(|(q, w)| (q.as_str(), *w)).collect();
        check(ours, theirs, endian, &table);
    };
    run(Endian::Little, ["0 4 52 55 0", "0 4 61 61 0", "8 8 44 44 0", "24 8 59 59 1", "24 4 55 60 1"]);
    run(Endian::Big, ["0 4 35 55 0", "0 4 32 61 0", "8 8 0 44 0", "24 8 0 59 1", "24 4 37 60 1"]);
}

#[test]
fn a_packed_bitfield_takes_a_larger_load() {
    require!(HOST);
    let ours = "struct s { u32 a:30; u64 b:60; };";
    let theirs = "struct s { u8 pad; u32 a:30; u64 b:60; } __attribute__((packed)); struct s v;";
    let table = |left| {
        [
            ("BYTE_OFF(p->a) + BYTE_SZ(p->a) + LSHIFT(p->a) + RSHIFT(p->a)", left),
            ("BYTE_OFF(p->b)", "its 60 bits from bit 38 are not within 8 bytes"),
        ]
    };
    check(ours, theirs, Endian::Little, &table("0 8 26 34"));
    check(ours, theirs, Endian::Big, &table("0 8 8 34"));
}

#[test]
fn a_load_of_what_became_a_bitfield_is_poisoned() {
    require!(HOST);
    check(
        "struct s { u32 a, b; };",
        "struct s { u32 x:1, a:7; u32 b; }; struct s v;",
        Endian::Little,
        &[("p->a", "poison"), ("p->b", "4/4"), ("BYTE_OFF(p->a) + BYTE_SZ(p->a) + RSHIFT(p->a)", "0 4 57")],
    );
}
