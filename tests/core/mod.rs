//! CO-RE: what a relocation puts into its instruction.
//!
//! Programs and "kernels" are both compiled from C here: the kernel of a test is the BTF of a C file. Each
//! expression becomes a program of its own, and what its relocations came to is shown in a short form:
//!
//! ```text
//!   48/8      an offset of 48 in a load or store of 8 bytes
//!   48        a number in an arithmetic instruction or a 64-bit constant
//!   poison    nothing on this kernel
//! ```

mod explain;
mod fields;
mod golden;
mod hostile;
mod malformed;
mod minimal;
mod patch;
mod types;
mod vmlinux;

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rawbpf::btf::{Btf, CoreRelo};
use rawbpf::bytes::Endian;
use rawbpf::elf::Object;
use rawbpf::insn::raw::{class, size};
use rawbpf::insn::{InsnIx, RawInsn};
use rawbpf::kernel::Kernel;
use rawbpf::loader::{Options, Poison, ProgPlan};
use rawbpf::uapi::Release;

/// What every program of these tests starts with: the questions under their CO-RE names.
const PRELUDE: &str = r#"
#define BYTE_OFF(f) __builtin_preserve_field_info(f, 0)
#define BYTE_SZ(f) __builtin_preserve_field_info(f, 1)
#define EXISTS(f) __builtin_preserve_field_info(f, 2)
#define SIGNED(f) __builtin_preserve_field_info(f, 3)
#define LSHIFT(f) __builtin_preserve_field_info(f, 4)
#define RSHIFT(f) __builtin_preserve_field_info(f, 5)
#define ADDRESS(f) (long)__builtin_preserve_access_index(&(f))
#define LOCAL_ID(t) __builtin_btf_type_id(*(t *)0, 0)
#define TARGET_ID(t) __builtin_btf_type_id(*(t *)0, 1)
#define TYPE_EXISTS(t) __builtin_preserve_type_info(*(t *)0, 0)
#define TYPE_SIZE(t) __builtin_preserve_type_info(*(t *)0, 1)
#define TYPE_MATCHES(t) __builtin_preserve_type_info(*(t *)0, 2)
#define VALUE_EXISTS(e, v) __builtin_preserve_enum_value(*(e *)v, 0)
#define VALUE(e, v) __builtin_preserve_enum_value(*(e *)v, 1)
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64;
"#;

/// Makes every struct of a program relocatable, as vmlinux.h does.
const RELOCATABLE: &str =
    "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n";

/// An object with one program per expression: `p0`, `p1`, ...; each gets a pointer `p` to `struct s`.
fn programs(types: &str, expressions: &[&str], endian: Endian) -> Object {
    let mut source = format!("{PRELUDE}{RELOCATABLE}{types}\n#pragma clang attribute pop\n");
    for (i, expression) in expressions.iter().enumerate() {
        let returns = if expression.contains("return") { "" } else { "return (long)" };
        source += &format!(
            "__attribute__((section(\"xdp\"), used)) long p{i}(struct s *p, long v) {{ {returns} {expression}; }}\n"
        );
    }
    Object::parse("test", &compile(&source, endian, "v4")).expect("clang's object is read")
}

/// The types of a C file as those of a kernel.
fn kernel(types: &str, endian: Endian) -> Kernel {
    let object = Object::parse("kernel", &compile(&format!("{PRELUDE}{types}"), endian, "v4"));
    kernel_of(object.expect("clang's object is read").btf.expect("it has types"))
}

fn kernel_of(btf: Arc<Btf>) -> Kernel {
    Kernel::fixture(Release(6, 12, 0)).with_btf(btf)
}

fn compile(source: &str, endian: Endian, cpu: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory for the object");
    let (c, o) = (dir.path().join("t.c"), dir.path().join("t.o"));
    std::fs::write(&c, source).expect("the source is written");
    run_clang(&c, &o, endian, cpu);
    std::fs::read(o).expect("the object is there")
}

