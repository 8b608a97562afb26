//! Every form of every instruction against LLVM: its disassembler and its assembler, in both byte orders.
//!
//! LLVM 19 does not know three instructions (load-acquire, store-release and `gotox`), and prints some
//! others with less than they say; [`in_llvm`] is the whole list of differences.

use crate::gate::{HOST, require};
use crate::insn_forms::each;
use object::write::{Object, SectionId, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, Object as _, ObjectSection as _, SectionKind};
use rawbpf::bytes::Endian;
use rawbpf::insn::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `llvm-objdump` prints for an instruction.
enum Llvm {
    /// The text with the registers of 32-bit operations named `w`, as from `-mcpu=v3` on.
    New(String),
    /// The text of older versions, which name every register `r`.
    Old(String),
    /// Nothing, or something else: LLVM 19 has no such instruction.
    Unknown,
}

fn in_llvm(insn: Insn) -> Llvm {
    Llvm::New(match insn {
        Insn::LoadAcquire { .. } | Insn::StoreRelease { .. } | Insn::JumpReg { .. } => return Llvm::Unknown,
        // With -mcpu=v3 these have 32-bit registers where the size is smaller than 64 bits; the verifier
        // and older versions write `r`, and so do we.
        Insn::Load { .. } | Insn::Store { .. } => return Llvm::Old(insn.to_string()),
        // The number alone, whatever is called.
        Insn::Call(callee) => match callee {
            Callee::Helper(helper) => format!("call {}", helper.0 as i32),
            Callee::Local { off } => format!("call {off}"),
            Callee::Kfunc { btf_id, .. } => format!("call {}", btf_id as i32),
        },
        // Only the first half of what is no plain number.
        Insn::LoadImm64 { dst, imm } if !matches!(imm, Imm64::Value(_)) => {
            let first = insn.encode()[0];
            format!("ld_pseudo\t{dst}, {}, {}", first.src, first.imm as u32)
        }
        // Without the offset.
        Insn::LoadPacket { size, index: Some(reg), .. } => {
            return Llvm::Old(Insn::LoadPacket { size, index: Some(reg), off: 0 }.to_string());
        }
        other => other.to_string(),
    })
}

#[test]
fn llvm_disassembles_every_instruction_to_the_same_text() {
    require!(HOST);
    let insns = all();
    for endian in [Endian::Little, Endian::Big] {
        let dir = tempfile::tempdir().unwrap();
        let path = write_elf(dir.path(), &insns, endian);
        let (new, old) = (objdump(&path, "--mcpu=v4"), objdump(&path, "--mcpu=v2"));
        assert_eq!((new.len(), old.len()), (insns.len(), insns.len()));
        let mut unknown = 0;
        for ((insn, new), old) in insns.iter().zip(&new).zip(&old) {
            match in_llvm(*insn) {
                Llvm::New(text) => assert_eq!(text, *new),
                Llvm::Old(text) => assert_eq!(text, *old),
                Llvm::Unknown => {
                    unknown += 1;
                    assert_ne!(insn.to_string(), *new, "LLVM knows it now: compare it");
                }
            }
        }
        println!("{endian}: {} instructions compared, {unknown} unknown to LLVM", insns.len() - unknown);
    }
}

/// LLVM's own text, with hexadecimal numbers as it prints them unasked, assembles to the same slots.
#[test]
fn the_text_of_llvm_assembles_here() {
    require!(HOST);
    // What the text does not say: whom a call by number calls, all of a wide reference, an offset.
    let says_all = |insn: &Insn| match insn {
        Insn::LoadImm64 { imm, .. } => matches!(imm, Imm64::Value(_)),
        Insn::LoadPacket { index: Some(_), off, .. } => *off == 0,
        Insn::Call(callee) => matches!(callee, Callee::Helper(helper) if helper.0 <= i32::MAX as u32),
        insn => !matches!(in_llvm(*insn), Llvm::Unknown),
    };
    let mut insns: Vec<Insn> = all().into_iter().filter(says_all).collect();
    insns.push(Insn::Exit);
    let expected: Vec<RawInsn> = insns.iter().flat_map(|i| i.encode().to_vec()).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = write_elf(dir.path(), &insns, Endian::Little);
    for args in [["--mcpu=v4", "--no-print-imm-hex"], ["--mcpu=v4", "--print-imm-hex"]] {
        let mut objdump = Command::new("llvm-objdump-19");
        objdump.args(["-d", "--no-show-raw-insn"]).args(args).arg(&path);
        let text =
            String::from_utf8(objdump.output().expect("llvm-objdump-19 is installed: make deps").stdout)
                .unwrap();
        let lines = text.lines().filter(|l| l.trim_start().starts_with(|c: char| c.is_ascii_digit()));
        let lines: Vec<&str> = lines.filter(|l| l.contains(":\t")).collect();
        let program = text::assemble("llvm.s", &lines.join("\n")).unwrap_or_else(|e| panic!("{}", e.0[0]));
        let code = &program.functions[0].code;
        for (at, (ours, theirs)) in code.insns().iter().zip(&expected).enumerate() {
            assert_eq!(ours, theirs, "{:?}", code.line_at(InsnIx(at as u32)));
        }
        assert_eq!(code.insns().len(), expected.len());
    }
}

