//! From slots to an instruction, refusing everything that is not one.
//!
//! "Is not one" is strict: a field that an instruction does not use has to be zero, as RFC 9669 and the
//! verifier demand. So [`Insn::encode`] gives back the very bits that were decoded, and no two
//! different slots mean the same.

use super::Helper;
use super::encode::CAST_OFF;
use super::inst::{Callee, Imm64, Insn};
use super::op::{AluOp, AtomicOp, Bits, Cast, JmpOp, SignExtend, SwapOp};
use super::raw::{RawInsn, alu, atomic, class, jmp, mode, pseudo, source};
use super::reg::{Mem, Narrow, Reg, Size, Source, Width};
use std::fmt;

/// A part of a slot, for an error to name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// The destination register's number.
    Dst,
    /// The source register's number.
    Src,
    /// The 16-bit offset.
    Off,
    /// The 32-bit immediate.
    Imm,
    /// The first byte of a `lddw`'s second slot.
    NextOpcode,
    /// The immediate of a `lddw`'s second slot.
    NextImm,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Dst => "the destination register",
            Part::Src => "the source register",
            Part::Off => "the offset",
            Part::Imm => "the immediate",
            Part::NextOpcode => "the opcode of the second slot",
            Part::NextImm => "the immediate of the second slot",
        })
    }
}

/// Why slots are not an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is no slot.
    #[error("no instruction: the program ends here")]
    Empty,
    /// A `lddw` is the last slot.
    #[error("a 64-bit immediate load (0x18) takes two slots, but the program ends after the first")]
    Cut,
    /// No instruction has this opcode.
    #[error("opcode {0:#04x} is no instruction")]
    Opcode(u8),
    /// There are registers 0 to 10.
    #[error("opcode {opcode:#04x}: {field} is {number}; registers are 0 to 10")]
    Register {
        /// The opcode.
        opcode: u8,
        /// Which of the two.
        field: Part,
        /// What it says.
        number: u8,
    },
    /// A field that the instruction does not use is not zero.
    #[error("opcode {opcode:#04x}: {field} is {value}; this instruction keeps it zero")]
    Reserved {
        /// The opcode.
        opcode: u8,
        /// Which field.
        field: Part,
        /// What it says.
        value: i32,
    },
    /// A field names a variant of the operation that does not exist.
    #[error("opcode {opcode:#04x}: {field} is {value:#x}, which names no variant of this operation")]
    Variant {
        /// The opcode.
        opcode: u8,
        /// Which field.
        field: Part,
        /// What it says.
        value: i32,
    },
}

type Result<T> = std::result::Result<T, DecodeError>;

impl Insn {
    /// Decodes the instruction that starts at the first slot, and says how many slots it takes.
    ///
    /// ```
    /// use rawbpf::insn::{DecodeError, Part, Insn, RawInsn};
    /// let exit = RawInsn { opcode: 0x95, ..RawInsn::default() };
    /// assert_eq!(Insn::decode(&[exit]), Ok((Insn::Exit, 1)));
    /// let odd = RawInsn { imm: 7, ..exit };
    /// assert_eq!(
    ///     Insn::decode(&[odd]),
    ///     Err(DecodeError::Reserved { opcode: 0x95, field: Part::Imm, value: 7 }),
    /// );
    /// ```
    ///
    /// # Errors
    /// [`DecodeError`] says which field of the slot is wrong.
    // Inlined, all of it: a result that has to be copied costs more than the decoding.
    #[inline(always)]
    pub fn decode(at: &[RawInsn]) -> Result<(Insn, usize)> {
        let (&raw, rest) = at.split_first().ok_or(DecodeError::Empty)?;
        let insn = match raw.class() {
            class::ALU => alu_insn(raw, Width::W32)?,
            class::ALU64 => alu_insn(raw, Width::W64)?,
            class::JMP => jump_insn(raw, Width::W64)?,
            class::JMP32 => jump_insn(raw, Width::W32)?,
            class::LDX => load_insn(raw)?,
            class::ST | class::STX => store_insn(raw)?,
            _ if raw.is_lddw() => return Ok((lddw(raw, rest)?, 2)),
            _ => packet_insn(raw)?,
        };
        Ok((insn, 1))
    }
}

