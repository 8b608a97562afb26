//! The C dump: clang gives what it reads the sizes and offsets that BTF has.

use super::{compile, run, small, vmlinux, vmlinux_path};
use rawbpf::btf::{
    Btf, BtfBuilder, BtfKind, CDump, Def, IntEncoding, KindSet, NewMember, StrOff, Type, TypeId, dump_c,
};
use rawbpf::bytes::Endian;
use std::collections::{BTreeMap, BTreeSet};

const COMPOSITE: KindSet = KindSet::of(&[BtfKind::Struct, BtfKind::Union]);

/// Every member of a struct, anonymous ones opened: path, offset, size.
fn shape(btf: &Btf, ty: &Type<'_>, prefix: &str, start: u32, out: &mut BTreeMap<String, (u32, u32)>) {
    for m in ty.members().into_iter().flatten() {
        let inner = btf.skip_mods_and_typedefs(m.ty).expect("readable");
        if m.name.is_empty() && inner.members().is_some() {
            shape(btf, &inner, prefix, start + m.bit_offset, out);
            continue;
        }
        let bits = if m.is_bitfield() { m.bit_size } else { btf.size_of(m.ty).unwrap_or(0).wrapping_mul(8) };
        let path = format!("{prefix}{}", m.name);
        out.insert(path.clone(), (start + m.bit_offset, bits));
        if inner.name.is_empty() {
            shape(btf, &inner, &format!("{path}."), start + m.bit_offset, out);
        }
    }
}

/// Size of a type, and offset and size of each member, in bits.
type Shape = (u32, BTreeMap<String, (u32, u32)>);

/// What is compared of every struct and union: its size, and where its members are. Of several with
/// one name, any may be the counterpart.
fn shapes(btf: &Btf) -> BTreeMap<(BtfKind, String), BTreeSet<Shape>> {
    let mut out = BTreeMap::<_, BTreeSet<_>>::new();
    for ty in btf.iter().map(|t| t.expect("readable")) {
        if COMPOSITE.contains(ty.tag()) && !ty.name.is_empty() {
            let mut members = BTreeMap::new();
            shape(btf, &ty, "", 0, &mut members);
            let name = rawbpf::btf::essential_name(&ty.name.to_str()).to_string();
            out.entry((ty.tag(), name)).or_default().insert((btf.size_of(ty.id).expect("a size"), members));
        }
    }
    out
}

/// A variable of each type, so that clang keeps all of them.
fn keep_all(btf: &Btf, text: &str) -> String {
    let mut out = text.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut seen = BTreeSet::new();
    for w in words.windows(3).filter(|w| matches!(w[0], "struct" | "union") && w[2].starts_with('{')) {
        if seen.insert((w[0], w[1])) {
            out.push_str(&format!("{} {} keep_{};\n", w[0], w[1], seen.len()));
        }
    }
    assert!(!seen.is_empty() || btf.type_count() < 2);
    out
}

fn compare(btf: &Btf) {
    let text = dump_c(btf, &CDump::vmlinux_h()).expect("it can be written");
    let Some(compiled) = compile(&keep_all(btf, &text), btf.endian(), ".BTF") else { return };
    let compiled = Btf::parse(compiled).expect("clang's BTF parses");
    let (ours, theirs) = (shapes(btf), shapes(&compiled));
    let mut wrong = Vec::new();
    for (name, ours) in &ours {
        match theirs.get(name) {
            Some(theirs) if ours.is_subset(theirs) => {}
            theirs => wrong.push(format!("{name:?}\n  BTF: {ours:?}\n  clang: {theirs:?}")),
        }
    }
    let first: Vec<_> = wrong.iter().take(5).cloned().collect();
    assert!(wrong.is_empty(), "{} of {} types differ:\n{}", wrong.len(), ours.len(), first.join("\n"));
    println!("{} structs and unions agree", ours.len());
}

#[test]
fn clang_lays_vmlinux_h_out_as_the_kernel_does() {
    let Some(btf) = vmlinux() else { return };
    compare(btf);
}

#[test]
fn clang_lays_small_types_out_as_they_were() {
    for btf in small().into_iter().flatten() {
        compare(&btf);
    }
}

