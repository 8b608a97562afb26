//! Values: what is shown is what C stored, and what is typed is what C would store.

use super::{compile, vmlinux};
use rawbpf::btf::{
    Btf, BtfBuilder, BtfError, BtfKind, IntEncoding, KindSet, Literal, NewMember, TypeId, Value, decode,
    encode, encode_into,
};
use rawbpf::bytes::Endian;

const SOURCE: &str = r#"
typedef unsigned char __u8; typedef unsigned short __u16; typedef unsigned int __u32; typedef unsigned long long __u64;
typedef __u16 __be16; typedef __u32 __be32;
enum verdict { V_PASS, V_DROP = 7, V_ODD = -3 };
struct in6_addr { union { __u8 u6_addr8[16]; __be16 u6_addr16[8]; __be32 u6_addr32[4]; } in6_u; };
struct value {
    int n; __u8 ttl; _Bool ok; char letter; char name[16]; __u8 mac[6]; __be16 port; __be32 ip; struct in6_addr ip6;
    enum verdict verdict; __u32 low:3, mid:17; int neg:5; void *ptr; float f; double d;
    struct { int inner; union { __u32 u; __u8 bytes[4]; }; }; __u64 list[3]; struct { short a, b; } pairs[2];
    __u8 mode:4, flags:4; unsigned __int128 wide; long long big;
};
struct value v = {
    .n = -5, .ttl = 64, .ok = 1, .letter = 'x', .name = "eth0", .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56},
    .port = ORDER16(0x1f90), .ip = ORDER32(0x0a000001), .ip6 = {{{0xfe, 0x80, [15] = 1}}}, .verdict = V_DROP,
    .low = 5, .mid = 70000, .neg = -9, .ptr = 0, .f = 1.5f, .d = -2.25, .inner = 3, .u = ORDER32(0x01020304),
    .list = {1, 2, 3}, .pairs = {{1, -1}, {2, -2}}, .mode = 3, .flags = 12, .wide = 9, .big = -1,
};
struct lpm { __u32 prefixlen; __u8 addr[4]; } lpm;
struct tail { __u32 len; __u16 items[]; } tail;
struct five_tuple { union { __be32 v4; __u32 v6[4]; } src; __be16 sport; } tuple;
"#;

const SHOWN: &str = "{n: -5, ttl: 64, ok: true, letter: 'x', name: \"eth0\", mac: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56], \
port: 8080, ip: 10.0.0.1, ip6: fe80::1, verdict: V_DROP, low: 5, mid: 70000, neg: -9, ptr: 0x0, f: 1.5, d: -2.25, \
inner: 3, u: 16909060, bytes: [0x01, 0x02, 0x03, 0x04], list: [1, 2, 3], pairs: [{a: 1, b: -1}, {a: 2, b: -2}], \
mode: 3, flags: 12, wide: 9, big: -1}";

/// The types, the type of `v`, and the bytes that clang made of it.
fn compiled(endian: Endian) -> Option<(Btf, TypeId, Vec<u8>)> {
    let swap = "#define ORDER16(n) __builtin_bswap16(n)\n#define ORDER32(n) __builtin_bswap32(n)\n";
    let keep = "#define ORDER16(n) (n)\n#define ORDER32(n) (n)\n";
    let order = if endian == Endian::Little { swap } else { keep };
    let source = format!("{order}{SOURCE}")
        .replace("struct value v =", "__attribute__((section(\".data.v\"))) struct value v =");
    let btf = Btf::parse(compile(&source, endian, ".BTF")?).expect("clang's BTF parses");
    let id = btf.find("value", BtfKind::Struct).expect("it is there");
    Some((btf, id, compile(&source, endian, ".data.v")?))
}

