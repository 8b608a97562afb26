//! From an instruction to its slots. Every [`Insn`] has an encoding, so nothing here can fail.

use super::inst::{Callee, Imm64, Insn};
use super::raw::{RawInsn, alu, atomic, class, jmp, mode, pseudo, size, source};
use super::reg::{Mem, Reg, Size, Source, Width};
use std::ops::Deref;

/// The one or two slots of an encoded instruction; it reads as a slice of [`RawInsn`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Encoded {
    slots: [RawInsn; 2],
    wide: bool,
}

impl Encoded {
    /// The slots: the only one, or the two of a `lddw`.
    #[inline(always)]
    pub(super) fn into_slots(self) -> (RawInsn, Option<RawInsn>) {
        let [first, second] = self.slots;
        (first, self.wide.then_some(second))
    }
}

impl Deref for Encoded {
    type Target = [RawInsn];
    fn deref(&self) -> &[RawInsn] {
        let [first, _] = &self.slots;
        if self.wide { &self.slots } else { std::slice::from_ref(first) }
    }
}

impl From<RawInsn> for Encoded {
    #[inline]
    fn from(only: RawInsn) -> Encoded {
        Encoded { slots: [only, RawInsn { opcode: 0, dst: 0, src: 0, off: 0, imm: 0 }], wide: false }
    }
}

impl Insn {
    /// The instruction's slots: two for `lddw`, one for every other.
    ///
    /// ```
    /// use rawbpf::insn::{Imm64, Insn, R1};
    /// let wide = Insn::LoadImm64 { dst: R1, imm: Imm64::Value(0x1122_3344_5566_7788) }.encode();
    /// assert_eq!(wide.len(), 2);
    /// assert_eq!((wide[0].opcode, wide[0].imm), (0x18, 0x5566_7788));
    /// assert_eq!((wide[1].opcode, wide[1].imm), (0x00, 0x1122_3344));
    /// ```
    #[inline(always)]
    pub fn encode(self) -> Encoded {
        match self {
            Insn::Alu { width, op, dst, src } => {
                let (bits, off) = op.code();
                with_source(alu_class(width) | bits, dst, src, off)
            }
            Insn::Neg { width, dst } => one(alu_class(width) | alu::NEG, dst.number(), 0, 0, 0),
            Insn::MovSx { kind, dst, src } => {
                let (width, off) = kind.code();
                one(alu_class(width) | alu::MOV | source::X, dst.number(), src.number(), off, 0)
            }
            Insn::Swap { op, bits, dst } => one(op.code(), dst.number(), 0, 0, bits.code()),
            Insn::AddrSpaceCast { cast, dst, src } => {
                one(class::ALU64 | alu::MOV | source::X, dst.number(), src.number(), CAST_OFF, cast.code())
            }
            Insn::Load { size, dst, src } => load(mode::MEM, size, dst, src),
            Insn::LoadSx { size, dst, src } => load(mode::MEMSX, size.size(), dst, src),
            Insn::LoadPacket { size, index, off } => {
                let (mode, src) = index.map_or((mode::ABS, 0), |r| (mode::IND, r.number()));
                one(class::LD | mode | size.size().code(), 0, src, 0, off)
            }
            Insn::LoadImm64 { dst, imm } => lddw(dst, imm),
            Insn::Store { size, dst, src } => store(size, dst, src),
            Insn::Atomic { op, width, dst, src } => {
                let size = if width == Width::W64 { Size::DW } else { Size::W };
                atomically(size, op.code(), dst.base, src, dst.off)
            }
            Insn::LoadAcquire { size, dst, src } => {
                atomically(size, atomic::LOAD_ACQ, dst, src.base, src.off)
            }
            Insn::StoreRelease { size, dst, src } => {
                atomically(size, atomic::STORE_REL, dst.base, src, dst.off)
            }
            Insn::Jump { off } => one(class::JMP | jmp::JA, 0, 0, off, 0),
            Insn::JumpFar { off } => one(class::JMP32 | jmp::JA, 0, 0, 0, off),
            Insn::JumpIf { width, op, dst, src, off } => {
                let class = if width == Width::W64 { class::JMP } else { class::JMP32 };
                with_source(class | op.code(), dst, src, off)
            }
            Insn::MayGoto { off } => one(class::JMP | jmp::JCOND, 0, 0, off, 0),
            Insn::JumpReg { to } => one(class::JMP | jmp::JA | source::X, to.number(), 0, 0, 0),
            Insn::Call(callee) => call(callee),
            Insn::CallReg { to } => one(class::JMP | jmp::CALL | source::X, to.number(), 0, 0, 0),
            Insn::Exit => one(class::JMP | jmp::EXIT, 0, 0, 0, 0),
        }
    }
}