#[test]
fn odd_layouts_are_kept() {
    let source = r#"
        typedef unsigned long long u64; typedef unsigned int u32; typedef unsigned short u16; typedef unsigned char u8;
        struct packed { u8 a; u32 b; u64 c; } __attribute__((packed));
        struct odd_size { u64 a; u32 b; } __attribute__((packed));
        struct aligned { u8 a; } __attribute__((aligned(64)));
        struct holds { u8 x; struct aligned in; struct packed p; u16 y; };
        struct member_aligned { u32 a; u32 b __attribute__((aligned(32))); };
        union padded { u8 a; u32 b; } __attribute__((aligned(16)));
        struct with_union { u8 a; union padded u; };
        struct bits { u32 a:3; u32 :5; u32 b:9; u64 c:40; u8 d:2; u8 :0; u8 e:1; u16 f; u32 g:31; u32 h:2; };
        struct packed_bits { u8 a; u32 b:23; u32 c:10; u8 d; } __attribute__((packed));
        struct gap { u8 a:1; u8 :0; u32 b:4; u32 :28; u32 c:4; u8 e; };
        struct empty {}; struct holds_empty { int a; struct empty e; u64 b; };
        struct i128 { u8 a; __int128 b; u8 c; };
        enum small { S_ONE = 1 } __attribute__((mode(byte)));
        enum half { H_ONE = 1 } __attribute__((mode(HI)));
        enum wide { W_ONE = 1 } __attribute__((mode(word)));
        struct enums { enum small a; enum half h; enum wide b; enum small c:3; };
        struct fam { int n; struct { u8 a; u16 b; } tail[]; };
        struct under_aligned { u8 a; u64 b __attribute__((packed)); u8 c; };
        #define V(t) struct t *v_##t;
        V(packed) V(odd_size) V(aligned) V(holds) V(member_aligned) V(with_union) V(bits) V(packed_bits) V(gap)
        V(holds_empty) V(i128) V(enums) V(fam) V(under_aligned)
    "#;
    for endian in [Endian::Little, Endian::Big] {
        let Some(bytes) = compile(source, endian, ".BTF") else { return };
        compare(&Btf::parse(bytes).expect("clang's BTF parses"));
    }
}

#[test]
fn bpftool_makes_the_same_of_it() {
    let Some(btf) = vmlinux() else { return };
    let Some(theirs) = run("bpftool", &["btf", "dump", "file", &vmlinux_path(), "format", "c"]) else {
        return;
    };
    let Some(compiled) = compile(&keep_all(btf, &theirs), btf.endian(), ".BTF") else { return };
    let theirs = shapes(&Btf::parse(compiled).expect("clang's BTF parses"));
    let sizes = |s: &BTreeSet<Shape>| s.iter().map(|(size, _)| *size).collect::<BTreeSet<u32>>();
    let ours = shapes(btf);
    let same = ours
        .iter()
        .filter(|(name, ours)| theirs.get(*name).is_some_and(|t| sizes(ours).is_subset(&sizes(t))));
    let (same, all) = (same.count(), ours.len());
    println!("bpftool's header has the kernel's sizes for {same} of {all} names");
    assert!(same * 100 >= all * 98, "{same} of {all}");
}

#[test]
fn declarations_read_as_in_the_source() {
    let source = r#"
        struct sock; typedef int (*cb_t)(struct sock *, int);
        int (*table[4])(struct sock *sk, const char *name);
        const char *const names[2][3] = {0};
        int (*returns(int n))(void);
        volatile const unsigned long flags; int *restrict r; char (*rows)[16];
        int printf_like(const char *fmt, ...); cb_t callback;
        int tcp_connect(struct sock *sk) { return returns(1)() + printf_like("", 1); }
    "#;
    let Some(bytes) = compile(source, Endian::NATIVE, ".BTF") else { return };
    let btf = Btf::parse(bytes).expect("clang's BTF parses");
    let decl = |name: &str| {
        let id = btf.find(name, KindSet::of(&[BtfKind::Var, BtfKind::Func])).expect("it is there");
        btf.render_decl(id, "").expect("it can be written")
    };
    assert_eq!(decl("tcp_connect"), "int tcp_connect(struct sock *sk)");
    assert_eq!(decl("table"), "int (*table[4])(struct sock *, const char *)");
    assert_eq!(decl("names"), "const char *const names[2][3]");
    assert_eq!(decl("flags"), "const volatile unsigned long flags");
    assert_eq!(decl("rows"), "char (*rows)[16]");
    assert_eq!(decl("callback"), "cb_t callback");
    assert_eq!(decl("r"), "int *restrict r");
    assert_eq!(decl("returns"), "int (*returns(int))(void)");
    assert_eq!(decl("printf_like"), "int printf_like(const char *, ...)");
}