fn run_clang(c: &Path, o: &Path, endian: Endian, cpu: &str) {
    let target = if endian == Endian::Little { "bpfel" } else { "bpfeb" };
    let out = Command::new("clang-19")
        .args(["-g", "-O2", "-Wno-everything", "-D__TARGET_ARCH_x86", "-target", target])
        .arg(format!("-mcpu={cpu}"))
        .arg("-c")
        .args([c, Path::new("-o"), o])
        .output()
        .expect("clang-19 is installed, as CONTRIBUTING.md asks for");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// One program, planned for a kernel.
fn plan(object: &Object, program: &str, kernel: &Kernel) -> Result<ProgPlan, String> {
    let options = Options { only: vec![program.into()], ..Options::default() };
    let plan = object.plan(kernel, &options).map_err(|e| chain(&e))?;
    Ok(plan.programs.into_iter().next().expect("the one that was asked for"))
}

/// An error with all its causes.
fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// The relocations of a program: the slot of each, and the relocation.
fn relocations(object: &Object, program: &str) -> Vec<(InsnIx, CoreRelo)> {
    let func = &object.program(program).expect("it is in the object").func;
    let (btf, ext) = (object.btf.as_ref().expect("types"), object.ext.as_ref().expect("records"));
    let own = ext.core_relo().filter(|s| btf.name(s.name).expect("a name") == func.section.as_str());
    let records = own.flat_map(|s| s.records().collect::<Vec<_>>());
    let slots = func.offset.0..func.offset.0 + func.insns.len() as u32;
    records
        .filter(|r| slots.contains(&(r.insn_off / 8)))
        .map(|r| (InsnIx(r.insn_off / 8 - func.offset.0), r))
        .collect()
}

/// What the relocations of a program came to, in the short form; or the error.
fn outcome(object: &Object, program: &str, kernel: &Kernel) -> String {
    let plan = match plan(object, program, kernel) {
        Ok(plan) => plan,
        Err(error) => return error,
    };
    let show = |(at, _): (InsnIx, CoreRelo)| {
        if plan.poisons.iter().any(|(ix, poison)| *ix == at && matches!(poison, Poison::Core(_))) {
            assert!(plan.insns[at.index()].is_helper_call() && plan.insns[at.index()].imm == 195_896_080);
            return "poison".into();
        }
        number(&plan.insns[at.index()..])
    };
    relocations(object, program).into_iter().map(show).collect::<Vec<String>>().join(" ")
}

/// The number in an instruction.
fn number(insns: &[RawInsn]) -> String {
    let insn = insns[0];
    match insn.class() {
        class::LD => ((i64::from(insns[1].imm) << 32) | i64::from(insn.imm as u32)).to_string(),
        class::LDX | class::ST | class::STX => {
            let bytes = [(size::B, 1), (size::H, 2), (size::W, 4), (size::DW, 8)];
            let bytes = bytes.iter().find(|(code, _)| *code == insn.size()).expect("one of four").1;
            format!("{}/{bytes}", insn.off)
        }
        _ => insn.imm.to_string(),
    }
}

/// Checks what expressions come to on a kernel; of an error, the part that is given.
#[track_caller]
fn check(program_types: &str, kernel_types: &str, endian: Endian, table: &[(&str, &str)]) {
    let expressions: Vec<&str> = table.iter().map(|(expression, _)| *expression).collect();
    let object = programs(program_types, &expressions, endian);
    let kernel = kernel(kernel_types, endian);
    let mut wrong = Vec::new();
    for (i, (expression, want)) in table.iter().enumerate() {
        let got = outcome(&object, &format!("p{i}"), &kernel);
        let right = if want.contains(' ') && !want.contains('/') && got.contains(": ") {
            got.contains(want)
        } else {
            got == *want
        };
        if !right {
            wrong.push(format!("{expression}\n  gives {got}\n  not   {want}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
