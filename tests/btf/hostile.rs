//! Damaged BTF is refused or read as far as it goes; nothing panics, nothing runs away.

use super::builder::every_kind;
use rawbpf::btf::{
    Btf, BtfBuilder, BtfError, BtfExt, BtfExtBuilder, BtfKind, CDump, Def, FuncInfo, IntEncoding, KindSet,
    LineInfo, Literal, NewMember, StrOff, Support, TypeId, decode, dump_c, encode, sanitize,
};
use rawbpf::bytes::Endian;
use std::fmt::Write;

/// Asks everything of BTF that parses.
fn exercise(btf: &Btf) {
    let mut out = String::new();
    let any = Literal::parse("{p: 1, bits: 1, l: 1, counter: 1}").expect("a value");
    let _ = (btf.check(), dump_c(btf, &CDump::vmlinux_h()), sanitize(btf, &Support::NONE).map(|b| b.len()));
    for id in 0..btf.type_count() + 2 {
        let id = TypeId(id);
        let _ = (btf.render_decl(id, "x"), encode(btf, id, &any));
        let _ = decode(btf, id, &[0x55; 64]).map(|value| value.to_string());
        let _ =
            (btf.size_of(id), btf.align_of(id), btf.skip_mods_and_typedefs(id), btf.field(id, "p.x[1].y"));
        if let Ok(ty) = btf.ty(id) {
            let _ = write!(out, "{} {ty:?}", btf.raw(ty));
            let _ = btf.find(&ty.name.to_str(), KindSet::ANY);
        }
    }
    let _ = BtfBuilder::edit(btf).and_then(|b| b.to_bytes());
}

#[test]
fn every_truncation_is_survived() {
    for endian in [Endian::Little, Endian::Big] {
        let whole = every_kind(endian).to_bytes().expect("small");
        for len in 0..whole.len() {
            match Btf::parse(&whole[..len]) {
                Ok(btf) => exercise(&btf),
                Err(e) => assert!(!e.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn every_byte_flip_is_survived() {
    for endian in [Endian::Little, Endian::Big] {
        let whole = every_kind(endian).to_bytes().expect("small");
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                if let Ok(btf) = Btf::parse(bytes) {
                    exercise(&btf);
                }
            }
        }
    }
}

#[test]
fn broken_references_and_names_are_named() {
    let mut b = BtfBuilder::new();
    let p = b.ptr(TypeId(77));
    let s = b.composite(false, "s", 8, &[NewMember::at("m", TypeId(9), 0)]);
    let n = b.push(StrOff(9999), Def::Fwd(rawbpf::btf::FwdKind::Struct));
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("the records are whole");
    assert_eq!(btf.ty(p).err(), Some(BtfError::Reference { id: p, to: TypeId(77), last: 3 }));
    assert_eq!(btf.ty(s).err(), Some(BtfError::Reference { id: s, to: TypeId(9), last: 3 }));
    assert!(matches!(btf.ty(n).err(), Some(BtfError::Name { off: StrOff(9999), .. })));
    assert_eq!(btf.ty(TypeId(4)).err(), Some(BtfError::NoType { id: TypeId(4), last: 3 }));
    assert!(btf.check().is_err());
}

#[test]
fn loops_end() {
    let mut b = BtfBuilder::new();
    let a = b.push(StrOff::NONE, Def::Const(TypeId(2)));
    b.push(StrOff::NONE, Def::Volatile(a));
    let s = b.composite(false, "s", 8, &[NewMember::at("", TypeId(3), 0), NewMember::at("", TypeId(3), 0)]);
    let arr = b.array(TypeId(4), TypeId(4), 0);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("the records are whole");
    let deep = |id| BtfError::TooDeep { id, limit: 32 };
    assert_eq!(btf.size_of(a), Err(deep(a)));
    assert_eq!(btf.size_of(arr), Err(deep(arr)));
    assert!(matches!(btf.align_of(s), Err(BtfError::TooDeep { .. })));
    assert!(matches!(btf.field(s, "x"), Err(BtfError::TooDeep { .. })));
}

#[test]
fn sizes_do_not_overflow() {
    let mut b = BtfBuilder::new();
    let long = b.int("long", 8, IntEncoding::SIGNED);
    let row = b.array(long, long, 1 << 20);
    let all = b.array(row, long, 1 << 20);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    assert_eq!(btf.size_of(row), Ok(8 << 20));
    assert!(matches!(btf.size_of(all), Err(BtfError::TooLarge { .. })));
}

#[test]
fn btf_ext_survives_damage() {
    let mut b = BtfExtBuilder::default();
    b.func_info.push((StrOff(1), vec![FuncInfo { insn_off: 8, type_id: TypeId(2) }; 2]));
    b.line_info.push((
        StrOff(1),
        vec![LineInfo { insn_off: 8, file_name: StrOff(3), line: StrOff(4), line_col: 1025 }],
    ));
    for endian in [Endian::Little, Endian::Big] {
        let whole = b.to_bytes(endian);
        let read = |bytes: &[u8]| {
            let Ok(ext) = BtfExt::parse(bytes) else { return };
            let _ = ext.func_info().map(|s| s.records().count()).sum::<usize>();
            let _ = ext.line_info().map(|s| s.with_tails().count()).sum::<usize>();
            let _ = ext.core_relo().map(|s| s.records().count()).sum::<usize>();
        };
        for at in 0..whole.len() {
            read(&whole[..at]);
            for flip in [0x01, 0x04, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                read(&bytes);
            }
        }
    }
    assert!(matches!(BtfExt::parse(&b"\x7fELF"[..]), Err(BtfError::Magic { .. })));
}

#[test]
fn a_kind_set_names_its_kinds() {
    assert_eq!(KindSet::of(&[BtfKind::Struct, BtfKind::Union]).to_string(), "STRUCT or UNION");
}

#[test]
fn changed_words_are_survived() {
    let mut seeds: Vec<Vec<u8>> =
        super::small().into_iter().flatten().map(|btf| btf.bytes().to_vec()).collect();
    seeds.extend([Endian::Little, Endian::Big].map(|e| every_kind(e).to_bytes().expect("small")));
    let mut x = 88172645463325252u64;
    let mut random = |below: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % below
    };
    for nth in 0..600 {
        let mut bytes = seeds[nth % seeds.len()].clone();
        for _ in 0..1 + random(6) {
            // Most words after the header: one that is wrong there is soon refused.
            let first = if random(8) == 0 { 0 } else { 24 };
            let at = first + random((bytes.len() as u64 - 24) / 4) as usize * 4;
            let word = match random(5) {
                0 => random(1 << 32) as u32,
                1 => random(64) as u32,
                2 => u32::MAX,
                3 => (random(21) << 24 | random(8)) as u32,
                _ => 1 << random(32),
            };
            let word = if random(2) == 0 { word.to_le_bytes() } else { word.to_be_bytes() };
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&word);
            }
        }
        if let Ok(btf) = Btf::parse(bytes) {
            exercise(&btf);
        }
    }
}