#[inline(always)]
fn alu_insn(raw: RawInsn, width: Width) -> Result<Insn> {
    match raw.op() {
        alu::NEG if raw.opcode & source::X == 0 => {
            zero(raw, &[Part::Src, Part::Off, Part::Imm])?;
            Ok(Insn::Neg { width, dst: dst(raw)? })
        }
        alu::END => swap_insn(raw, width),
        alu::MOV if raw.opcode & source::X != 0 && raw.off != 0 => move_insn(raw, width),
        _ => {
            let op = alu_op(raw)?;
            Ok(Insn::Alu { width, op, dst: dst(raw)?, src: operand(raw)? })
        }
    }
}

/// The operations by the high four bits of their opcode, as [`AluOp`]'s own table has them; `NEG` and
/// `END` are decoded elsewhere. A table is quicker to look into than a `match` is to walk through.
const ALU_OPS: [Option<AluOp>; 16] = {
    let mut table = [None; 16];
    let mut ix = 0;
    while ix < AluOp::ALL.len() {
        let op = AluOp::ALL[ix];
        if let (code, 0) = op.code() {
            table[code as usize >> 4] = Some(op);
        }
        ix += 1;
    }
    table
};

#[inline(always)]
fn alu_op(raw: RawInsn) -> Result<AluOp> {
    let plain = ALU_OPS.get(usize::from(raw.op() >> 4)).copied().flatten();
    match (plain, raw.off) {
        (Some(op), 0) => Ok(op),
        (Some(AluOp::Div), 1) => Ok(AluOp::Sdiv),
        (Some(AluOp::Mod), 1) => Ok(AluOp::Smod),
        (Some(AluOp::Div | AluOp::Mod), _) => Err(variant(raw, Part::Off)),
        (Some(_), _) => Err(reserved(raw, Part::Off)),
        (None, _) => Err(DecodeError::Opcode(raw.opcode)),
    }
}

#[inline(always)]
fn swap_insn(raw: RawInsn, width: Width) -> Result<Insn> {
    let op = match (width, raw.opcode & source::X) {
        (Width::W32, source::K) => SwapOp::Le,
        (Width::W32, _) => SwapOp::Be,
        (Width::W64, source::K) => SwapOp::Swap,
        (Width::W64, _) => return Err(DecodeError::Opcode(raw.opcode)),
    };
    zero(raw, &[Part::Src, Part::Off])?;
    let bits = match raw.imm {
        16 => Bits::B16,
        32 => Bits::B32,
        64 => Bits::B64,
        _ => return Err(variant(raw, Part::Imm)),
    };
    Ok(Insn::Swap { op, bits, dst: dst(raw)? })
}

/// A register move whose offset field is not zero: it extends a sign or casts an address.
#[inline(always)]
fn move_insn(raw: RawInsn, width: Width) -> Result<Insn> {
    let (dst, src) = (dst(raw)?, src(raw)?);
    let kind = match (width, raw.off) {
        (Width::W32, 8) => SignExtend::S8To32,
        (Width::W32, 16) => SignExtend::S16To32,
        (Width::W64, 8) => SignExtend::S8To64,
        (Width::W64, 16) => SignExtend::S16To64,
        (Width::W64, 32) => SignExtend::S32To64,
        (Width::W64, CAST_OFF) => {
            let to = Cast::ALL.iter().copied().find(|c| c.code() == raw.imm);
            let cast = to.ok_or(variant(raw, Part::Imm))?;
            return Ok(Insn::AddrSpaceCast { cast, dst, src });
        }
        _ => return Err(variant(raw, Part::Off)),
    };
    zero(raw, &[Part::Imm])?;
    Ok(Insn::MovSx { kind, dst, src })
}

#[inline(always)]
fn jump_insn(raw: RawInsn, width: Width) -> Result<Insn> {
    match JMP_OPS.get(usize::from(raw.op() >> 4)).copied().flatten() {
        Some(op) => Ok(Insn::JumpIf { width, op, dst: dst(raw)?, src: operand(raw)?, off: raw.off }),
        None => leave_insn(raw, width),
    }
}

