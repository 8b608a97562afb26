//! Whole objects as assembly text and back: `disasm --text`, `asm`, `disasm --text` again.

use std::path::{Path, PathBuf};
use std::process::Command;

use rawbpf::elf::{ExternKind, Function, MapDef, MapOrigin, Object, RelocTarget};
use rawbpf::insn::{RawInsn, text};

use crate::gate::{HOST, require};
use crate::net::object;

/// The object as text, the object of that text, and its text.
fn around(path: &Path) -> (Object, String, Object, String) {
    let first = Object::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let said = first.to_text().unwrap_or_else(|e| panic!("{}: {e}", path.display())).to_string();
    let program = text::assemble("object.s", &said).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let built =
        Object::from_text(&first.name, &program).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let second = Object::parse(&first.name, &built.to_elf().expect("it is written")).expect("it is read");
    let again = second.to_text().expect("a text").to_string();
    (first, said, second, again)
}

/// What a function does, without what only says how a reference is written down: an addend of the instruction
/// or of the symbol.
fn code(func: &Function) -> (Vec<RawInsn>, Vec<(u32, RelocTarget)>) {
    let mut insns = func.insns.clone();
    for reloc in &func.relocs {
        let insn = &mut insns[reloc.at.index()];
        (insn.imm, insn.src) = (0, 0);
    }
    (insns, func.relocs.iter().map(|r| (r.at.0, r.target)).collect())
}

/// All of a map but the numbers of its types.
fn parameters(map: &MapDef) -> impl PartialEq + std::fmt::Debug {
    let numbers = [map.map_type.0, map.key_size, map.value_size, map.max_entries, map.flags, map.numa_node];
    let first = map.contents.clone();
    // clang writes a section's type even if no variable of it has one; a text does not.
    let is_data = matches!(map.origin, MapOrigin::Data { .. });
    let typed = (map.key_type.is_some(), map.value_type.is_some() && !is_data);
    let inner = map.inner.as_ref().map(|m| (m.map_type, m.key_size, m.value_size, m.max_entries, m.flags));
    (
        (map.name.clone(), map.origin.clone(), numbers, map.extra),
        (first, typed, inner, map.slots.clone(), map.pin_by_name),
    )
}

#[track_caller]
fn same(path: &Path) -> String {
    let (first, said, second, again) = around(path);
    let name = path.display();
    assert_eq!(said, again, "{name}: the text of the assembled text");
    assert_eq!((&first.license, first.kern_version), (&second.license, second.kern_version), "{name}");
    assert_eq!(first.endian, second.endian, "{name}");
    assert_eq!(first.maps.len(), second.maps.len(), "{name}");
    for (a, b) in first.maps.iter().zip(&second.maps) {
        assert_eq!(parameters(a), parameters(b), "{name}");
    }
    let functions = |o: &Object| -> Vec<Function> {
        o.programs.iter().map(|p| p.func.clone()).chain(o.functions.clone()).collect()
    };
    let (ours, theirs) = (functions(&first), functions(&second));
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (a, b) in ours.iter().zip(&theirs) {
        let place = |f: &Function| (f.name.clone(), f.section.clone(), f.offset, f.binding, f.hidden);
        assert_eq!((place(a), code(a)), (place(b), code(b)), "{name}");
        let core = |o: &Object, f: &Function| -> Vec<_> {
            o.core_relocations(f).map(|r| (r.insn_off, r.kind)).collect()
        };
        assert_eq!(core(&first, a), core(&second, b), "{name}");
    }
    let externs = |o: &Object| -> Vec<_> {
        let kind = |k: &ExternKind| match k {
            ExternKind::Kconfig { ty, offset, size } => format!("{ty:?} {offset} {size}"),
            ExternKind::Address => "address".into(),
            ExternKind::Variable(_) => "variable".into(),
            ExternKind::Function(_) => "function".into(),
        };
        o.externs.iter().map(|e| (e.name.clone(), e.weak, kind(&e.kind))).collect()
    };
    assert_eq!(externs(&first), externs(&second), "{name}");
    said
}