#[test]
fn values_of_both_byte_orders_are_shown_as_c_stored_them() {
    for endian in [Endian::Little, Endian::Big] {
        let Some((btf, id, bytes)) = compiled(endian) else { return };
        let value = decode(&btf, id, &bytes).expect("the bytes are all there");
        let shown =
            if endian == Endian::Little { SHOWN.replace("u: 16909060", "u: 67305985") } else { SHOWN.into() };
        assert_eq!(value.to_string(), shown, "{endian}");
        // And typed again, they are the bytes that clang made.
        let typed = Literal::parse(&shown).expect("what is shown can be typed");
        assert_eq!(encode(&btf, id, &typed).expect("it fits"), bytes, "{endian}");
        assert_eq!(encode(&btf, id, &Literal::from(&value)).expect("it fits"), bytes, "{endian}");
        // A variable and its section are read like the type.
        let var = btf.find("v", BtfKind::Var).expect("it is there");
        assert_eq!(decode(&btf, var, &bytes), Ok(value));
        let lines = format!("{:#}", decode(&btf, id, &bytes).expect("whole"));
        assert!(
            lines.starts_with("{\n  n: -5,\n  ttl: 64,") && lines.contains("\n    {\n      a: 1,"),
            "{lines}"
        );
        assert_eq!(Literal::parse(&lines), Literal::parse(&shown));
    }
}