#[test]
fn roots_bring_what_they_need_and_no_more() {
    let Some([btf, _]) = small() else { return };
    let roots = vec![btf.find("tree", BtfKind::Struct).expect("it is there")];
    let c = dump_c(&btf, &CDump { roots, ..CDump::default() }).expect("it can be written");
    assert!(c.contains("struct fwd;\n") && c.contains("union addr {") && c.contains("struct key {"), "{c}");
    assert!(!c.contains("struct flex") && !c.contains("enum verdict"), "{c}");
    assert!(
        c.contains("\tstruct {\n\t\tint a;\n\t\tunion {\n\t\t\tlong b;\n\t\t\tfloat c;\n\t\t};\n\t} in;\n"),
        "{c}"
    );
}

#[test]
fn names_that_appear_twice_get_a_flavour() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    b.composite(false, "twice", 4, &[NewMember::at("a", int, 0)]);
    let second = b.composite(false, "twice", 4, &[NewMember::at("b", int, 0)]);
    b.composite(false, "user", 4, &[NewMember::at("t", second, 0)]);
    b.enumeration("e", 4, &[("ONE", 1)]);
    b.enumeration("", 4, &[("ONE", 1)]);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    let c = dump_c(&btf, &CDump::default()).expect("it can be written");
    assert!(
        c.contains("struct twice {\n\tint a;\n}") && c.contains("struct twice___2 {\n\tint b;\n}"),
        "{c}"
    );
    assert!(
        c.contains("\tstruct twice___2 t;") && c.contains("ONE = 1,") && c.contains("ONE___2 = 1,"),
        "{c}"
    );
}

#[test]
fn a_named_struct_without_a_member_name_is_written_out() {
    let mut b = BtfBuilder::new();
    let int = b.int("int", 4, IntEncoding::SIGNED);
    let part = b.composite(false, "part", 4, &[NewMember::at("a", int, 0)]);
    b.composite(false, "whole", 8, &[NewMember::at("", part, 0), NewMember::at("b", int, 32)]);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    let c = dump_c(&btf, &CDump::default()).expect("it can be written");
    assert!(c.contains("struct whole {\n\tstruct {\n\t\tint a;\n\t};\n\tint b;\n};"), "{c}");
}

#[test]
fn what_c_cannot_say_becomes_a_comment() {
    let mut b = BtfBuilder::new();
    let own = b.next_id();
    b.composite(false, "ouroboros", 8, &[NewMember::at("self", own, 0)]);
    let int = b.int("int", 4, IntEncoding::SIGNED);
    b.composite(false, "fine", 4, &[NewMember::at("a", int, 0)]);
    b.add("t", Def::Typedef(TypeId(b.next_id().0)));
    let loop_ = b.next_id();
    b.push(StrOff::NONE, Def::Ptr(loop_));
    b.typedef("u", loop_);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    let c = dump_c(&btf, &CDump::default()).expect("it can be written");
    assert!(c.contains("/* ouroboros: ") && c.contains("struct fine {\n\tint a;\n};"), "{c}");
}

#[test]
fn output_is_bounded() {
    // Each anonymous struct holds the one before it 16 times: 16^20 members, written out.
    let mut b = BtfBuilder::new();
    let mut inner = b.int("int", 4, IntEncoding::SIGNED);
    for _ in 0..20 {
        let members: Vec<_> = (0..16).map(|_| NewMember::at("m", inner, 0)).collect();
        inner = b.composite(true, "", 4, &members);
    }
    b.composite(false, "bomb", 4, &[NewMember::at("m", inner, 0)]);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    assert!(dump_c(&btf, &CDump::default()).is_err());
}
