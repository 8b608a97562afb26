//! A million instructions assembled, decoded and disassembled: nanoseconds an instruction, beside rbpf.
//!
//! `cargo bench --bench insn`. Each row is the best of several runs of both, in turns, in this process;
//! the programs are the same, byte for byte. The bench fails where ours is not the faster one.

use rawbpf::bytes::Endian;
use rawbpf::insn::{Listing, prelude::*};
use rbpf::insn_builder::{Arch, BpfCode, Cond, Instruction, IntoBytes, MemSize, Source as RbpfSource};
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

/// How many times the ten instructions are repeated.
const BLOCKS: usize = 100_000;
const RUNS: usize = 7;

/// Ours: with labels, with the line of every instruction, with all checks; to the bytes.
fn ours() -> Vec<u8> {
    let mut a = Asm::new();
    for _ in 0..BLOCKS {
        let next = a.label();
        a.mov64(R6, R1)
            .mov64(R2, 7)
            .add64(R2, -4)
            .load(W, R3, R6 + 4)
            .store(DW, R10 - 8, R3)
            .and32(R3, 0xff)
            .jgt(R3, 5, next)
            .lsh64(R3, 2)
            .call(Helper::KtimeGetNs)
            .bind(next)
            .xor64(R7, R3);
    }
    let code = a.exit().finish().expect("assembles");
    code.to_bytes(Endian::Little)
}

/// The same program with rbpf's builder; it has no labels, so the distance is written out.
fn rbpfs() -> Vec<u8> {
    let mut code = BpfCode::new();
    for _ in 0..BLOCKS {
        code.mov(RbpfSource::Reg, Arch::X64).set_dst(6).set_src(1).push();
        code.mov(RbpfSource::Imm, Arch::X64).set_dst(2).set_imm(7).push();
        code.add(RbpfSource::Imm, Arch::X64).set_dst(2).set_imm(-4).push();
        code.load_x(MemSize::Word).set_dst(3).set_src(6).set_off(4).push();
        code.store_x(MemSize::DoubleWord).set_dst(10).set_src(3).set_off(-8).push();
        code.bit_and(RbpfSource::Imm, Arch::X32).set_dst(3).set_imm(0xff).push();
        code.jump_conditional(Cond::Greater, RbpfSource::Imm).set_dst(3).set_imm(5).set_off(2).push();
        code.left_shift(RbpfSource::Imm, Arch::X64).set_dst(3).set_imm(2).push();
        code.call().set_imm(5).push();
        code.bit_xor(RbpfSource::Reg, Arch::X64).set_dst(7).set_src(3).push();
    }
    code.exit().push();
    code.into_bytes().to_vec()
}

/// Ours: every slot read and proved to be an instruction.
fn decode(bytes: &[u8]) -> usize {
    let slots = RawInsn::read_all(bytes, Endian::Little);
    let (mut at, mut count) = (0, 0);
    while let Some(rest) = slots.get(at..).filter(|s| !s.is_empty()) {
        let (insn, n) = Insn::decode(rest).expect("an instruction");
        black_box(&insn);
        (at, count) = (at + n, count + 1);
    }
    count
}

/// rbpf: every slot split into its fields, of whatever meaning.
fn rbpf_decode(bytes: &[u8]) -> usize {
    let insns = rbpf::ebpf::to_insn_vec(bytes);
    insns.iter().for_each(|i| {
        black_box(i);
    });
    insns.len()
}

/// Ours: the text of the whole program, with helper names and labels.
fn disassemble(bytes: &[u8]) -> usize {
    let mut out = String::new();
    write!(out, "{}", Listing::new(&RawInsn::read_all(bytes, Endian::Little))).expect("writes");
    out.len()
}

/// rbpf: a text for each instruction, joined as its `disassemble` prints them.
fn rbpf_disassemble(bytes: &[u8]) -> usize {
    let mut out = String::new();
    for insn in rbpf::disassembler::to_insn_vec(bytes) {
        out.push_str(&insn.desc);
        out.push('\n');
    }
    out.len()
}

/// The best of several runs of both, in nanoseconds an instruction.
fn race(name: &str, count: usize, ours: &dyn Fn() -> usize, theirs: &dyn Fn() -> usize) -> bool {
    let (mut best_ours, mut best_theirs) = (f64::MAX, f64::MAX);
    let time = |f: &dyn Fn() -> usize| {
        let start = Instant::now();
        black_box(f());
        start.elapsed().as_secs_f64() * 1e9 / count as f64
    };
    for _ in 0..RUNS {
        best_ours = best_ours.min(time(ours));
        best_theirs = best_theirs.min(time(theirs));
    }
    println!("{name:12} {best_ours:8.1} {best_theirs:8.1} {:8.1}x", best_theirs / best_ours);
    best_ours < best_theirs
}

fn main() {
    let (bytes, same) = (ours(), rbpfs());
    assert!(bytes == same, "both builders write the same program");
    let count = bytes.len() / 8;
    println!("{count} instructions, ns an instruction\n{:12} {:>8} {:>8}", "", "rawbpf", "rbpf");
    let faster = [
        race("assemble", count, &|| ours().len(), &|| rbpfs().len()),
        race("decode", count, &|| decode(&bytes), &|| rbpf_decode(&bytes)),
        race("disassemble", count, &|| disassemble(&bytes), &|| rbpf_disassemble(&bytes)),
    ];
    assert!(faster.iter().all(|f| *f), "ours has to be the faster one");
}
