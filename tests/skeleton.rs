//! Rust code for an object: that it is what stands in tests/golden, that it compiles, and that it works.

use rawbpf::skeleton::{Embed, rust};
use rawbpf::sys::TestRun;

use crate::gate::{BPFFS, HOST, MAP_BTF, ROOT, require};
use crate::net::{object, rawbpf_json, rawbpf_ok};

/// Made by `rawbpf gen rust bpf/rewrite.o --include ../../bpf/rewrite.o`.
#[allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
#[rustfmt::skip]
#[path = "golden/rewrite.rs"]
mod rewrite;

use rewrite::types::{Seen, Sender, Verdict};

const FRAME: [u8; 64] = {
    let mut frame = [0u8; 64];
    (frame[5], frame[6], frame[12], frame[13]) = (9, 2, 0x88, 0xb5);
    frame
};

#[test]
fn the_code_is_what_it_was() {
    require!(HOST);
    let bytes = std::fs::read(object("rewrite.o")).expect("it is there");
    let code =
        rust(&bytes, "rewrite", &Embed::Include("../../bpf/rewrite.o".into())).expect("it can be made");
    let golden = include_str!("golden/rewrite.rs");
    assert!(
        code == golden,
        "make it again: rawbpf gen rust bpf/rewrite.o --include ../../bpf/rewrite.o -o tests/golden/rewrite.rs"
    );
    let file = object("rewrite.o");
    assert_eq!(rawbpf_ok(&["gen", "rust", &file, "--include", "../../bpf/rewrite.o"]), golden);
    assert_eq!(rawbpf_json(&["gen", "rust", &file, "--include", "../../bpf/rewrite.o"])["code"], golden);
    let literal = rust(&bytes, "other", &Embed::Literal).expect("it can be made");
    assert!(literal.contains("b\"\\x7fELF") && literal.contains("pub struct Other {"));
}

#[test]
fn the_code_loads_and_has_types() {
    require!(ROOT);
    let mut builder = rewrite::Builder::open().expect("it is read");
    builder.set_answer_with(&1).expect("it is set").set_frames_seen(&40).expect("it is set");
    let mut loaded = match builder.load() {
        Ok(loaded) => loaded,
        Err(e) => return crate::gate::skip(&MAP_BTF, &e.to_string()),
    };
    let run = TestRun { data: FRAME.to_vec(), repeat: 2, ..TestRun::default() };
    let done = loaded.programs.swap_frame_addresses.test_run(&run).expect("it runs");
    assert_eq!(done.retval, 1, "as it was set");
    assert_eq!(loaded.variables.frames_seen.get().expect("it is read"), 42);
    assert_eq!(loaded.variables.last_protocol.get().expect("it is read"), 0x88b5u16.to_be());
    loaded.variables.frames_seen.set(&7).expect("it is written");
    assert_eq!(loaded.variables.frames_seen.get().expect("it is read"), 7);
    let key = Sender { address: [2, 0, 0, 0, 0, 0], protocol: 0x88b5u16.to_be() };
    let seen = loaded.maps.senders_by_address.get(&key).expect("it is read").expect("it was seen");
    assert_eq!((seen.frames, seen.bytes, seen.last), (1, 64, Verdict::V_SENT_BACK));
    loaded
        .maps
        .senders_by_address
        .set(&key, &Seen { frames: 5, bytes: 0, last: Verdict::V_KEPT })
        .expect("it is written");
    // XDP has to be told an interface: nothing attaches by itself, and nothing fails.
    loaded.attach().expect("there is nothing to do");
    assert!(loaded.links.swap_frame_addresses.is_none());
}

/// A struct that holds what was loaded needs no lifetimes, and can go to another thread.
#[test]
fn what_was_loaded_can_be_kept_anywhere() {
    struct Service {
        _rewrite: Option<rewrite::Rewrite>,
    }
    fn anywhere<T: Send + 'static>(_: &T) {}
    anywhere(&Service { _rewrite: None });
}

/// Without `BPF_F_MMAPABLE` variables are reached by system calls, with the same result.
#[test]
fn variables_need_no_mapping() {
    use rawbpf::maps::{Builder, Section};
    use rawbpf::uapi::MapType;
    require!(ROOT);
    let map = Builder::new(MapType::Array, "plain.bss").key_size(4).value_size(16).max_entries(1).create();
    let map = require!(BPFFS, map);
    let section = Section::new(&map);
    let (a, b) = (section.variable::<u64>(0).expect("it fits"), section.variable::<u32>(8).expect("it fits"));
    a.set(&7).expect("it is written");
    b.set(&9).expect("it is written");
    assert_eq!((a.get().expect("it is read"), b.get().expect("it is read")), (7, 9));
    assert!(section.variable::<u64>(12).is_err() && section.variable::<u64>(u32::MAX).is_err());
}

