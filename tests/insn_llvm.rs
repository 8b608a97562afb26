//! Every form of every instruction against LLVM: its disassembler and its assembler, in both byte orders.
//!
//! LLVM 19 does not know three instructions (load-acquire, store-release and `gotox`), and prints some
//! others with less than they say; [`in_llvm`] is the whole list of differences.

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

#[test]
fn llvm_assembles_our_text_to_the_same_bytes() {
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
        let done = mc.output().expect("llvm-mc-19 runs");
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
    let done = Command::new("llvm-objdump-19").args(args).arg(path).output().expect("llvm-objdump-19 runs");
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
