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

/// Something that is written in one piece. `write!` would do the same, for twice the time.
trait Piece {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result;
}

/// Writes pieces one after the other.
macro_rules! put {
    ($f:expr, $($piece:expr),* $(,)?) => {{
        $( Piece::put(&$piece, $f)?; )*
        Ok(())
    }};
}

/// Writes an instruction. A `name` stands in the place of a jump's distance, of whom a call calls, or of
/// what a `lddw` loads.
pub(super) fn show(f: &mut dyn fmt::Write, insn: Insn, name: Option<&dyn fmt::Display>) -> fmt::Result {
    match insn {
        Insn::Alu { width, op, dst, src } => {
            put!(f, part(width, dst), " ", op.sign(), " ", Operand(width, src))
        }
        Insn::Neg { width, dst } => put!(f, part(width, dst), " = -", part(width, dst)),
        Insn::MovSx { kind, dst, src } => {
            let (width, _) = kind.code();
            put!(f, part(width, dst), " = ", kind.sign(), part(width, src))
        }
        Insn::Swap { op, bits, dst } => put!(f, dst, " = ", op.sign(), Bits::sign(bits), " ", dst),
        Insn::AddrSpaceCast { cast, dst, src } => {
            put!(f, dst, " = addr_space_cast(", src, ", ", cast.sign(), ")")
        }
        Insn::Load { size, dst, src } => put!(f, dst, " = *(", unsigned(size), " *)", src),
        Insn::LoadSx { size, dst, src } => put!(f, dst, " = *(", signed(size), " *)", src),
        Insn::LoadPacket { size, index, off } => packet(f, size, index, off),
        Insn::LoadImm64 { dst, imm } => put!(f, dst, " = ", Named(name, &imm), " ll"),
        Insn::Store { size, dst, src } => {
            put!(f, "*(", unsigned(size), " *)", dst, " = ", Operand(Width::W64, src))
        }
        Insn::Atomic { op, width, dst, src } => atomic(f, op, width, dst, src),
        Insn::LoadAcquire { size, dst, src } => {
            put!(f, dst, " = load_acquire((", unsigned(size), " *)", src, ")")
        }
        Insn::StoreRelease { size, dst, src } => {
            put!(f, "store_release((", unsigned(size), " *)", dst, ", ", src, ")")
        }
        Insn::Jump { off } => put!(f, "goto ", Named(name, &Distance(off.into()))),
        Insn::JumpFar { off } => put!(f, "gotol ", Named(name, &Distance(off))),
        Insn::JumpIf { width, op, dst, src, off } => {
            put!(f, "if ", part(width, dst), " ", op.sign(), " ", Operand(width, src))?;
            put!(f, " goto ", Named(name, &Distance(off.into())))
        }
        Insn::MayGoto { off } => put!(f, "may_goto ", Named(name, &Distance(off.into()))),
        Insn::JumpReg { to } => put!(f, "gotox ", to),
        Insn::Call(callee) => put!(f, "call ", Named(name, &callee)),
        Insn::CallReg { to } => put!(f, "callx ", to),
        Insn::Exit => f.write_str("exit"),
    }
}

impl Piece for &str {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(self)
    }
}

impl Piece for Reg {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_str(names(self.number()).0)
    }
}

impl Piece for u32 {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        let mut digits = [0u8; 10];
        let mut rest = *self;
        let mut start = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            start = start.saturating_sub(1);
            if rest == 0 {
                break;
            }
        }
        f.write_str(digits.get(start..).and_then(|d| std::str::from_utf8(d).ok()).unwrap_or_default())
    }
}

impl Piece for i32 {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        if *self < 0 {
            f.write_str("-")?;
        }
        self.unsigned_abs().put(f)
    }
}

/// `(r1 + 4)`.
impl Piece for Mem {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        put!(f, "(", Plain(*self), ")")
    }
}

/// `r1 + 4`.
struct Plain(Mem);

impl Piece for Plain {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        let sign = if self.0.off < 0 { " - " } else { " + " };
        put!(f, self.0.base, sign, u32::from(self.0.off.unsigned_abs()))
    }
}

/// A name, or what it stands for.
struct Named<'a>(Option<&'a dyn fmt::Display>, &'a dyn fmt::Display);

impl Piece for Named<'_> {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        write!(f, "{}", self.0.unwrap_or(self.1))
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

impl Piece for Operand {
    fn put(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self.1 {
            Source::Reg(reg) => f.write_str(part(self.0, reg)),
            Source::Imm(imm) => imm.put(f),
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
    put!(f, "r0 = *(", unsigned(size.size()), " *)skb[")?;
    match index {
        None => put!(f, off, "]"),
        Some(reg) if off == 0 => put!(f, reg, "]"),
        Some(reg) => put!(f, reg, if off < 0 { " - " } else { " + " }, off.unsigned_abs(), "]"),
    }
}

fn atomic(f: &mut dyn fmt::Write, op: AtomicOp, width: Width, dst: Mem, src: Reg) -> fmt::Result {
    let (size, src, r0) = match width {
        Width::W32 => ("u32", part(width, src), "w0"),
        Width::W64 => ("u64", part(width, src), "r0"),
    };
    let name = op.sign();
    let suffix = if width == Width::W64 { "_64(" } else { "32_32(" };
    match op {
        AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => {
            put!(f, "lock *(", size, " *)", dst, " ", name, " ", src)
        }
        AtomicOp::FetchAdd | AtomicOp::FetchOr | AtomicOp::FetchAnd | AtomicOp::FetchXor => {
            put!(f, src, " = ", name, "((", size, " *)", dst, ", ", src, ")")
        }
        AtomicOp::Xchg => put!(f, src, " = ", name, suffix, Plain(dst), ", ", src, ")"),
        AtomicOp::CmpXchg => {
            put!(f, r0, " = ", name, suffix, Plain(dst), ", ", r0, ", ", src, ")")
        }
    }
}