#[test]
fn every_object_of_this_project_goes_through_text_unchanged() {
    let dir = PathBuf::from(object("packet_count.o")).parent().expect("bpf/").to_path_buf();
    let (mut count, mut refused) = (0, Vec::new());
    for entry in std::fs::read_dir(dir).expect("bpf/ is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|e| e != "o") {
            continue;
        }
        let object = Object::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Types without a program, and a section that says no type of program: texts have neither.
        if matches!(object.name.as_str(), "core_kernel" | "custom") {
            continue;
        }
        match object.to_text() {
            // docs/INSN.md lists what has no words.
            Err(e) => refused.push(format!("{}: {e}", object.name)),
            Ok(_) => {
                same(&path);
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count} objects");
    let known = ["a set of callbacks (struct_ops)", "variables of an arena", "the tag `exception_callback"];
    refused.retain(|why| !known.iter().any(|words| why.contains(words)));
    assert!(refused.is_empty(), "{refused:#?}");
}

/// One of each thing that a text can say.
const EVERYTHING: &str = r#"
typedef unsigned int u32; typedef unsigned long long u64; typedef u64 __attribute__((aligned(8))) wide;
#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))
#ifdef __clang__
#define HELPER(number) = (void *)number
#else
#define HELPER(number)
#endif
enum small { NO, YES, MAYBE = -1 }; enum large { HUGE = 0x123456789abull, SOME = 1 };
union both { u32 half[2]; u64 whole; };
struct opaque;
struct key { u32 addr; unsigned short port : 9, more : 3; _Bool tcp : 1; union { char c; short s; }; };
struct value { enum small small; enum large large; union both both; struct value *next; struct opaque *far;
               int (*call)(struct key *, const char *, ...); volatile u64 hits; char name[3][5]; };

struct { int (*type)[1]; int (*max_entries)[100]; int (*map_flags)[1]; int (*pinning)[1];
         struct key *key; struct value *value; } flows SEC(".maps");
struct inner { int (*type)[2]; int (*max_entries)[4]; u32 *key; u64 *value; };
struct inner first_inner SEC(".maps");
struct { int (*type)[12]; int (*max_entries)[3]; int (*key_size)[4]; struct inner *values[]; } of_maps SEC(".maps")
  = { .values = { [2] = (void *)&first_inner } };
struct { int (*type)[27]; int (*max_entries)[4096]; int (*numa_node)[1]; } ring SEC(".maps");
struct { int (*type)[29]; int (*max_entries)[0]; int (*map_flags)[1]; int *key; long *value; } storage SEC(".maps");
struct { int (*type)[30]; int (*max_entries)[64]; int (*value_size)[8]; int (*map_extra)[3]; } bloom SEC(".maps");

extern int CONFIG_HZ SEC(".kconfig"); extern _Bool CONFIG_MAYBE SEC(".kconfig") __attribute__((weak));
extern const int bpf_prog_active SEC(".ksyms"); extern const void init_task SEC(".ksyms") __attribute__((weak));
extern void bpf_rcu_read_lock(void) SEC(".ksyms");

static volatile const u32 limit = 0x80000001; static volatile int lowest = -5; volatile const char greeting[] = "hi\t\"you\"\n";
volatile u64 counter; struct key start = { 1, 2, 3, 1, { 'x' } }; wide far_away SEC(".data.far") = 7;
unsigned __int128 sum SEC(".data.far") = 9; volatile float ratio = 1.5;

static long (*loop)(u32, void *, void *, u64) HELPER(181);
static void *(*lookup)(void *, const void *) HELPER(1);
static long (*print)(const char *, u32, ...) HELPER(6);

static NOINLINE long turn(u32 ix, u64 *sum) { *sum += ix; return 0; }
NOINLINE int global(struct key *key) { return key ? key->addr + lowest : 0; }
NOINLINE __attribute__((visibility("hidden"))) int hidden(u64 n) { counter += n; return n % 7; }
NOINLINE __attribute__((weak)) int weak(u64 n) { return n & 5; }
static NOINLINE int local(u64 n) { return n + weak(n) + hidden(n); }

struct md { u32 data, data_end; };
SEC("xdp") int one(struct md *ctx) {
    u64 n = CONFIG_HZ + CONFIG_MAYBE; struct key key = start; struct value *v;
    loop(10, turn, &n, 0);
    bpf_rcu_read_lock();
    if ((v = lookup(&flows, &key))) __sync_fetch_and_add(&v->hits, limit);
    if (lookup(&of_maps, &key)) print((const char *)greeting, sizeof(greeting), n);
    return local(n) + bpf_prog_active + (u64)&init_task + global(&key) + far_away;
}
SEC("xdp") int two(struct md *ctx) { return ctx->data_end - ctx->data > 60 ? 2 : local(ctx->data); }
SEC("?tc") int three(void *ctx) { counter++; return sum; }
struct { int (*type)[3]; int (*max_entries)[8]; int (*key_size)[4]; int (*values[])(struct md *); } progs SEC(".maps")
  = { .values = { [1] = two, [6] = one } };
char _license[] SEC("license") = "GPL"; u32 _version SEC("version") = 0x40e05;
"#;

#[track_caller]
fn compile(compiler: &str, args: &[&str], source: &str, to: &Path) {
    let file = to.with_extension("c");
    std::fs::write(&file, source).expect("it is written");
    let out = Command::new(compiler).args(args).args(["-O2", "-g", "-c", "-o"]).arg(to).arg(&file).output();
    let out = out.unwrap_or_else(|e| panic!("{compiler}: {e}; `make deps` installs it"));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn what_clang_makes_of_everything_goes_through_text_unchanged() {
    require!(HOST);
    let dir = tempfile::tempdir().expect("a directory");
    for target in ["bpfel", "bpfeb"] {
        for cpu in ["v1", "v2", "v3", "v4"] {
            let path = dir.path().join(format!("{target}-{cpu}.o"));
            compile("clang-19", &["-target", target, &format!("-mcpu={cpu}")], EVERYTHING, &path);
            let said = same(&path);
            for line in [
                ".map of_maps type=array_of_maps key=4 max_entries=3 inner={type=array key=u32 value=u64 max_entries=4}",
                ".slot of_maps, 2, first_inner",
                ".slot progs, 6, one",
                ".map bloom type=bloom_filter value=8 max_entries=64 extra=0x3",
                "    more: unsigned short bit 41:3,",
                ".kconfig CONFIG_MAYBE: _Bool weak",
                ".ksym bpf_rcu_read_lock: fn() -> void",
                ".func global: fn(key: *struct key) -> int",
                ".hidden hidden",
                ".weak weak",
                ".section \"?tc\"",
                ".version 0x40e05",
            ] {
                assert!(said.lines().any(|l| l == line), "no {line:?} in\n{said}");
            }
        }
    }
}

/// GCC 12 knows the versions up to 3, spells less in BTF, and calls C's integers by other names.
#[test]
fn what_gcc_makes_goes_through_text_unchanged() {
    require!(HOST);
    const SOURCE: &str = r#"
        typedef unsigned int u32; typedef unsigned long long u64;
        void *lookup(void *, const void *) __attribute__((kernel_helper(1)));
        struct { int (*type)[1]; int (*max_entries)[10]; u32 *key; u64 *value; } hits
            __attribute__((section(".maps"), used));
        u64 counter; int limit = -7; const volatile u64 big = 0x1122334455667788ull; static volatile u32 hid = 3;
        struct md { u32 data, data_end; };
        static __attribute__((noinline)) u64 mix(u64 n) {
            u64 sum = hid;
            for (u64 i = 0; i < n; i++) sum = sum * 3 + i;
            return sum;
        }
        __attribute__((section("xdp"))) int prog(struct md *ctx) {
            u32 key = ctx->data; u64 *v = lookup(&hits, &key);
            if (!v) return 2;
            __sync_fetch_and_add(v, 1); counter += mix(*v) + big;
            return counter > limit;
        }
        char _license[] __attribute__((section("license"), used)) = "GPL";
    "#;
    let dir = tempfile::tempdir().expect("a directory");
    for order in ["-mlittle-endian", "-mbig-endian"] {
        for cpu in ["v1", "v2", "v3"] {
            let path = dir.path().join(format!("{order}-{cpu}.o"));
            compile("bpf-gcc", &[order, &format!("-mcpu={cpu}"), "-gbtf"], SOURCE, &path);
            let said = same(&path);
            assert!(said.contains(".var static hid: volatile u32 @0 = 3\n"), "{said}");
        }
    }
}

/// What has no words in a text is named.
#[test]
fn what_cannot_be_said_is_named() {
    require!(HOST);
    let cases = [
        (
            "struct ops { int (*f)(void); }; __attribute__((section(\"struct_ops/f\"))) int f(void) { return 0; }
             __attribute__((section(\".struct_ops\"))) struct ops mine = { .f = f };",
            "map `mine` cannot be said in assembly text: it is a set of callbacks (struct_ops)",
        ),
        (
            "__attribute__((btf_decl_tag(\"user\"))) int tagged;
             __attribute__((section(\"xdp\"))) int f(void *ctx) { return tagged; }",
            "the tag `user` of a declaration cannot be said in assembly text: there is no directive for it",
        ),
        (
            "struct { int (*type)[33]; int (*map_flags)[1024]; int (*max_entries)[4]; } arena
                 __attribute__((section(\".maps\")));
             int __attribute__((address_space(1))) far = 5;
             __attribute__((section(\"syscall\"))) int f(void *ctx) { return far + (arena.type != 0); }",
            "map `arena` cannot be said in assembly text: its first contents are variables of an arena",
        ),
    ];
    let dir = tempfile::tempdir().expect("a directory");
    for (ix, (source, want)) in cases.iter().enumerate() {
        let path = dir.path().join(format!("{ix}.o"));
        compile("clang-19", &["-target", "bpf"], source, &path);
        let error = Object::open(&path).expect("it is read").to_text().expect_err("it has no words for it");
        assert_eq!(error.to_string(), *want);
    }
}

/// Mistakes of directives: in the text, and of what only the whole object shows.
#[test]
fn directives_are_checked() {
    let in_text = [
        (".var x: u32 = 1", ".var", "section `.text` has no variables"),
        (".data\n.var x: [4]", "", "a type is expected here, but the line ends"),
        (".data\n.var x: u8 = { 256 }", "256", "256 does not fit here, which takes a byte, 0 to 255"),
        (".struct s 8 {\n  a: u32 @0,\n  b u32 @4\n}", "u32", "`@` is expected here"),
        (".func f: int", "int", "a function has a type that starts with `fn`"),
        (".slot progs, 1, f", "progs", "there is no map `progs` above"),
        (".endian middle", "middle", "`big` or `little` is expected here"),
        (".map m type=array inner={type=array}", "}", "`max_entries=` is expected here"),
    ];
    for (source, wrong, what) in in_text {
        let errors = text::assemble("a.s", &format!("{source}\n.text\nf: exit\n")).expect_err(source);
        let error = &errors.0[0];
        assert!(error.what.starts_with(what), "{source}: {error}");
        let marked: String =
            error.source.chars().skip(error.col as usize - 1).take(error.width as usize).collect();
        assert!(marked.starts_with(wrong), "{source}: `{marked}` is marked, not `{wrong}`\n{error}");
        assert!(source.lines().any(|l| l == error.source), "{error}");
    }
    let in_object = [
        (
            ".map m type=hash key=struct key value=u64 max_entries=1",
            "map `m`: there is no type `struct key` in this text",
        ),
        (".data\n.var x: u8 = 256", "variable `x`: 256 does not fit its 1 bytes"),
        (".data\n.var x: u8 = \"xyz\"", "variable `x`: its first value has 3 bytes, its type 1"),
        (
            ".data\n.var x: u32 = 5\n.var y: u32 @2 = 6",
            "variable `y`: it starts at byte 2, and what stands before it ends at byte 4",
        ),
        (".bss\n.var x: u32 = 5", "section `.bss`: what it holds starts as zero"),
        (
            ".map m type=prog_array key=4 value=4 max_entries=1\n.slot m, 4294967295, f",
            "map `m`: its element 4294967295 is too far out to be set in a file",
        ),
        (".int a 4\n.int a 8", "type `a`: the text has two of this name"),
        (".text\n.core wrong int \"0\"", "function `f`, instruction 0: there is no CO-RE relocation `wrong`"),
    ];
    for (source, want) in in_object {
        let at = if source.starts_with(".text") { "f:\n" } else { "\n.text\nf:\n" };
        let source = match source.split_once('\n').filter(|(first, _)| *first == ".text") {
            Some((_, core)) => format!(".text\n{at}{core}\nexit\n"),
            None => format!("{source}{at}exit\n"),
        };
        let program = text::assemble("a.s", &source).unwrap_or_else(|e| panic!("{e}"));
        let error = Object::from_text("a", &program).map(|_| ()).expect_err(&source);
        assert_eq!(error.to_string(), want);
    }
}

/// By hand, without a compiler: variables are laid out one behind the other, aligned as C would.
#[test]
fn variables_by_hand() {
    let source = "\
.section \".rodata\"
.var limit: u32 = 100
.var static fmt: [6]char = \"%d\\n\"
.var mac: [6]u8 = { 2, 0, 0, 0, 0, 1 }
.var big: s64 = -2
.section \".bss\"
.var seen: [16]u64
.section \"socket\"
main:
    r1 = map_val(.rodata) ll
    r0 = *(u32 *)(r1 + 0)
    exit
";
    let program = text::assemble("a.s", source).unwrap_or_else(|e| panic!("{e}"));
    let object = Object::from_text("a", &program).expect("an object");
    let mut want = [&100u32.to_ne_bytes()[..], b"%d\n\0\0\0", &[2, 0, 0, 0, 0, 1]].concat();
    want.extend((-2i64).to_ne_bytes());
    assert_eq!(object.map(".rodata").and_then(|m| m.contents.clone()), Some(want));
    assert_eq!(object.map(".bss").map(|m| (m.value_size, m.contents.clone())), Some((128, None)));
    let again = Object::parse("a", &object.to_elf().expect("bytes")).expect("an object");
    let globals: Vec<_> = again.globals().into_iter().map(|g| g.name).collect();
    assert_eq!(globals, ["limit", "fmt", "mac", "big", "seen"]);
}

/// Any directives at all: an answer, no panic, and an object that can be written and read.
#[test]
fn no_directive_makes_it_panic() {
    let words = [
        ".data",
        ".bss",
        ".rodata",
        ".var",
        ".bytes",
        ".space",
        ".struct",
        ".union",
        ".enum",
        ".typedef",
        ".int",
        ".float",
        ".fwd",
        ".func",
        ".map",
        ".slot",
        ".ksym",
        ".kconfig",
        ".core",
        ".globl",
        ".weak",
        ".hidden",
        ".endian",
        "big",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "@",
        ":",
        "=",
        ",",
        "->",
        "*",
        "...",
        "bit",
        "fn",
        "struct",
        "enum",
        "const",
        "tag",
        "u8",
        "u32",
        "int",
        "s",
        "x",
        "f",
        "m",
        "0",
        "1",
        "8",
        "4294967295",
        "\"text\"",
        "type=array",
        "key=u32",
        "value=4",
        "max_entries=1",
        "inner={",
        "static",
        "weak",
        "byte_off",
        "f:",
        "exit",
        "r0 = 0",
        "\n",
        "\n",
        "\n",
        "\n",
    ];
    let whole = [
        ".data\n.var x: u32",
        ".struct s 8 { a: u32 @0, b: [2]u8 @4 }",
        ".map m type=array key=struct s value=u64 max_entries=1",
        ".map p type=prog_array key=4 value=4 max_entries=9",
        ".slot p, 3, f",
        ".section \"xdp\"\nf:\nexit",
        ".typedef u = s",
        ".func f: fn(ctx: *struct s) -> int",
        ".ksym k: fn(int) -> void",
        ".text\n.core byte_off struct s \"0:1\"\ng:\nexit",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % n
    };
    let (mut built, rounds) = (0, 2_000);
    for _ in 0..rounds {
        let mut source = String::new();
        for _ in 0..next(10) {
            match next(3) {
                0 => source.push_str(words[next(words.len())]),
                _ => source.push_str(&format!("\n{}\n", whole[next(whole.len())])),
            }
            source.push(' ');
        }
        let Ok(program) = text::assemble("x.s", &source) else { continue };
        let Ok(object) = Object::from_text("x", &program) else { continue };
        let said = object.to_text().map(|t| t.to_string());
        if let Ok(bytes) = object.to_elf() {
            built += 1;
            if let Ok(again) = Object::parse("x", &bytes) {
                assert_eq!(said.ok(), again.to_text().ok().map(|t| t.to_string()), "{source}");
            }
        }
    }
    assert!(built > 20, "{built} of {rounds}");
}