/// What the `off` field of a register move says when it casts an address (`BPF_ADDR_SPACE_CAST`).
pub(super) const CAST_OFF: i16 = 1;

#[inline(always)]
fn one(opcode: u8, dst: u8, src: u8, off: i16, imm: i32) -> Encoded {
    RawInsn { opcode, dst, src, off, imm }.into()
}

#[inline(always)]
fn with_source(opcode: u8, dst: Reg, src: Source, off: i16) -> Encoded {
    match src {
        Source::Reg(src) => one(opcode | source::X, dst.number(), src.number(), off, 0),
        Source::Imm(imm) => one(opcode | source::K, dst.number(), 0, off, imm),
    }
}

const fn alu_class(width: Width) -> u8 {
    match width {
        Width::W32 => class::ALU,
        Width::W64 => class::ALU64,
    }
}

#[inline(always)]
fn load(mode: u8, size: Size, dst: Reg, src: Mem) -> Encoded {
    one(class::LDX | mode | size.code(), dst.number(), src.base.number(), src.off, 0)
}

#[inline(always)]
fn store(size: Size, dst: Mem, src: Source) -> Encoded {
    let bits = mode::MEM | size.code();
    match src {
        Source::Reg(src) => one(class::STX | bits, dst.base.number(), src.number(), dst.off, 0),
        Source::Imm(imm) => one(class::ST | bits, dst.base.number(), 0, dst.off, imm),
    }
}

#[inline(always)]
fn atomically(size: Size, op: i32, dst: Reg, src: Reg, off: i16) -> Encoded {
    one(class::STX | mode::ATOMIC | size.code(), dst.number(), src.number(), off, op)
}

#[inline(always)]
fn lddw(dst: Reg, imm: Imm64) -> Encoded {
    let (src, low, high) = match imm {
        Imm64::Value(v) => (0, v as i32, (v >> 32) as i32),
        Imm64::MapFd(fd) => (pseudo::MAP_FD, fd, 0),
        Imm64::MapValue { fd, off } => (pseudo::MAP_VALUE, fd, off as i32),
        Imm64::BtfId { id, btf_fd } => (pseudo::BTF_ID, id as i32, btf_fd),
        Imm64::Func { off } => (pseudo::FUNC, off, 0),
        Imm64::MapIdx(ix) => (pseudo::MAP_IDX, ix as i32, 0),
        Imm64::MapIdxValue { ix, off } => (pseudo::MAP_IDX_VALUE, ix as i32, off as i32),
    };
    let opcode = class::LD | mode::IMM | size::DW;
    let first = RawInsn { opcode, dst: dst.number(), src, off: 0, imm: low };
    let second = RawInsn { opcode: 0, dst: 0, src: 0, off: 0, imm: high };
    Encoded { slots: [first, second], wide: true }
}

#[inline(always)]
fn call(callee: Callee) -> Encoded {
    let (src, off, imm) = match callee {
        Callee::Helper(helper) => (0, 0, helper.0 as i32),
        Callee::Local { off } => (pseudo::CALL, 0, off),
        Callee::Kfunc { btf_id, fd_ix } => (pseudo::KFUNC_CALL, fd_ix, btf_id as i32),
    };
    one(class::JMP | jmp::CALL, 0, src, off, imm)
}
