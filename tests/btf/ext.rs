//! `.BTF.ext` as clang writes it, in both byte orders.

use super::{SMALL_C, compile};
use rawbpf::btf::{Btf, BtfExt, BtfExtBuilder, BtfKind, CoreReloKind, ExtRecord, ExtSections, StrOff};
use rawbpf::bytes::Endian;

#[test]
fn functions_and_lines_are_those_of_the_source() {
    for endian in [Endian::Little, Endian::Big] {
        let Some(btf) = compile(SMALL_C, endian, ".BTF") else { return };
        let btf = Btf::parse(btf).expect("clang's BTF parses");
        let ext = compile(SMALL_C, endian, ".BTF.ext").expect("clang is there");
        let ext = BtfExt::parse(ext).expect("clang's .BTF.ext parses");
        assert_eq!((ext.endian(), ext.func_info().rec_size()), (endian, 8));
        let name = |off| btf.name(off).expect("a name").to_string();
        let funcs: Vec<(String, String)> = ext
            .func_info()
            .flat_map(|s| {
                s.records()
                    .map(|r| (name(s.name), btf.ty(r.type_id).expect("a type").name.to_string()))
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(funcs, [(".text".into(), "helper".into()), ("xdp".into(), "prog".into())]);
        let lines: Vec<_> = ext.line_info().flat_map(|s| s.records().collect::<Vec<_>>()).collect();
        let text = SMALL_C.lines().nth(lines[0].line_number() as usize - 1).expect("a line");
        assert_eq!(name(lines[0].line), text);
        assert!(name(lines[0].file_name).ends_with("t.c"));
    }
}

#[test]
fn core_relocations_are_read() {
    let source = r#"
        struct s { int a; int b; } __attribute__((preserve_access_index));
        __attribute__((section("xdp"), used)) int prog(struct s *s) {
            return s->b + __builtin_preserve_type_info(*(struct s *)0, 0);
        }
    "#;
    let Some(btf) = compile(source, Endian::NATIVE, ".BTF") else { return };
    let btf = Btf::parse(btf).expect("parses");
    let ext =
        BtfExt::parse(compile(source, Endian::NATIVE, ".BTF.ext").expect("clang is there")).expect("parses");
    let s = btf.find("s", BtfKind::Struct).expect("it is there");
    let relos: Vec<_> = ext.core_relo().flat_map(|s| s.records().collect::<Vec<_>>()).collect();
    let kinds: Vec<_> = relos.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [CoreReloKind::FieldByteOffset, CoreReloKind::TypeExists]);
    assert!(relos.iter().all(|r| r.type_id == s));
    assert_eq!(btf.name(relos[0].access_str).expect("a name"), *"0:1");
    // And written again, it is what it was.
    fn all<R: ExtRecord>(sections: ExtSections<'_, R>) -> Vec<(StrOff, Vec<R>)> {
        sections.map(|s| (s.name, s.records().collect())).collect()
    }
    let copy = BtfExtBuilder {
        func_info: all(ext.func_info()),
        line_info: all(ext.line_info()),
        core_relo: all(ext.core_relo()),
    };
    let copy = BtfExt::parse(copy.to_bytes(Endian::NATIVE)).expect("what is built parses");
    assert_eq!(all(copy.core_relo()), all(ext.core_relo()));
    assert_eq!(all(copy.line_info()), all(ext.line_info()));
}

#[test]
fn longer_records_keep_their_tail() {
    let e = Endian::NATIVE;
    let mut bytes = e.put_u16(0xeb9f).to_vec();
    bytes.extend([1, 0]);
    for word in [
        24, 0, 24, 24, 0, /* rec_size */ 12, /* name */ 5, /* records */ 1,
        /* record */ 16, 3, 0xabcd,
    ] {
        bytes.extend(e.put_u32(word));
    }
    let ext = BtfExt::parse(bytes).expect("parses");
    let section = ext.func_info().next().expect("one section");
    assert_eq!((ext.func_info().rec_size(), section.name, section.len()), (12, StrOff(5), 1));
    let (record, tail) = section.with_tails().next().expect("one record");
    assert_eq!((record.insn_off, record.type_id.0, tail), (16, 3, &e.put_u32(0xabcd)[..]));
}