/// The jumps without a condition, calls and exit.
#[inline(always)]
fn leave_insn(raw: RawInsn, width: Width) -> Result<Insn> {
    let by_register = raw.opcode & source::X != 0;
    match (raw.op(), width, by_register) {
        (jmp::JA, Width::W64, false) => {
            zero(raw, &[Part::Dst, Part::Src, Part::Imm])?;
            Ok(Insn::Jump { off: raw.off })
        }
        (jmp::JA, Width::W32, false) => {
            zero(raw, &[Part::Dst, Part::Src, Part::Off])?;
            Ok(Insn::JumpFar { off: raw.imm })
        }
        (jmp::JA, Width::W64, true) => {
            zero(raw, &[Part::Src, Part::Off, Part::Imm])?;
            Ok(Insn::JumpReg { to: dst(raw)? })
        }
        (jmp::CALL, Width::W64, false) => call_insn(raw),
        (jmp::CALL, Width::W64, true) => {
            zero(raw, &[Part::Src, Part::Off, Part::Imm])?;
            Ok(Insn::CallReg { to: dst(raw)? })
        }
        (jmp::EXIT, Width::W64, false) => {
            zero(raw, &[Part::Dst, Part::Src, Part::Off, Part::Imm])?;
            Ok(Insn::Exit)
        }
        (jmp::JCOND, Width::W64, false) if raw.src != 0 => Err(variant(raw, Part::Src)),
        (jmp::JCOND, Width::W64, false) => {
            zero(raw, &[Part::Dst, Part::Imm])?;
            Ok(Insn::MayGoto { off: raw.off })
        }
        _ => Err(DecodeError::Opcode(raw.opcode)),
    }
}

/// The conditions by the high four bits of their opcode.
const JMP_OPS: [Option<JmpOp>; 16] = {
    let mut table = [None; 16];
    let mut ix = 0;
    while ix < JmpOp::ALL.len() {
        let op = JmpOp::ALL[ix];
        table[op.code() as usize >> 4] = Some(op);
        ix += 1;
    }
    table
};

#[inline(always)]
fn call_insn(raw: RawInsn) -> Result<Insn> {
    zero(raw, &[Part::Dst])?;
    let callee = match raw.src {
        0 => Callee::Helper(Helper(raw.imm as u32)),
        pseudo::CALL => Callee::Local { off: raw.imm },
        pseudo::KFUNC_CALL => {
            return Ok(Insn::Call(Callee::Kfunc { btf_id: raw.imm as u32, fd_ix: raw.off }));
        }
        _ => return Err(variant(raw, Part::Src)),
    };
    zero(raw, &[Part::Off])?;
    Ok(Insn::Call(callee))
}

#[inline(always)]
fn load_insn(raw: RawInsn) -> Result<Insn> {
    let size = Size::from_code(raw.opcode);
    let narrow = Narrow::from_size(size);
    let (dst, src) = match (raw.mode(), narrow) {
        (mode::MEM, _) | (mode::MEMSX, Some(_)) => (dst(raw)?, mem(src(raw)?, raw)),
        _ => return Err(DecodeError::Opcode(raw.opcode)),
    };
    zero(raw, &[Part::Imm])?;
    Ok(match narrow {
        Some(size) if raw.mode() == mode::MEMSX => Insn::LoadSx { size, dst, src },
        _ => Insn::Load { size, dst, src },
    })
}

#[inline(always)]
fn store_insn(raw: RawInsn) -> Result<Insn> {
    let size = Size::from_code(raw.opcode);
    match (raw.class(), raw.mode()) {
        (class::ST, mode::MEM) => {
            zero(raw, &[Part::Src])?;
            Ok(Insn::Store { size, dst: mem(dst(raw)?, raw), src: Source::Imm(raw.imm) })
        }
        (class::STX, mode::MEM) => {
            zero(raw, &[Part::Imm])?;
            Ok(Insn::Store { size, dst: mem(dst(raw)?, raw), src: Source::Reg(src(raw)?) })
        }
        (class::STX, mode::ATOMIC) => atomic_insn(raw, size),
        _ => Err(DecodeError::Opcode(raw.opcode)),
    }
}

fn atomic_insn(raw: RawInsn, size: Size) -> Result<Insn> {
    let (dst, src) = (dst(raw)?, src(raw)?);
    let width = match (raw.imm, size) {
        (atomic::LOAD_ACQ, _) => return Ok(Insn::LoadAcquire { size, dst, src: mem(src, raw) }),
        (atomic::STORE_REL, _) => return Ok(Insn::StoreRelease { size, dst: mem(dst, raw), src }),
        (_, Size::W) => Width::W32,
        (_, Size::DW) => Width::W64,
        (_, Size::B | Size::H) => return Err(variant(raw, Part::Imm)),
    };
    let op = AtomicOp::ALL.iter().copied().find(|op| op.code() == raw.imm);
    let op = op.ok_or(variant(raw, Part::Imm))?;
    Ok(Insn::Atomic { op, width, dst: mem(dst, raw), src })
}