/// Types that Rust has no word for become bytes of the same size, and the assertions hold.
#[test]
fn odd_types_keep_their_layout() {
    require!(HOST);
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    std::fs::write(path("odd.c"), ODD).expect("a file");
    let clang = std::process::Command::new("clang-19")
        .args(["-g", "-O2", "-target", "bpf", "-c", &path("odd.c"), "-o", &path("odd.o")])
        .output()
        .expect("clang-19 is installed: make deps");
    assert!(clang.status.success(), "{}", String::from_utf8_lossy(&clang.stderr));
    let bytes = std::fs::read(path("odd.o")).expect("it is there");
    let code = rust(&bytes, "links", &Embed::Literal).expect("it can be made");
    // A name that the generated code has already is another one.
    assert!(code.contains("pub struct LinksObject {") && code.contains("pub type_: "), "{code}");
    let types = &code[code.find("pub mod types {").expect("it has types")..];
    // Compiled on its own: `plain!` needs no more of rawbpf than a trait.
    let whole = format!(
        "#![allow(dead_code)]\nextern crate self as rawbpf;\npub mod sys {{ pub unsafe trait Plain {{}}\n\
         macro_rules! n {{ ($($t:ty)*) => {{ $(unsafe impl Plain for $t {{}})* }} }} n!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64);\n\
         unsafe impl<T: Plain, const N: usize> Plain for [T; N] {{}} }}\n\
         pub mod maps {{ #[repr(transparent)] #[derive(Clone, Copy, Debug, PartialEq)] pub struct Be16(pub u16); unsafe impl crate::sys::Plain for Be16 {{}} }}\n\
         {PLAIN}\n{types}"
    );
    std::fs::write(path("types.rs"), whole).expect("a file");
    let rustc = std::process::Command::new("rustc")
        .args(["--edition", "2021", "--crate-type", "lib", "--crate-name", "odd", "--emit", "metadata"])
        .args(["--out-dir", &dir.path().to_string_lossy(), &path("types.rs")])
        .output()
        .expect("there is a compiler");
    assert!(rustc.status.success(), "{}\n{types}", String::from_utf8_lossy(&rustc.stderr));
}

/// The macro, as src/sys/plain.rs has it.
const PLAIN: &str = r#"
#[macro_export] macro_rules! plain { ($( $(#[$meta:meta])* $vis:vis struct $name:ident {
    $($(#[$fmeta:meta])* $fvis:vis $field:ident: $ty:ty),* $(,)? } )*) => { $(
    $(#[$meta])* #[repr(C)] #[derive(Clone, Copy)] $vis struct $name { $($(#[$fmeta])* $fvis $field: $ty,)* }
    const _: () = { const fn plain<T: $crate::sys::Plain>() {} $(plain::<$ty>();)*
        assert!(::core::mem::size_of::<$name>() == 0 $(+ ::core::mem::size_of::<$ty>())*); };
    unsafe impl $crate::sys::Plain for $name {} )* }; }
"#;

const ODD: &str = r#"
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef u16 __be16; typedef _Bool bool;
struct packed { u8 a; u32 b; u64 c; } __attribute__((packed));
struct bits { u32 a:3, b:9; u64 c:40; u8 d; };
struct holes { u8 a; u64 b; u16 c; };
struct with { u8 tag; union { u32 word; u8 bytes[8]; } u; union { u64 x; u32 y; }; struct { int in; struct { u8 deep; }; };
    struct packed p; struct bits bits; struct holes holes[2]; __be16 port; bool yes; void *ptr; int (*call)(void);
    enum { RED, BLUE = 7 } color; double number; int type; __int128 wide; char name[40]; struct with *next; };
enum negative { MINUS = -1, PLUS = 1 };
enum wide64 { HUGE = 0xffffffffffULL };
struct { int (*type)[1]; u32 *key; struct with *value; int (*max_entries)[4]; } odd __attribute__((section(".maps"), used));
enum negative sign = PLUS; enum wide64 huge = HUGE; struct holes filled = {1, 2, 3}; volatile bool on = 1;
__attribute__((section("xdp"), used)) int prog(void *ctx) { return sign + on + filled.a + (int)huge; }
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
"#;
