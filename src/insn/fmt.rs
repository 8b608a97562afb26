//! Instructions as assembly text, in the syntax of LLVM.
//!
//! This is what `llvm-objdump --no-print-imm-hex -d` prints, with two additions where LLVM's own text
//! would lose a difference. A call of a function of the same program has a sign (`call +5`), as a jump
//! has, so that it is not taken for helper 5. And a `lddw` that stands for something else than a number
//! is written in the words of RFC 9669, section 5.4: `r1 = map_by_fd(5) ll`.

use super::inst::{Callee, Imm64, Insn};
use super::op::{AtomicOp, Bits};
use super::reg::{Mem, Narrow, Reg, Size, Source, Width, names};
use std::fmt;

impl fmt::Display for Insn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, *self, None)
    }
}

/// Writes an instruction. A `name` stands in the place of a jump's distance, of whom a call calls, or of
/// what a `lddw` loads.
pub(super) fn show(f: &mut dyn fmt::Write, insn: Insn, name: Option<&dyn fmt::Display>) -> fmt::Result {
    match insn {
        Insn::Alu { width, op, dst, src } => {
            write!(f, "{} {} {}", part(width, dst), op.sign(), Operand(width, src))
        }
        Insn::Neg { width, dst } => write!(f, "{} = -{}", part(width, dst), part(width, dst)),
        Insn::MovSx { kind, dst, src } => {
            let (width, _) = kind.code();
            write!(f, "{} = {}{}", part(width, dst), kind.sign(), part(width, src))
        }
        Insn::Swap { op, bits, dst } => write!(f, "{dst} = {}{} {dst}", op.sign(), Bits::sign(bits)),
        Insn::AddrSpaceCast { cast, dst, src } => {
            write!(f, "{dst} = addr_space_cast({src}, {})", cast.sign())
        }
        Insn::Load { size, dst, src } => write!(f, "{dst} = *({} *){src}", unsigned(size)),
        Insn::LoadSx { size, dst, src } => write!(f, "{dst} = *({} *){src}", signed(size)),
        Insn::LoadPacket { size, index, off } => packet(f, size, index, off),
        Insn::LoadImm64 { dst, imm } => write!(f, "{dst} = {} ll", name.unwrap_or(&imm)),
        Insn::Store { size, dst, src } => {
            write!(f, "*({} *){dst} = {}", unsigned(size), Operand(Width::W64, src))
        }
        Insn::Atomic { op, width, dst, src } => atomic(f, op, width, dst, src),
        Insn::LoadAcquire { size, dst, src } => {
            write!(f, "{dst} = load_acquire(({} *){src})", unsigned(size))
        }
        Insn::StoreRelease { size, dst, src } => {
            write!(f, "store_release(({} *){dst}, {src})", unsigned(size))
        }
        Insn::Jump { off } => write!(f, "goto {}", name.unwrap_or(&Distance(off.into()))),
        Insn::JumpFar { off } => write!(f, "gotol {}", name.unwrap_or(&Distance(off))),
        Insn::JumpIf { width, op, dst, src, off } => {
            let (dst, src) = (part(width, dst), Operand(width, src));
            write!(f, "if {dst} {} {src} goto {}", op.sign(), name.unwrap_or(&Distance(off.into())))
        }
        Insn::MayGoto { off } => write!(f, "may_goto {}", name.unwrap_or(&Distance(off.into()))),
        Insn::JumpReg { to } => write!(f, "gotox {to}"),
        Insn::Call(callee) => write!(f, "call {}", name.unwrap_or(&callee)),
        Insn::CallReg { to } => write!(f, "callx {to}"),
        Insn::Exit => f.write_str("exit"),
    }
}

/// How far a jump or a call goes, in slots from the next instruction: always with its sign.
struct Distance(i32);

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+}", self.0)
    }
}

