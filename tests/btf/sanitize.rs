//! One feature missing at a time, and all of them: what becomes of each kind.

use super::builder::{every_kind, load, this_kernel};
use crate::gate::{ROOT, require};
use rawbpf::btf::{Btf, Support, sanitize};
use rawbpf::bytes::Endian;
use std::borrow::Cow;
use std::collections::BTreeMap;

fn lines(btf: &Btf) -> BTreeMap<u32, String> {
    btf.iter()
        .map(|t| t.expect("readable"))
        .map(|t| (t.id.0, btf.raw(t).to_string().replace("\n\t", " | ")))
        .collect()
}

/// The types that change when a kernel has only this.
fn changes(support: Support) -> Vec<String> {
    let mut b = every_kind(Endian::NATIVE);
    b.datasec("?.struct_ops", 0, &[]);
    b.enumeration("minus", 4, &[("MINUS", -1)]);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    let bytes = sanitize(&btf, &support).expect("every type is readable");
    let new = Btf::parse(bytes.into_owned()).expect("what is built parses");
    let old = lines(&btf);
    lines(&new).into_iter().filter(|(id, line)| old.get(id) != Some(line)).map(|(_, line)| line).collect()
}

#[test]
fn a_new_kernel_gets_the_bytes_as_they_are() {
    let btf = Btf::parse(every_kind(Endian::NATIVE).to_bytes().expect("small")).expect("parses");
    assert!(matches!(sanitize(&btf, &Support::ALL), Ok(Cow::Borrowed(_))));
    assert!(changes(Support::ALL).is_empty());
}

#[test]
fn each_missing_feature_has_its_replacement() {
    let without = |set: fn(&mut Support)| {
        let mut support = Support::ALL;
        set(&mut support);
        changes(support)
    };
    assert_eq!(
        without(|s| s.datasec = false),
        [
            "[17] INT 'counter' size=1 bits_offset=0 nr_bits=8 encoding=(none)",
            "[18] STRUCT '_data' size=8 vlen=1 | 'counter' type_id=17 bits_offset=0",
            "[24] STRUCT '__struct_ops' size=0 vlen=0",
        ]
    );
    assert_eq!(
        without(|s| s.decl_tag = false),
        [
            "[20] INT 'tag' size=1 bits_offset=0 nr_bits=8 encoding=(none)",
            "[21] INT 'whole' size=1 bits_offset=0 nr_bits=8 encoding=(none)",
        ]
    );
    assert_eq!(without(|s| s.qmark_datasec = false), ["[24] DATASEC '_.struct_ops' size=0 vlen=0"]);
    assert_eq!(
        without(|s| s.func = false),
        [
            "[15] ENUM '(anon)' encoding=UNSIGNED size=4 vlen=2 | 'a' val=4 | 'b' val=2",
            "[16] TYPEDEF 'f' type_id=15",
        ]
    );
    assert_eq!(without(|s| s.global_func = false), ["[16] FUNC 'f' type_id=15 linkage=static"]);
    assert_eq!(without(|s| s.float = false), ["[19] STRUCT '(anon)' size=8 vlen=0"]);
    assert_eq!(without(|s| s.type_tag = false), ["[22] CONST '(anon)' type_id=1"]);
    assert_eq!(
        without(|s| s.enum64 = false),
        [
            "[8] ENUM 'e' encoding=UNSIGNED size=4 vlen=2 | 'E_ONE' val=1 | 'E_MINUS' val=4294967295",
            "[9] UNION 'e64' size=8 vlen=1 | 'E64_BIG' type_id=26 bits_offset=0",
            "[25] ENUM 'minus' encoding=UNSIGNED size=4 vlen=1 | 'MINUS' val=4294967295",
            "[26] INT 'enum64_placeholder' size=1 bits_offset=0 nr_bits=8 encoding=(none)",
        ]
    );
}

#[test]
fn the_oldest_kernel_gets_only_what_it_knows() {
    let all = changes(Support::NONE).join("\n");
    for kind in ["VAR", "DATASEC", "FUNC", "FLOAT", "TAG", "ENUM64", " encoding=SIGNED"] {
        assert!(!all.contains(kind), "{kind} in\n{all}");
    }
}

#[test]
fn the_kernel_takes_what_is_left() {
    require!(ROOT);
    let btf = Btf::parse(every_kind(Endian::NATIVE).to_bytes().expect("small")).expect("parses");
    load(&sanitize(&btf, &Support::NONE).expect("readable"));
    for missing in 0..9 {
        let mut s = this_kernel();
        let fields: [&mut bool; 9] = [
            &mut s.func,
            &mut s.datasec,
            &mut s.global_func,
            &mut s.float,
            &mut s.decl_tag,
            &mut s.type_tag,
            &mut s.enum64,
            &mut s.qmark_datasec,
            &mut s.layout,
        ];
        *fields.into_iter().nth(missing).expect("nine fields") = false;
        // A tag on a function needs the function; kernels got the two in this order.
        s.decl_tag &= s.func;
        load(&sanitize(&btf, &s).expect("readable"));
    }
}
