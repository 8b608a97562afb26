//! Every form of every instruction, over the operands where something could go wrong.

use rawbpf::insn::*;

/// Offsets at the edges of their field, and some from real programs.
pub(crate) const OFFS: [i16; 8] = [0, 1, -1, 4, -8, 255, i16::MIN, i16::MAX];

/// Immediates at the edges of their field, and some from real programs.
pub(crate) const IMMS: [i32; 10] = [0, 1, -1, 5, 16, 127, -128, 0xffff, i32::MIN, i32::MAX];

/// The second operands: every register and the immediates.
fn sources() -> impl Iterator<Item = Source> {
    Reg::ALL.into_iter().map(Source::Reg).chain(IMMS.into_iter().map(Source::Imm))
}

fn pairs() -> impl Iterator<Item = (Reg, Reg)> {
    Reg::ALL.into_iter().flat_map(|a| Reg::ALL.into_iter().map(move |b| (a, b)))
}

fn mems() -> impl Iterator<Item = (Reg, Mem)> {
    pairs().flat_map(|(a, base)| OFFS.into_iter().map(move |off| (a, Mem { base, off })))
}

const WIDTHS: [Width; 2] = [Width::W32, Width::W64];

/// How many instructions [`each`] has.
pub(crate) const COUNT: usize = 94_603;

/// One in how many instructions is looked at: all, but not in an emulated guest kernel, where no more can
/// be found out than on the host, and it takes its time.
pub(crate) fn thin() -> usize {
    if std::env::var_os("RAWBPF_GUEST").is_some() { 23 } else { 1 }
}

/// Calls `f` with every instruction, or one in [`thin`].
pub(crate) fn each(mut f: impl FnMut(Insn)) {
    let (mut count, step) = (0, thin());
    let mut f = |insn| {
        if count % step == 0 {
            f(insn);
        }
        count += 1;
    };
    arithmetic(&mut f);
    memory(&mut f);
    wide(&mut f);
    jumps(&mut f);
    assert_eq!(count, COUNT);
}

fn arithmetic(f: &mut impl FnMut(Insn)) {
    for (&op, width) in AluOp::ALL.iter().flat_map(|op| WIDTHS.map(|w| (op, w))) {
        for dst in Reg::ALL {
            sources().for_each(|src| f(Insn::Alu { width, op, dst, src }));
        }
    }
    for dst in Reg::ALL {
        WIDTHS.into_iter().for_each(|width| f(Insn::Neg { width, dst }));
        for &op in SwapOp::ALL {
            Bits::ALL.iter().for_each(|&bits| f(Insn::Swap { op, bits, dst }));
        }
    }
    for (dst, src) in pairs() {
        SignExtend::ALL.iter().for_each(|&kind| f(Insn::MovSx { kind, dst, src }));
        Cast::ALL.iter().for_each(|&cast| f(Insn::AddrSpaceCast { cast, dst, src }));
    }
}

fn memory(f: &mut impl FnMut(Insn)) {
    for (reg, mem) in mems() {
        for size in Size::ALL {
            f(Insn::Load { size, dst: reg, src: mem });
            f(Insn::Store { size, dst: mem, src: Source::Reg(reg) });
            f(Insn::LoadAcquire { size, dst: reg, src: mem });
            f(Insn::StoreRelease { size, dst: mem, src: reg });
        }
        Narrow::ALL.into_iter().for_each(|size| f(Insn::LoadSx { size, dst: reg, src: mem }));
        for &op in AtomicOp::ALL {
            WIDTHS.into_iter().for_each(|width| f(Insn::Atomic { op, width, dst: mem, src: reg }));
        }
    }
    for (base, off) in Reg::ALL.into_iter().flat_map(|r| OFFS.map(|off| (r, off))) {
        for (size, imm) in Size::ALL.into_iter().flat_map(|s| IMMS.map(|imm| (s, imm))) {
            f(Insn::Store { size, dst: Mem { base, off }, src: Source::Imm(imm) });
        }
    }
    for (size, off) in Narrow::ALL.into_iter().flat_map(|s| IMMS.map(|off| (s, off))) {
        f(Insn::LoadPacket { size, index: None, off });
        Reg::ALL.into_iter().for_each(|reg| f(Insn::LoadPacket { size, index: Some(reg), off }));
    }
}

fn wide(f: &mut impl FnMut(Insn)) {
    for dst in Reg::ALL {
        for low in IMMS {
            let ix = low as u32;
            for high in IMMS.map(|i| i as u32) {
                f(Insn::LoadImm64 { dst, imm: Imm64::Value(u64::from(high) << 32 | u64::from(ix)) });
                f(Insn::LoadImm64 { dst, imm: Imm64::MapValue { fd: low, off: high } });
                f(Insn::LoadImm64 { dst, imm: Imm64::MapIdxValue { ix, off: high } });
                f(Insn::LoadImm64 { dst, imm: Imm64::BtfId { id: ix, btf_fd: high as i32 } });
            }
            f(Insn::LoadImm64 { dst, imm: Imm64::MapFd(low) });
            f(Insn::LoadImm64 { dst, imm: Imm64::MapIdx(ix) });
            f(Insn::LoadImm64 { dst, imm: Imm64::Func { off: low } });
        }
    }
}

fn jumps(f: &mut impl FnMut(Insn)) {
    for off in OFFS {
        f(Insn::Jump { off });
        f(Insn::MayGoto { off });
        for (&op, width) in JmpOp::ALL.iter().flat_map(|op| WIDTHS.map(|w| (op, w))) {
            for dst in Reg::ALL {
                sources().for_each(|src| f(Insn::JumpIf { width, op, dst, src, off }));
            }
        }
    }
    for imm in IMMS {
        f(Insn::JumpFar { off: imm });
        f(Insn::Call(Callee::Local { off: imm }));
        f(Insn::Call(Callee::Helper(Helper(imm as u32))));
        for fd_ix in OFFS {
            f(Insn::Call(Callee::Kfunc { btf_id: imm as u32, fd_ix }));
        }
    }
    for to in Reg::ALL {
        f(Insn::JumpReg { to });
        f(Insn::CallReg { to });
    }
    f(Insn::Exit);
}
