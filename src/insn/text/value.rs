//! What stands behind `r1 =`: a register, memory, an operation, or what looks like the call of a function.

use super::address::{atomic_address, atomic_source, unsigned_address};
use super::cursor::{AnyReg, Cursor, Parse, looks_like_register};
use super::error::Fault;
use super::lex::Kind;
use super::parsed::Parsed;
use super::wide;
use crate::insn::{AluOp, AtomicOp, Bits, Cast, Insn, Narrow, R0, SignExtend, Size, Source, SwapOp, Width};

/// What stands behind `r1 =`.
pub(super) fn value(c: &mut Cursor<'_>, to: AnyReg, opcode: Option<u8>) -> Parse<Parsed> {
    let AnyReg { reg: dst, width } = to;
    match c.peek() {
        Some(Kind::Sign("*")) => load(c, to),
        Some(Kind::Sign("(")) => sign_extension(c, to),
        Some(Kind::Sign("-")) if !matches!(c.peek_at(1), Some(Kind::Number(_))) => {
            c.form("r1 = -r1");
            c.skip();
            same_register(c, to)?;
            Ok(Insn::Neg { width, dst }.into())
        }
        Some(Kind::Word(word)) if looks_like_register(word) => {
            let src = Source::Reg(c.reg_of(width)?);
            Ok(Insn::Alu { width, op: AluOp::Mov, dst, src }.into())
        }
        Some(Kind::Word(word)) => match swap(word) {
            Some((op, bits)) => {
                c.form("r1 = be16 r1");
                wide_only(c, to)?;
                c.skip();
                same_register(c, to)?;
                Ok(Insn::Swap { op, bits, dst }.into())
            }
            None if matches!(c.peek_at(1), Some(Kind::Sign("("))) => function_form(c, to, word),
            None => wide::load(c, to, opcode),
        },
        _ => wide::load(c, to, opcode),
    }
}

/// `be16`, `le64`, `bswap32`.
fn swap(word: &str) -> Option<(SwapOp, Bits)> {
    SwapOp::ALL.iter().find_map(|op| {
        let digits = word.strip_prefix(op.sign())?;
        Bits::ALL.iter().find(|bits| bits.sign() == digits).map(|bits| (*op, *bits))
    })
}

/// The register again that the instruction started with.
fn same_register(c: &mut Cursor<'_>, to: AnyReg) -> Parse<()> {
    let at = c.here();
    let again = c.reg_of(to.width)?;
    match again == to.reg {
        true => Ok(()),
        false => c.fault_at(at, "this operation works on one register: the same one is expected here"),
    }
}

pub(super) fn wide_only(c: &Cursor<'_>, to: AnyReg) -> Parse<()> {
    match to.width {
        Width::W64 => Ok(()),
        Width::W32 => Err(Fault::new(
            c.since(0),
            "this instruction writes a whole register",
            format!("write `{}` instead of `w{}`", to.reg, to.reg.number()),
        )),
    }
}

/// `*(u32 *)(r1 + 4)` or `*(u16 *)skb[12]`.
fn load(c: &mut Cursor<'_>, to: AnyReg) -> Parse<Parsed> {
    c.form("r0 = *(u32 *)(r1 + 4)");
    c.skip();
    if let Some(Kind::Word("skb")) = c.peek_at(4) {
        return packet_load(c, to);
    }
    let start = c.pos();
    let (size, signed, src) = c.typed_address()?;
    // LLVM uses the 32-bit name of the result where the bits above are zero anyway.
    if to.width == Width::W32 && (signed || size == Size::DW) {
        wide_only(c, to)?;
    }
    let dst = to.reg;
    match (signed, Narrow::from_size(size)) {
        (true, Some(size)) => Ok(Insn::LoadSx { size, dst, src }.into()),
        (true, None) => c.fault_at(c.since(start), "a load of 8 bytes has no sign to extend"),
        (false, _) => Ok(Insn::Load { size, dst, src }.into()),
    }
}

fn packet_load(c: &mut Cursor<'_>, to: AnyReg) -> Parse<Parsed> {
    c.form("r0 = *(u16 *)skb[12]");
    let start = c.pos();
    c.expect("(")?;
    let size = match c.pointer_type()? {
        (size, false) => Narrow::from_size(size),
        _ => None,
    };
    let Some(size) = size else { return c.fault_at(c.since(start), "packet loads are of u8, u16 or u32") };
    if to.reg != R0 {
        return c.fault_at(c.since(start), "the result of a packet load is in r0");
    }
    c.skip();
    c.expect("[")?;
    let index = c.maybe_reg().map(|r| r.reg);
    let off = match index {
        Some(_) if c.at_sign("]") => 0,
        Some(_) if !(c.at_sign("+") || c.at_sign("-")) => return c.expected("`+`, `-` or `]`"),
        // The verifier writes a negative offset as `r3 + -5`.
        Some(_) if matches!(c.peek_at(1), Some(Kind::Sign("-"))) && c.eat("+") => c.imm32(false)?,
        _ => c.imm32(false)?,
    };
    c.expect("]")?;
    Ok(Insn::LoadPacket { size, index, off }.into())
}