#[test]
fn what_people_type_is_understood_by_its_type() {
    let Some((btf, id, _)) = compiled(Endian::Little) else { return };
    let field = |path: &str, text: &str| {
        let value = Literal::parse(&format!("{{{path}: {text}}}")).expect("it is a value");
        let bytes = encode(&btf, id, &value).map_err(|e| e.to_string())?;
        let f = btf.field(id, path).expect("it is there");
        Ok::<Vec<u8>, String>(
            bytes[f.bit_offset as usize / 8..][..btf.size_of(f.ty).expect("sized") as usize].to_vec(),
        )
    };
    assert_eq!(field("ttl", "0xff"), Ok(vec![255]));
    assert_eq!(field("n", "-0x10"), Ok((-16i32).to_le_bytes().to_vec()));
    assert_eq!(field("n", "0xffffffff"), Ok(vec![255; 4]));
    assert_eq!(field("n", "1_000"), Ok(1000i32.to_le_bytes().to_vec()));
    assert_eq!(field("n", "10.1.2.3"), Ok(vec![10, 1, 2, 3]));
    assert_eq!(field("port", "80"), Ok(vec![0, 80]));
    assert_eq!(field("ip", "10.1.2.3"), Ok(vec![10, 1, 2, 3]));
    assert_eq!(field("ip", "1"), Ok(vec![0, 0, 0, 1]));
    assert_eq!(field("ip6", "::1").expect("an address")[15], 1);
    assert_eq!(field("ip6", "10.0.0.1").expect("a mapped address")[10..], [0xff, 0xff, 10, 0, 0, 1]);
    assert_eq!(field("mac", "52:54:00:12:34:56"), Ok(vec![0x52, 0x54, 0, 0x12, 0x34, 0x56]));
    assert_eq!(field("mac", "[1, ..]"), Ok(vec![1, 0, 0, 0, 0, 0]));
    assert_eq!(field("name", "lo").map(|b| b[..3].to_vec()), Ok(b"lo\0".to_vec()));
    assert_eq!(field("name", r#""a\x41\n""#).map(|b| b[..4].to_vec()), Ok(b"aA\n\0".to_vec()));
    assert_eq!(field("letter", "'\\''"), Ok(vec![b'\'']));
    assert_eq!(field("letter", "255"), Ok(vec![255]));
    assert_eq!(field("ok", "true"), Ok(vec![1]));
    assert_eq!(field("verdict", "V_ODD"), Ok((-3i32).to_le_bytes().to_vec()));
    assert_eq!(field("verdict", "9"), Ok(9i32.to_le_bytes().to_vec()));
    assert_eq!(field("ptr", "NULL"), Ok(vec![0; 8]));
    assert_eq!(field("pairs[1].b", "-2"), Ok((-2i16).to_le_bytes().to_vec()));
    assert_eq!(field("wide", "0xffffffffffffffffffffffffffffffff"), Ok(vec![255; 16]));
    // As JSON has them.
    assert_eq!(field("wide", "\"340282366920938463463374607431768211455\""), Ok(vec![255; 16]));
    assert_eq!(field("verdict", "\"V_ODD\""), Ok((-3i32).to_le_bytes().to_vec()));
    assert_eq!(field("ip", "\"10.1.2.3\""), Ok(vec![10, 1, 2, 3]));
    assert_eq!(field("ptr", "\"0x10\"").map(|b| b[0]), Ok(16));
    for (path, text, error) in [
        ("ttl", "256", "`ttl` (__u8): 256 does not fit; it takes 0 to 255"),
        ("ttl", "-1", "`ttl` (__u8): -1 does not fit; it takes 0 to 255"),
        ("neg", "16", "`neg` (int): 16 does not fit; it takes -16 to 15"),
        ("mid", "131072", "`mid` (__u32): 131072 does not fit; it takes 0 to 131071"),
        ("n", "2147483648", "`n` (int): 2147483648 does not fit; it takes -2147483648 to 2147483647"),
        ("n", "ten", "`n` (int): expected a number, found `ten`"),
        ("ok", "2", "`ok` (_Bool): 2 does not fit; it takes 0 to 1"),
        (
            "verdict",
            "V_DORP",
            "`verdict` (enum verdict): `V_DORP` is none of its names: V_PASS, V_DROP, V_ODD",
        ),
        ("name", "abcdefghijklmnop", "`name` (char[16]): 16 bytes do not fit; it takes 15"),
        ("list", "[1,2,3,4]", "`list` (__u64[3]): 4 elements do not fit; it takes 3"),
        ("pairs[0]", "{c: 1}", "`pairs[0]` (struct {...}): `c` is none of its names: a, b"),
        ("pairs", "[{a: 99999}]", "`pairs[0].a` (short): 99999 does not fit; it takes -32768 to 32767"),
        (
            "mac",
            "52:54:00",
            "`mac` (__u8[6]): expected a list, or an address of this length, found `52:54:00`",
        ),
        ("ip6", "nowhere", "`ip6.u6_addr8` (__u8[16]): expected a list"),
        ("n", "\"ten\"", "`n` (int): expected a number, found the text \"ten\""),
        ("d", "\"x\"", "`d` (double): expected a number, found the text \"x\""),
    ] {
        let e = field(path, text).expect_err(text);
        // The path of an address inside `ip6` is an inner matter; only its start is compared.
        assert!(e == error || path == "ip6", "{e}\n{error}");
    }
}

#[test]
fn tries_tuples_and_tails() {
    let Some((btf, _, _)) = compiled(Endian::Little) else { return };
    let typed = |name: &str, text: &str| {
        let id = btf.find(name, BtfKind::Struct).expect("it is there");
        encode(&btf, id, &Literal::parse(text).expect("a value")).map_err(|e| e.to_string())
    };
    assert_eq!(typed("lpm", "10.0.0.0/8"), Ok(vec![8, 0, 0, 0, 10, 0, 0, 0]));
    let long = typed("lpm", "10.0.0.0/33").expect_err("too long");
    assert!(long.contains("expected a length of at most 32, found `10.0.0.0/33`"), "{long}");
    assert_eq!(
        typed("five_tuple", "{src: 10.0.0.1, sport: 80}").map(|b| [b[..4].to_vec(), b[16..18].to_vec()]),
        Ok([vec![10, 0, 0, 1], vec![0, 80]])
    );
    assert_eq!(typed("five_tuple", "{src: fe80::2}").map(|b| (b[0], b[15])), Ok((0xfe, 2)));
    let id = btf.find("tail", BtfKind::Struct).expect("it is there");
    let value = decode(&btf, id, &[2, 0, 0, 0, 1, 0, 2, 0]).expect("whole");
    assert_eq!(value.to_string(), "{len: 2, items: [1, 2]}");
}

#[test]
fn a_part_can_be_changed() {
    let Some((btf, id, bytes)) = compiled(Endian::NATIVE) else { return };
    let mut new = bytes.clone();
    encode_into(&btf, id, &Literal::parse("{mid: 1, pairs[1].a: 9}").expect("a value"), &mut new)
        .expect("it fits");
    let shown = decode(&btf, id, &new).expect("whole").to_string();
    let want = SHOWN.replace("mid: 70000", "mid: 1").replace("{a: 2, b: -2}", "{a: 9, b: -2}");
    assert_eq!(
        shown,
        want.replace(
            "u: 16909060",
            if Endian::NATIVE == Endian::Little { "u: 67305985" } else { "u: 16909060" }
        )
    );
    let short =
        encode_into(&btf, id, &Literal::parse("{n: 1}").expect("a value"), &mut [0; 8]).expect_err("short");
    assert!(short.to_string().contains("the buffer has 8 byte(s)"), "{short}");
}

#[test]
fn a_text_that_is_no_value_says_where() {
    for (text, error) in [
        ("{a 1}", "at character 3 of the value: expected `:` or `=` after the name of a member, found `1}`"),
        ("[1, 2", "at character 5 of the value: expected `,` or `]`, found the end of the text"),
        ("", "at character 0 of the value: expected a value, found the end of the text"),
        ("1 2", "at character 2 of the value: expected the end of the value, found `2`"),
        ("\"abc", "at character 4 of the value: expected a closing quote, found the end of the text"),
    ] {
        assert_eq!(Literal::parse(text).expect_err(text).to_string(), error);
    }
    assert!(Literal::parse(&"[".repeat(100_000)).is_err());
    let json = Literal::parse(r#"{"a": [1, null], "b": {"c": "\u0041"}}"#).expect("JSON is understood");
    assert_eq!(Literal::parse("{a: [1, null], b: {c: \"A\"}}"), Ok(json));
}

/// Pseudo-random bytes that are the same in every run.
fn noise(len: usize, seed: u64, mask: u8) -> Vec<u8> {
    let mut x = seed | 1;
    let step = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8 & mask
    };
    (0..len).map(step).collect()
}

#[test]
fn every_struct_of_the_kernel_survives_a_round_trip() {
    let Some(btf) = vmlinux() else { return };
    let (mut seen, mut same) = (0, 0);
    for ty in btf.iter().map(|t| t.expect("readable")) {
        let Ok(size) = btf.size_of(ty.id) else { continue };
        if ty.members().is_none() || size > 2048 || ty.id.0 % 4 != 0 {
            continue;
        }
        // Bits 0 and 4 only: what a `bool` can hold, and the like.
        for mask in [0x01, 0x00] {
            let bytes = noise(size as usize, ty.id.0.into(), mask);
            let value = match decode(btf, ty.id, &bytes) {
                Err(BtfError::WrongKind { .. }) => continue, // a member of a forward-declared type
                other => other.expect("the bytes are all there"),
            };
            let text = value.to_string();
            let typed = Literal::parse(&text).expect("what is shown can be typed");
            let mut again = bytes.clone();
            encode_into(btf, ty.id, &typed, &mut again)
                .unwrap_or_else(|e| panic!("{} {ty:?}: {e}\n{text}", ty.id));
            // Only what is after the NUL of a string may differ: it is written with zeros there.
            assert!(again == bytes || text.contains('"'), "{ty:?}: {text}");
            same += usize::from(again == bytes);
            seen += 1;
        }
    }
    println!("{same} of {seen} structs come back byte for byte");
    assert!(seen > 1000 && same * 10 > seen * 9, "{same} of {seen}");
}

#[test]
fn hostile_types_cannot_run_away() {
    // A union of 200 views of a union of 200 views ... of one byte.
    let mut b = BtfBuilder::new();
    let mut inner = b.int("unsigned char", 1, IntEncoding::UNSIGNED);
    for _ in 0..8 {
        let names: Vec<String> = (0..200).map(|n| format!("m{n}")).collect();
        let members: Vec<_> = names.iter().map(|n| NewMember::at(n, inner, 0)).collect();
        inner = b.composite(true, "u", 1, &members);
    }
    let empty = b.composite(false, "empty", 0, &[]);
    let many = b.array(empty, inner, u32::MAX);
    let huge = b.array(inner, inner, u32::MAX);
    let btf = Btf::parse(b.to_bytes().expect("small")).expect("parses");
    assert!(decode(&btf, inner, &[0; 8]).is_err());
    assert_eq!(decode(&btf, many, &[]), Ok(Value::Array(vec![])));
    assert!(decode(&btf, huge, &[0; 8]).is_err());
    assert!(encode(&btf, huge, &Literal::parse("[1, ..]").expect("a value")).is_err());
    let bad = btf.find("u", KindSet::ANY).expect("it is there");
    assert!(matches!(decode(&btf, bad, &[]), Err(BtfError::Truncated { .. })));
    assert!(matches!(decode(&btf, TypeId::VOID, &[]), Err(BtfError::WrongKind { .. })));
}
