//! Whole objects as assembly text and back: `disasm --text`, `asm`, `disasm --text` again.

use std::path::{Path, PathBuf};
use std::process::Command;

use rawbpf::elf::{ExternKind, Function, MapDef, Object, RelocTarget};
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
    let typed = (map.key_type.is_some(), map.value_type.is_some());
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
    let mut count = 0;
    for entry in std::fs::read_dir(dir).expect("bpf/ is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "o") {
            same(&path);
            count += 1;
        }
    }
    assert!(count > 40, "{count} objects");
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