/// `(s8)r2`.
fn sign_extension(c: &mut Cursor<'_>, to: AnyReg) -> Parse<Parsed> {
    c.form("r1 = (s8)r2");
    let start = c.pos();
    c.expect("(")?;
    let cast = match c.peek() {
        Some(Kind::Word(word)) => format!("({word})"),
        _ => return c.expected("one of s8, s16, s32"),
    };
    c.skip();
    c.expect(")")?;
    let found = SignExtend::ALL.iter().find(|k| k.sign() == cast && k.code().0 == to.width);
    let Some(&kind) = found else {
        return c.fault_at(c.since(start), format!("no move extends a sign from `{cast}` to this width"));
    };
    let src = c.reg_of(to.width)?;
    Ok(Insn::MovSx { kind, dst: to.reg, src }.into())
}

/// The instructions that are written as the call of a function.
fn function_form(c: &mut Cursor<'_>, to: AnyReg, word: &str) -> Parse<Parsed> {
    match word {
        "addr_space_cast" => cast(c, to),
        "load_acquire" => {
            c.form("r1 = load_acquire((u32 *)(r2 + 0))");
            c.skip();
            c.expect("(")?;
            let (size, src) = unsigned_address(c)?;
            c.expect(")")?;
            if size == Size::DW {
                wide_only(c, to)?;
            }
            Ok(Insn::LoadAcquire { size, dst: to.reg, src }.into())
        }
        word => match atomic(word) {
            Some((op, width, typed)) => fetch(c, to, op, width, typed),
            None => wide::load(c, to, None),
        },
    }
}

fn cast(c: &mut Cursor<'_>, to: AnyReg) -> Parse<Parsed> {
    c.form("r1 = addr_space_cast(r2, 0, 1)");
    wide_only(c, to)?;
    c.skip();
    c.expect("(")?;
    let src = c.reg()?;
    c.expect(",")?;
    let start = c.pos();
    let into = c.number()?;
    c.expect(",")?;
    let from = c.number()?;
    let cast = match (into, from) {
        (0, 1) => Cast::ToKernel,
        (1, 0) => Cast::ToUser,
        _ => return c.fault_at(c.since(start), "the only casts are from 1 to 0 and from 0 to 1"),
    };
    c.expect(")")?;
    Ok(Insn::AddrSpaceCast { cast, dst: to.reg, src }.into())
}

/// The operation of a name; its width if the name says it, and whether its address has a type.
fn atomic(word: &str) -> Option<(AtomicOp, Option<Width>, bool)> {
    Some(match word {
        "xchg_64" => (AtomicOp::Xchg, Some(Width::W64), false),
        "xchg32_32" => (AtomicOp::Xchg, Some(Width::W32), false),
        "cmpxchg_64" => (AtomicOp::CmpXchg, Some(Width::W64), false),
        "cmpxchg32_32" => (AtomicOp::CmpXchg, Some(Width::W32), false),
        _ => {
            // The verifier's atomic64_fetch_add and atomic_fetch_add are LLVM's atomic_fetch_add.
            let name = word.strip_prefix("atomic64_").or_else(|| word.strip_prefix("atomic_"))?;
            let op = match name {
                "fetch_add" => AtomicOp::FetchAdd,
                "fetch_or" => AtomicOp::FetchOr,
                "fetch_and" => AtomicOp::FetchAnd,
                "fetch_xor" => AtomicOp::FetchXor,
                "xchg" => AtomicOp::Xchg,
                "cmpxchg" => AtomicOp::CmpXchg,
                _ => return None,
            };
            (op, None, true)
        }
    })
}

/// `r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)`, `r0 = cmpxchg_64(r1 + 0, r0, r2)` and their like.
fn fetch(c: &mut Cursor<'_>, to: AnyReg, op: AtomicOp, width: Option<Width>, typed: bool) -> Parse<Parsed> {
    c.form(match op {
        AtomicOp::CmpXchg => "r0 = cmpxchg_64(r1 + 0, r0, r2)",
        AtomicOp::Xchg => "r2 = xchg_64(r1 + 0, r2)",
        _ => "r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)",
    });
    c.skip();
    c.expect("(")?;
    let (width, dst) = match (typed, width) {
        (false, Some(width)) => (width, c.address()?),
        _ => atomic_address(c)?,
    };
    c.expect(",")?;
    if op == AtomicOp::CmpXchg {
        let at = c.here();
        let old = atomic_source(c, width)?;
        if (old, to.reg) != (R0, R0) {
            return c.fault_at(at, "the old value is compared with r0, and comes back in it");
        }
        c.expect(",")?;
    }
    let at = c.here();
    let src = atomic_source(c, width)?;
    c.expect(")")?;
    if op != AtomicOp::CmpXchg && src != to.reg {
        return c.fault_at(at, "the old value comes back in the same register");
    }
    Ok(Insn::Atomic { op, width, dst, src }.into())
}
