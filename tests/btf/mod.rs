//! The BTF library against other readers: bpftool, clang, the running kernel.

mod builder;
mod c;
mod ext;
mod find;
mod hostile;
mod layout;
mod oracle;
mod relocate;
mod sanitize;
mod value;

use crate::gate;
use rawbpf::btf::Btf;
use rawbpf::bytes::Endian;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// Where the BTF of a kernel is: that of the running one, or what `RAWBPF_TEST_BTF` names, so that these
/// tests can be run on the types of any kernel of any machine.
fn vmlinux_path() -> String {
    std::env::var("RAWBPF_TEST_BTF").unwrap_or_else(|_| "/sys/kernel/btf/vmlinux".into())
}

/// The BTF of a kernel, or `None` after the skip was recorded.
fn vmlinux() -> Option<&'static Btf> {
    static BTF: OnceLock<Option<Btf>> = OnceLock::new();
    let btf = BTF.get_or_init(|| {
        let bytes = std::fs::read(vmlinux_path()).ok()?;
        Some(Btf::parse(bytes).expect("the kernel's BTF parses"))
    });
    if btf.is_none() {
        gate::skip(&gate::BTF, &format!("there is no {}", vmlinux_path()));
    }
    btf.as_ref()
}

/// What a tool prints; `None` in a guest, where there are none, after the skip was recorded.
fn run(program: &str, args: &[&str]) -> Option<String> {
    let out = match Command::new(program).args(args).output() {
        Ok(out) => out,
        Err(e) => gate::check(&gate::HOST, gate::HOST.check.expect("it has one")())
            .map(|()| panic!("{program}: {e}; `make deps` installs it"))?,
    };
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Compiles C for BPF and takes a section out of the object.
fn compile(source: &str, endian: Endian, section: &str) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory for the object");
    let (c, o) = (dir.path().join("t.c"), dir.path().join("t.o"));
    std::fs::write(&c, source).expect("the source is written");
    let target = if endian == Endian::Little { "bpfel" } else { "bpfeb" };
    let (c, o) = (c.to_str()?, o.to_str()?);
    run("clang-19", &["-target", target, "-g", "-O2", "-Wno-everything", "-c", c, "-o", o])?;
    Some(section_of(Path::new(o), section))
}

fn section_of(object: &Path, section: &str) -> Vec<u8> {
    let out = object.with_extension("section");
    let args = [
        "-O",
        "binary",
        &format!("--only-section={section}"),
        "--set-section-flags",
        &format!("{section}=alloc"),
        object.to_str().expect("a path"),
        out.to_str().expect("a path"),
    ];
    run("llvm-objcopy-19", &args).expect("llvm-objcopy comes with clang");
    std::fs::read(out).expect("the section was written")
}

/// A small program with most kinds of types.
const SMALL_C: &str = r#"
typedef unsigned int __u32; typedef unsigned long long __u64; typedef _Bool bool;
#define SEC(n) __attribute__((section(n), used))
enum verdict { V_PASS, V_DROP = 7 };
enum level { L_LOW = -1, L_HIGH = 1 };
enum big { B_ONE = 1, B_BIG = 0x123456789abcdefULL };
union addr { __u32 v4; unsigned char v6[16]; };
struct fwd;
struct key { union addr saddr; __u32 proto:7, tcp:1, rest:24; const volatile char *name; struct fwd *f; };
struct tree { struct tree *left, *right; struct key key; struct { int a; union { long b; float c; }; } in; };
struct flex { int n; struct key keys[]; };
struct { int (*type)[1]; int (*max_entries)[16]; struct key *key; __u64 *value; } counts SEC(".maps");
enum verdict v SEC(".data.v"); enum level l; enum big big; const int ro = 3; static volatile bool b;
__attribute__((noinline)) int helper(struct tree *t, int n) { return t->in.a + n; }
struct flex *flex_ptr;
SEC("xdp") int prog(struct tree *ctx) { b = 1; return helper(ctx, ro) + (int)v + (int)l + (int)big + (flex_ptr ? 1 : 0); }
char LICENSE[] SEC("license") = "GPL";
"#;

/// The BTF of [`SMALL_C`] in both byte orders.
fn small() -> Option<[Btf; 2]> {
    let one = |endian| Some(Btf::parse(compile(SMALL_C, endian, ".BTF")?).expect("clang's BTF parses"));
    Some([one(Endian::Little)?, one(Endian::Big)?])
}
