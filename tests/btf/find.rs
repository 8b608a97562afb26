//! Names to types, against a plain search through all of them.

use super::{small, vmlinux};
use rawbpf::btf::{
    Btf, BtfBuilder, BtfError, BtfKind, FindScope, IntEncoding, KindSet, NewMember, TypeId, TypeQuery,
    essential_name,
};
use rawbpf::bytes::Endian;

/// The search as one would write it first.
fn plain(btf: &Btf, matches: impl Fn(&str) -> bool, kinds: KindSet) -> Vec<TypeId> {
    let types = btf.iter().map(|t| t.expect("every type can be read"));
    types.filter(|t| kinds.contains(t.tag()) && matches(&t.name.to_str())).map(|t| t.id).collect()
}

#[test]
fn names_are_found_as_by_a_plain_search() {
    let Some(btf) = vmlinux() else { return };
    let composite = KindSet::of(&[BtfKind::Struct, BtfKind::Union]);
    for (name, kinds) in [
        ("task_struct", composite),
        ("sk_buff", composite),
        ("tcp_connect", BtfKind::Func.into()),
        ("pid_t", KindSet::ANY),
        ("int", KindSet::ANY),
        ("file", KindSet::ANY),
        ("no_such_name", KindSet::ANY),
    ] {
        let want = plain(btf, |n| n == name, kinds);
        assert_eq!(btf.find_all(name, kinds).expect("the BTF is whole"), want, "{name}");
        match want.first() {
            Some(id) => assert_eq!(btf.find(name, kinds), Ok(*id)),
            None => assert_eq!(btf.find(name, kinds), Err(BtfError::NotFound { name: name.into(), kinds })),
        }
    }
}

#[test]
fn many_names_are_found_in_one_pass() {
    let Some(btf) = vmlinux() else { return };
    let names = ["task_struct", "file", "inode", "bpf_map", "no_such_name", "sock", "u8"];
    let wanted = names.map(|n| TypeQuery::named(n, KindSet::ANY));
    let found = btf.find_many(FindScope::All, &wanted).expect("the BTF is whole");
    for (name, found) in names.iter().zip(found) {
        assert_eq!(found, btf.find_all(name, KindSet::ANY).expect("the BTF is whole"), "{name}");
    }
}

#[test]
fn flavours_do_not_count() {
    let names = ["a", "task", "task___old", "task___v5___x", "task_", "task____y", "a___b", "b___a", "ab"];
    for endian in [Endian::Little, Endian::Big] {
        let mut b = BtfBuilder::with_endian(endian);
        for name in names {
            b.composite(false, name, 0, &[]);
        }
        let btf = Btf::parse(b.to_bytes().expect("it is small")).expect("what is built parses");
        for name in names {
            let want = plain(&btf, |n| essential_name(n) == essential_name(name), KindSet::ANY);
            let found = btf.find_many(FindScope::All, &[TypeQuery::essential(name, BtfKind::Struct)]);
            assert_eq!(found.expect("the BTF is whole"), [want], "{name}");
        }
    }
}

/// A copy with the same named types, sorted by name, as newer kernels have it.
fn sorted(btf: &Btf) -> Btf {
    let mut types: Vec<_> = btf.iter().map(|t| t.expect("every type can be read")).collect();
    types.sort_by_key(|t| t.name.as_bytes());
    let mut b = BtfBuilder::edit(btf).expect("every type can be read");
    let defs: Vec<_> = types.iter().map(|t| b.get(t.id).expect("it is there").clone()).collect();
    for (id, def) in b.ids().zip(defs) {
        *b.get_mut(id).expect("it is there") = def; // references now point anywhere, which no search minds
    }
    Btf::parse(b.to_bytes().expect("it has the size it had")).expect("what is built parses")
}

#[test]
fn sorted_btf_gives_the_same_answers() {
    let Some(btf) = vmlinux() else { return };
    let sorted = sorted(btf);
    // The first searches are passes, the later ones use the order; both must agree.
    for _ in 0..6 {
        same_answers(&sorted);
    }
}

fn same_answers(sorted: &Btf) {
    for name in ["task_struct", "file", "a", "zzz", "no_such_name", "u8", "int"] {
        let want = plain(sorted, |n| n == name, KindSet::ANY);
        assert_eq!(sorted.find_all(name, KindSet::ANY).expect("the BTF is whole"), want, "{name}");
        let want = plain(sorted, |n| essential_name(n) == name, KindSet::ANY);
        let found =
            sorted.find_many(FindScope::All, &[TypeQuery::essential(name, KindSet::ANY)]).expect("whole");
        assert_eq!(found, [want], "{name}");
    }
}

#[test]
fn split_btf_goes_on_where_its_base_ends() {
    let mut base = BtfBuilder::new();
    let int = base.int("int", 4, IntEncoding::SIGNED);
    base.composite(false, "both", 4, &[NewMember::at("a", int, 0)]);
    let base = Btf::parse(base.to_bytes().expect("small")).expect("parses");
    let mut own = BtfBuilder::split(&base);
    let mine = own.composite(false, "both", 8, &[NewMember::at("a", int, 0), NewMember::at("b", int, 32)]);
    // A name that is in the base's strings.
    let shared = own.push(base.ty(int).expect("there").name.offset(), rawbpf::btf::Def::Typedef(int));
    let bytes = own.to_bytes().expect("small");
    assert_eq!(Btf::parse(bytes.clone()).err(), Some(BtfError::NeedsBase));
    let split = Btf::parse_split(bytes, base.into()).expect("parses");
    assert_eq!(split.find_all("both", BtfKind::Struct), Ok(vec![TypeId(2), mine]));
    assert_eq!(
        split.find_many(FindScope::Own, &[TypeQuery::named("both", BtfKind::Struct)]),
        Ok(vec![vec![mine]])
    );
    assert_eq!(split.find_all("int", KindSet::ANY), Ok(vec![int, shared]));
    assert_eq!(split.size_of(shared), Ok(4));
    assert_eq!(split.field(mine, "b").map(|f| f.bit_offset), Ok(32));
    split.check().expect("every reference leads somewhere");
}

#[test]
fn sizes_and_members_are_those_of_c() {
    let Some(both) = small() else { return };
    for btf in &both {
        let tree = btf.find("tree", BtfKind::Struct).expect("it is there");
        assert_eq!(btf.size_of(tree), Ok(72));
        assert_eq!(btf.align_of(tree), Ok(8));
        let at = |path: &str| btf.field(tree, path).map(|f| (f.bit_offset, f.bit_size));
        assert_eq!(at("right"), Ok((64, 0)));
        assert_eq!(at("key.saddr.v6[3]"), Ok((128 + 24, 0)));
        assert_eq!(at("key.tcp").map(|f| f.1), Ok(1));
        assert_eq!(at("in.c"), Ok((512, 0)));
        assert!(matches!(at("key.saddr.v6[16]"), Err(BtfError::Path { .. })));
        assert!(matches!(at("left.right"), Err(BtfError::Path { .. })));
        assert!(matches!(at("key..x"), Err(BtfError::Path { .. })));
        let e = at("key.sadr").expect_err("a misspelt name").to_string();
        assert_eq!(
            e,
            "`struct key` has no member `sadr` (asked for by `key.sadr`); it has saddr, proto, tcp, rest, name, f"
        );
        let flex = btf.find("flex", BtfKind::Struct).expect("it is there");
        assert_eq!(btf.field(flex, "keys[2].saddr").map(|f| f.bit_offset), Ok(64 + 2 * 8 * 40));
    }
}
