//! Kinds that are newer than this crate: stepped over with a layout section, and a clean stop without.

use rawbpf::btf::{
    Btf, BtfBuilder, BtfError, BtfKind, Def, IntEncoding, Kind, KindSet, Support, TypeId, sanitize,
};
use rawbpf::bytes::Endian;

/// `int`, a type of kind 25 with two elements of 8 bytes and 4 bytes before them, `long`.
fn with_unknown(endian: Endian) -> Vec<u8> {
    let mut b = BtfBuilder::with_endian(endian);
    b.int("int", 4, IntEncoding::SIGNED);
    let name = b.string("newer");
    b.push(name, Def::Unknown { info: 25 << 24 | 2, size_or_type: 1, rest: vec![9, 1, 2, 3, 4] });
    b.int("long", 8, IntEncoding::SIGNED);
    b.to_bytes().expect("small")
}

/// Puts a layout section between types and strings, as pahole does from 2026 on.
fn add_layout(bytes: &[u8], endian: Endian) -> Vec<u8> {
    let word = |at: usize| endian.u32(bytes[at..at + 4].try_into().expect("four bytes"));
    let (types_len, strings_at, strings_len) = (word(12), word(16), word(20));
    let rows: Vec<[u8; 4]> =
        (0..26u8).map(|kind| if kind == 25 { [4, 8, 0, 0] } else { [0xfc; 4] }).collect();
    let mut out = bytes[..4].to_vec();
    for w in [32, 0, types_len, strings_at + 26 * 4, strings_len, types_len, 26 * 4] {
        out.extend(endian.put_u32(w));
    }
    out.extend(&bytes[24..24 + types_len as usize]);
    out.extend(rows.concat());
    out.extend(&bytes[24 + strings_at as usize..]);
    out
}

#[test]
fn an_unknown_kind_is_stepped_over() {
    for endian in [Endian::Little, Endian::Big] {
        let bytes = add_layout(&with_unknown(endian), endian);
        let btf = Btf::parse(bytes.clone()).expect("the layout tells how");
        assert_eq!((btf.type_count(), btf.stopped()), (4, None));
        assert_eq!(btf.find("long", BtfKind::Int), Ok(TypeId(3)));
        let Kind::Unknown(u) = btf.ty(TypeId(2)).expect("it is there").kind else { panic!("not unknown") };
        assert_eq!((u.kind, u.size_or_type, u.rest.len()), (BtfKind(25), 1, 20));
        assert_eq!(btf.raw(btf.ty(TypeId(2)).expect("there")).to_string(), "[2] UNKNOWN 'newer'");
        assert_eq!(BtfBuilder::edit(&btf).and_then(|b| b.to_bytes()), Ok(bytes));
    }
}

#[test]
fn without_a_layout_the_types_before_it_are_still_there() {
    let btf = Btf::parse(with_unknown(Endian::NATIVE)).expect("what comes before is whole");
    let stop = BtfError::UnknownKind { id: TypeId(2), kind: BtfKind(25) };
    assert_eq!((btf.type_count(), btf.stopped()), (2, Some(&stop)));
    assert_eq!(btf.find("int", KindSet::ANY), Ok(TypeId(1)));
    // "Not found" would be a guess: the type may be among those that cannot be read.
    assert_eq!(btf.find("long", KindSet::ANY), Err(stop.clone()));
    assert_eq!(btf.ty(TypeId(3)).err(), Some(stop.clone()));
    assert_eq!(btf.check(), Err(stop));
}

#[test]
fn the_layout_can_be_dropped() {
    let bytes = add_layout(&with_unknown(Endian::NATIVE), Endian::NATIVE);
    let btf = Btf::parse(bytes).expect("parses");
    let bytes = sanitize(&btf, &Support { layout: false, ..Support::ALL }).expect("every type can be read");
    assert!(*bytes == with_unknown(Endian::NATIVE));
}