impl fmt::Display for Imm64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Imm64::Value(v) => write!(f, "{}", v as i64),
            Imm64::MapFd(fd) => write!(f, "map_by_fd({fd})"),
            Imm64::MapValue { fd, off } => write!(f, "map_val(map_by_fd({fd})) + {off}"),
            Imm64::BtfId { id, btf_fd: 0 } => write!(f, "var_addr({id})"),
            Imm64::BtfId { id, btf_fd } => write!(f, "var_addr({id}, {btf_fd})"),
            Imm64::Func { off } => write!(f, "code_addr({off:+})"),
            Imm64::MapIdx(ix) => write!(f, "map_by_idx({ix})"),
            Imm64::MapIdxValue { ix, off } => write!(f, "map_val(map_by_idx({ix})) + {off}"),
        }
    }
}

impl fmt::Display for Callee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Callee::Helper(helper) => write!(f, "{}", helper.0),
            Callee::Local { off } => write!(f, "{off:+}"),
            Callee::Kfunc { btf_id, fd_ix: 0 } => write!(f, "kfunc({btf_id})"),
            Callee::Kfunc { btf_id, fd_ix } => write!(f, "kfunc({btf_id}, {fd_ix})"),
        }
    }
}

/// A register under the name of a width: `r1`, or `w1` for its lower 32 bits.
fn part(width: Width, reg: Reg) -> &'static str {
    let (full, low) = names(reg.number());
    if width == Width::W64 { full } else { low }
}

/// A second operand, a register under the name of a width.
struct Operand(Width, Source);

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Source::Reg(reg) => f.write_str(part(self.0, reg)),
            Source::Imm(imm) => write!(f, "{imm}"),
        }
    }
}

/// The C type of a size, as assembly writes it.
pub(super) const fn unsigned(size: Size) -> &'static str {
    match size {
        Size::B => "u8",
        Size::H => "u16",
        Size::W => "u32",
        Size::DW => "u64",
    }
}

pub(super) const fn signed(size: Narrow) -> &'static str {
    match size {
        Narrow::B => "s8",
        Narrow::H => "s16",
        Narrow::W => "s32",
    }
}

fn packet(f: &mut dyn fmt::Write, size: Narrow, index: Option<Reg>, off: i32) -> fmt::Result {
    let size = unsigned(size.size());
    match index {
        None => write!(f, "r0 = *({size} *)skb[{off}]"),
        Some(reg) if off == 0 => write!(f, "r0 = *({size} *)skb[{reg}]"),
        Some(reg) => {
            let sign = if off < 0 { '-' } else { '+' };
            write!(f, "r0 = *({size} *)skb[{reg} {sign} {}]", off.unsigned_abs())
        }
    }
}

fn atomic(f: &mut dyn fmt::Write, op: AtomicOp, width: Width, dst: Mem, src: Reg) -> fmt::Result {
    let (size, src, r0) = match width {
        Width::W32 => ("u32", part(width, src), "w0"),
        Width::W64 => ("u64", part(width, src), "r0"),
    };
    let name = op.sign();
    match op {
        AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {
            write!(f, "lock *({size} *){dst} {name} {src}")
        }
        AtomicOp::FetchAdd | AtomicOp::FetchOr | AtomicOp::FetchAnd | AtomicOp::FetchXor => {
            write!(f, "{src} = {name}(({size} *){dst}, {src})")
        }
        AtomicOp::Xchg | AtomicOp::CmpXchg => {
            let sign = if dst.off < 0 { '-' } else { '+' };
            let (base, off) = (dst.base, dst.off.unsigned_abs());
            let suffix = if width == Width::W64 { "_64" } else { "32_32" };
            match op {
                AtomicOp::Xchg => write!(f, "{src} = {name}{suffix}({base} {sign} {off}, {src})"),
                _ => write!(f, "{r0} = {name}{suffix}({base} {sign} {off}, {r0}, {src})"),
            }
        }
    }
}