#[inline(always)]
fn packet_insn(raw: RawInsn) -> Result<Insn> {
    let no_such = DecodeError::Opcode(raw.opcode);
    let size = Narrow::from_size(Size::from_code(raw.opcode)).ok_or(no_such)?;
    let index = match raw.mode() {
        mode::ABS => {
            zero(raw, &[Part::Src])?;
            None
        }
        mode::IND => Some(src(raw)?),
        _ => return Err(no_such),
    };
    zero(raw, &[Part::Dst, Part::Off])?;
    Ok(Insn::LoadPacket { size, index, off: raw.imm })
}

#[inline(always)]
fn lddw(raw: RawInsn, rest: &[RawInsn]) -> Result<Insn> {
    let dst = dst(raw)?;
    zero(raw, &[Part::Off])?;
    let next = *rest.first().ok_or(DecodeError::Cut)?;
    if next.opcode != 0 {
        let value = i32::from(next.opcode);
        return Err(DecodeError::Reserved { opcode: raw.opcode, field: Part::NextOpcode, value });
    }
    zero(next, &[Part::Dst, Part::Src, Part::Off])?;
    let (low, high) = (raw.imm as u32, next.imm as u32);
    let imm = match raw.src {
        0 => return Ok(Insn::LoadImm64 { dst, imm: Imm64::Value(u64::from(high) << 32 | u64::from(low)) }),
        pseudo::MAP_VALUE => {
            return Ok(Insn::LoadImm64 { dst, imm: Imm64::MapValue { fd: raw.imm, off: high } });
        }
        pseudo::MAP_IDX_VALUE => {
            return Ok(Insn::LoadImm64 { dst, imm: Imm64::MapIdxValue { ix: low, off: high } });
        }
        pseudo::BTF_ID => {
            return Ok(Insn::LoadImm64 { dst, imm: Imm64::BtfId { id: low, btf_fd: next.imm } });
        }
        pseudo::MAP_FD => Imm64::MapFd(raw.imm),
        pseudo::FUNC => Imm64::Func { off: raw.imm },
        pseudo::MAP_IDX => Imm64::MapIdx(low),
        _ => return Err(variant(raw, Part::Src)),
    };
    match next.imm {
        0 => Ok(Insn::LoadImm64 { dst, imm }),
        value => Err(DecodeError::Reserved { opcode: raw.opcode, field: Part::NextImm, value }),
    }
}

/// The second operand of arithmetic or of a jump, and the check of the field that it leaves unused.
#[inline(always)]
fn operand(raw: RawInsn) -> Result<Source> {
    if raw.opcode & source::X != 0 {
        if raw.imm != 0 {
            return Err(reserved(raw, Part::Imm));
        }
        Ok(Source::Reg(src(raw)?))
    } else {
        if raw.src != 0 {
            return Err(reserved(raw, Part::Src));
        }
        Ok(Source::Imm(raw.imm))
    }
}

#[inline(always)]
fn dst(raw: RawInsn) -> Result<Reg> {
    Reg::new(raw.dst).ok_or(DecodeError::Register { opcode: raw.opcode, field: Part::Dst, number: raw.dst })
}

#[inline(always)]
fn src(raw: RawInsn) -> Result<Reg> {
    Reg::new(raw.src).ok_or(DecodeError::Register { opcode: raw.opcode, field: Part::Src, number: raw.src })
}

#[inline(always)]
fn mem(base: Reg, raw: RawInsn) -> Mem {
    Mem { base, off: raw.off }
}

fn value(raw: RawInsn, field: Part) -> i32 {
    match field {
        Part::Dst => i32::from(raw.dst),
        Part::Src => i32::from(raw.src),
        Part::Off => i32::from(raw.off),
        Part::NextOpcode => i32::from(raw.opcode),
        Part::Imm | Part::NextImm => raw.imm,
    }
}

/// Checks that fields which the instruction does not use are zero.
#[inline(always)]
fn zero(raw: RawInsn, fields: &[Part]) -> Result<()> {
    match fields.iter().find(|&&f| value(raw, f) != 0) {
        None => Ok(()),
        Some(&field) => Err(reserved(raw, field)),
    }
}

#[cold]
fn reserved(raw: RawInsn, field: Part) -> DecodeError {
    DecodeError::Reserved { opcode: raw.opcode, field, value: value(raw, field) }
}

#[cold]
fn variant(raw: RawInsn, field: Part) -> DecodeError {
    DecodeError::Variant { opcode: raw.opcode, field, value: value(raw, field) }
}
