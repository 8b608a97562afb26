//! Types that are made to take long, or to break something.

use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;

use super::{compile, kernel_of, programs};
use crate::gate::{HOST, require};
use rawbpf::btf::{
    Btf, BtfBuilder, BtfExt, BtfExtBuilder, CoreRelo, CoreReloKind, IntEncoding, NewMember, TypeId,
};
use rawbpf::bytes::Endian;
use rawbpf::elf::Object;
use rawbpf::loader::Options;

/// Structs that each hold the one before `width` times, anonymously or by name.
fn nested(depth: usize, width: u32, name: impl Fn(u32) -> String) -> BtfBuilder {
    let mut b = BtfBuilder::with_endian(Endian::Little);
    let mut inner = b.int("int", 4, IntEncoding::SIGNED);
    for level in 0..depth {
        let names: Vec<String> = (0..width).map(&name).collect();
        let members: Vec<_> = names.iter().map(|name| NewMember::at(name, inner, 0)).collect();
        let own = if level + 1 == depth { "s" } else { "" };
        inner = b.composite(false, own, 4, &members);
    }
    b
}

/// Plans a program of one instruction with `count` relocations for the last type of `ours`.
fn plan(
    mut ours: BtfBuilder,
    theirs: BtfBuilder,
    kind: CoreReloKind,
    path: &str,
    count: usize,
) -> Result<(), String> {
    let source = "__attribute__((section(\"xdp\"), used)) long f(int *p) { return *p; }";
    let object =
        Object::parse("test", &compile(source, Endian::Little, "v3")).expect("clang's object is read");
    let (section, access_str) = (ours.string("xdp"), ours.string(path));
    let parse = |b: BtfBuilder| Arc::new(Btf::parse(b.to_bytes().expect("it fits")).expect("it parses"));
    let btf = parse(ours);
    let type_id = TypeId(btf.type_count() - 1);
    let relo = CoreRelo { insn_off: 0, type_id, access_str, kind };
    let ext = BtfExtBuilder { core_relo: vec![(section, vec![relo; count])], ..BtfExtBuilder::default() };
    let ext = BtfExt::parse(ext.to_bytes(Endian::Little)).expect("it parses");
    let object = Object { btf: Some(btf), ext: Some(Arc::new(ext)), ..object };
    object.plan(&kernel_of(parse(theirs)), &Options::default()).map(drop).map_err(|e| super::chain(&e))
}

#[track_caller]
fn within(limit: Duration, work: impl FnOnce()) {
    // The time that it computes, whatever else the machine does meanwhile.
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    let start = now();
    work();
    let took = now() - start;
    assert!(took < limit, "it took {took:?}");
}

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_tree_of_structs_ends() {
    require!(HOST);
    within(LIMIT, || {
        // 8 to the 28th comparisons, if each were made.
        let tree = || nested(28, 8, |i| format!("m{i}"));
        let done = plan(tree(), tree(), CoreReloKind::TypeMatches, "0", 1);
        assert!(done.is_err_and(
            |e| e.contains("has 0, where the program's types give 1") || e.contains("takes a number")
        ));
        let deep = || nested(40, 2, |i| format!("m{i}"));
        let done = plan(deep(), deep(), CoreReloKind::TypeMatches, "0", 1);
        assert!(done.is_err_and(|e| e.contains("nested more than 32 deep")));
    });
}

#[test]
fn a_tree_of_anonymous_structs_ends() {
    require!(HOST);
    within(LIMIT, || {
        let mut ours = BtfBuilder::with_endian(Endian::Little);
        let int = ours.int("int", 4, IntEncoding::SIGNED);
        ours.composite(false, "s", 4, &[NewMember::at("wanted", int, 0)]);
        let theirs = nested(28, 8, |_| String::new());
        let found = plan(ours, theirs, CoreReloKind::FieldByteOffset, "0:0", 1);
        assert!(found.is_err_and(|e| e.contains("take too long to look through")));
    });
}

#[test]
fn many_relocations_for_a_huge_struct_end() {
    require!(HOST);
    within(LIMIT, || {
        let wide = || nested(1, 60_000, |i| format!("m{i}"));
        let done = plan(wide(), wide(), CoreReloKind::FieldExists, "0:59999", 60_000);
        assert!(done.is_err());
    });
}

#[test]
fn a_type_that_holds_itself_ends() {
    require!(HOST);
    let looped = || {
        let mut b = BtfBuilder::with_endian(Endian::Little);
        b.composite(false, "s", 4, &[NewMember::at("", TypeId(1), 0), NewMember::at("m", TypeId(1), 0)]);
        b
    };
    for (kind, path) in [
        (CoreReloKind::TypeMatches, "0"),
        (CoreReloKind::FieldByteOffset, "0:1"),
        (CoreReloKind::FieldByteOffset, "0:0:0:0:0:0:0:1:1"),
        (CoreReloKind::TypeExists, "0"),
        (CoreReloKind::TypeSize, "0"),
    ] {
        within(LIMIT, || drop(plan(looped(), looped(), kind, path, 1)));
    }
}

#[test]
fn damaged_types_break_nothing() {
    require!(HOST);
    let types = "struct in { int x; u64 y:7; }; enum e { E };
        struct s { int a; u64 b; void *ptr; int arr[4]; struct in in; union { u32 u1; u64 u2; }; enum e e; };";
    let object = programs(
        types,
        &[
            "p->a + p->arr[2]",
            "p->in.x + EXISTS(p->u1)",
            "LSHIFT(p->in.y)",
            "TYPE_MATCHES(struct s)",
            "VALUE(enum e, E)",
        ],
        Endian::Little,
    );
    let btf = object.btf.clone().expect("it has types");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut planned, mut refused) = (0, 0);
    for _ in 0..2000 {
        let mut damaged = || {
            let mut bytes = btf.bytes().to_vec();
            for _ in 0..random(4) {
                let at = 24 + random(bytes.len() - 24);
                bytes[at] = bytes[at].wrapping_add(1 << random(8));
            }
            Btf::parse(bytes).map(Arc::new)
        };
        let (Ok(ours), Ok(theirs)) = (damaged(), damaged()) else { continue };
        let object = Object { btf: Some(ours), ..object.clone() };
        match object.plan(&kernel_of(theirs), &Options::default()) {
            Ok(_) => planned += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(planned > 100 && refused > 100, "{planned} planned, {refused} refused");
}