#[test]
fn llvm_assembles_our_text_to_the_same_bytes() {
    require!(HOST);
    // What LLVM has no text for, or reads as something else: references, calls other than of helpers.
    let speaks = |insn: &Insn| match insn {
        Insn::LoadAcquire { .. } | Insn::StoreRelease { .. } | Insn::JumpReg { .. } => false,
        Insn::LoadImm64 { imm, .. } => matches!(imm, Imm64::Value(_)),
        Insn::LoadPacket { index: Some(_), off, .. } => *off == 0,
        Insn::Call(callee) => matches!(callee, Callee::Helper(helper) if helper.0 <= i32::MAX as u32),
        Insn::JumpFar { off } => i16::try_from(*off).is_ok(),
        _ => true,
    };
    let insns: Vec<Insn> = all().into_iter().filter(speaks).collect();
    let text: String = insns.iter().map(|i| format!("{i}\n")).collect();
    for (endian, triple) in [(Endian::Little, "bpfel"), (Endian::Big, "bpfeb")] {
        let dir = tempfile::tempdir().unwrap();
        let (source, output) = (dir.path().join("a.s"), dir.path().join("a.o"));
        std::fs::write(&source, &text).unwrap();
        let mut mc = Command::new("llvm-mc-19");
        mc.args(["-triple", triple, "-mcpu=v4", "-filetype=obj", "-o"]).arg(&output).arg(&source);
        let done = mc.output().expect("llvm-mc-19 is installed: make deps");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let file = std::fs::read(&output).unwrap();
        let elf = object::File::parse(&*file).unwrap();
        let theirs = elf.section_by_name(".text").unwrap().data().unwrap().to_vec();
        let ours = bytes(&insns, endian);
        assert_eq!(ours.len(), theirs.len());
        let mut at = 0;
        for insn in &insns {
            let end = at + insn.encode().len() * 8;
            assert_eq!(ours[at..end], theirs[at..end], "{insn}");
            at = end;
        }
        println!("{endian}: {} instructions", insns.len());
    }
}

/// What compilers make of C, for every version of the instruction set that they know.
#[test]
fn every_object_of_clang_disassembles_as_llvm_does() {
    require!(HOST);
    for (endian, target) in [(Endian::Little, "bpfel"), (Endian::Big, "bpfeb")] {
        for cpu in ["v1", "v2", "v3", "v4"] {
            compile_and_compare("clang-19", &["-target", target], endian, cpu);
        }
    }
}

/// GCC 12 knows the versions up to 3.
#[test]
fn every_object_of_gcc_disassembles_as_llvm_does() {
    require!(HOST);
    for (endian, option) in [(Endian::Little, "-mlittle-endian"), (Endian::Big, "-mbig-endian")] {
        for cpu in ["v1", "v2", "v3"] {
            compile_and_compare("bpf-gcc", &[option], endian, cpu);
        }
    }
}

fn compile_and_compare(compiler: &str, options: &[&str], endian: Endian, cpu: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (source, path) = (dir.path().join("a.c"), dir.path().join("a.o"));
    std::fs::write(&source, PROGRAM).unwrap();
    let mut command = Command::new(compiler);
    command.args(options).args(["-O2", "-g", "-c", &format!("-mcpu={cpu}"), "-o"]).arg(&path).arg(&source);
    let done = command.output().unwrap_or_else(|e| panic!("{compiler}: {e}; `make deps` installs it"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    compare_object(&path, endian, cpu);
}

/// Loops, calls, atomics, signed and narrow types, wide constants, byte swaps, jump tables.
const PROGRAM: &str = r#"
typedef unsigned long long u64; typedef long long s64; typedef unsigned int u32; typedef int s32;
typedef unsigned short u16; typedef short s16; typedef unsigned char u8; typedef signed char s8;
#ifdef __clang__
static void *(*lookup)(void *, const void *) = (void *)1;
#else
void *lookup(void *, const void *) __attribute__((kernel_helper(1)));
#endif
struct { int (*type)[1]; u32 *key; u64 *value; } hits __attribute__((section(".maps"), used));
extern u64 elsewhere(u64);
u64 counter; s32 limit = -7; const volatile u64 big = 0x1122334455667788ull;
struct md { u32 data, data_end; };
struct wide { s8 a; s16 b; s32 c; s64 d; u8 e; u16 f; u32 g; u64 h; };
static __attribute__((noinline)) u64 mix(struct wide *w, u64 n) {
    u64 sum = 0;
    for (u64 i = 0; i < n; i++) { sum += w->a * w->b + (w->c ^ (s32)i); sum = sum << 3 | sum >> 61; }
    return sum + (u64)(w->d >> 5) + w->e % 7 + w->f / 3 + w->g * 5u - w->h;
}
__attribute__((section("xdp"))) int prog(struct md *ctx) {
    struct wide w = {.a = -1, .b = -2, .c = limit, .d = (s64)counter, .e = 1, .f = 2, .g = 3, .h = big};
    u32 key = 0;
    u64 *v = lookup(&hits, &key);
    if (!v) return 2;
    __sync_fetch_and_add(v, 1);
    if (*v > 0x123456789abcdefull || (s64)*v < -5) *v = __builtin_bswap64(*v) + __builtin_bswap32((u32)*v);
    switch (ctx->data & 7) {
    case 0: return mix(&w, *v) & 1;
    case 1: return elsewhere(*v) > 5;
    case 2: return (s32)*v < limit;
    case 3: counter = 5; return 3;
    case 5: ((volatile u8 *)v)[3] = 9; ((volatile u16 *)v)[2] = 77; return 4;
    default: return (u32)*v >= (u32)key + __builtin_bswap16((u16)*v);
    }
}
char _license[] __attribute__((section("license"), used)) = "GPL";
"#;

/// Each instruction of each section of code: it decodes, and LLVM prints the same.
fn compare_object(path: &Path, endian: Endian, cpu: &str) {
    let file = std::fs::read(path).unwrap();
    let elf = object::File::parse(&*file).unwrap();
    let texts = objdump(path, &format!("--mcpu={}", if cpu == "v4" { "v4" } else { "v2" }));
    let alu32 = objdump(path, "--mcpu=v4");
    let mut at = 0;
    for section in elf.sections().filter(|s| s.kind() == SectionKind::Text && s.size() > 0) {
        let bytes = section.data().unwrap();
        let slots: Vec<RawInsn> =
            bytes.chunks_exact(8).map(|b| RawInsn::from_bytes(b.try_into().unwrap(), endian)).collect();
        let listing = Listing::new(&slots);
        for item in listing.items() {
            let disasm::Item::Insn(line) = item else { continue };
            let insn = line.insn.unwrap_or_else(|e| panic!("-mcpu={cpu}: slot {}: {e}", line.at));
            let (old, new) = (&texts[at], &alu32[at]);
            match in_llvm(insn) {
                Llvm::New(text) => assert_eq!(text, *new, "-mcpu={cpu}"),
                Llvm::Old(text) if cpu == "v4" => {
                    assert_eq!(text, new.replace("w", "r"), "-mcpu={cpu}");
                }
                Llvm::Old(text) => assert_eq!(text, *old, "-mcpu={cpu}"),
                Llvm::Unknown => panic!("no compiler makes {insn} here"),
            }
            at += 1;
        }
    }
    assert!(at > 50);
    assert_eq!(at, texts.len());
    println!("{endian} -mcpu={cpu}: {at} instructions");
}

fn all() -> Vec<Insn> {
    let mut insns = Vec::new();
    each(|insn| insns.push(insn));
    insns
}

fn bytes(insns: &[Insn], endian: Endian) -> Vec<u8> {
    insns.iter().flat_map(|i| i.encode().to_vec()).flat_map(|s| s.to_bytes(endian)).collect()
}

/// The smallest ELF that llvm-objdump disassembles: `.text` with a symbol at its start.
fn write_elf(dir: &Path, insns: &[Insn], endian: Endian) -> PathBuf {
    let order = if endian == Endian::Little { Endianness::Little } else { Endianness::Big };
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::Bpf, order);
    let section: SectionId = elf.add_section(Vec::new(), b".text".to_vec(), SectionKind::Text);
    elf.set_section_data(section, bytes(insns, endian), 8);
    elf.add_symbol(Symbol {
        name: b"start".to_vec(),
        value: 0,
        size: 0,
        kind: object::SymbolKind::Text,
        scope: object::SymbolScope::Linkage,
        weak: false,
        section: SymbolSection::Section(section),
        flags: object::SymbolFlags::None,
    });
    let path = dir.join("a.o");
    std::fs::write(&path, elf.write().unwrap()).unwrap();
    path
}

/// The text of each instruction, without the addresses around it.
fn objdump(path: &Path, cpu: &str) -> Vec<String> {
    let args = ["-d", "--no-show-raw-insn", "--no-print-imm-hex", "--no-leading-headers", cpu];
    let done = Command::new("llvm-objdump-19")
        .args(args)
        .arg(path)
        .output()
        .expect("llvm-objdump-19 is installed: make deps");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let lines =
        text.lines().filter_map(|l| l.split_once(":\t")).filter(|(at, _)| at.trim().parse::<u64>().is_ok());
    // A jump's target stands behind it: `goto +1 <start+0x10>`.
    let plain = |insn: &str| match insn.strip_suffix('>').and_then(|_| insn.rsplit_once(" <")) {
        Some((before, _)) => before.trim().to_string(),
        None => insn.trim().to_string(),
    };
    lines.map(|(_, insn)| plain(insn)).collect()
}
