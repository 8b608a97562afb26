//! Moves of a number, and `lddw`: a number of 64 bits, or what stands for an address until the load.

use super::cursor::{AnyReg, Cursor, Parse};
use super::lex::Kind;
use super::parsed::{Goal, Parsed};
use super::value::wide_only;
use crate::insn::{AluOp, Imm64, Insn, Reg};

/// The opcode of `lddw`, as the verifier's log puts it before the instruction.
const LDDW: u8 = 0x18;

/// What stands behind `r1 =` if it is no register, memory or operation.
pub(super) fn load(c: &mut Cursor<'_>, to: AnyReg, opcode: Option<u8>) -> Parse<Parsed> {
    c.form("r1 = 5");
    let start = c.pos();
    if c.number().is_err() {
        return reference(c, to, opcode);
    }
    // Read again with the limits of what it turns out to be.
    if c.eat_word("ll") || opcode == Some(LDDW) {
        wide_only(c, to)?;
        c.back(start);
        let value = c.number()?;
        c.eat_word("ll");
        let bits = i64::try_from(value).map(|v| v as u64).or_else(|_| u64::try_from(value));
        let Ok(bits) = bits else { return c.fault_at(c.since(start), "this does not fit 64 bits") };
        return Ok(Insn::LoadImm64 { dst: to.reg, imm: Imm64::Value(bits) }.into());
    }
    c.back(start);
    let src = c.operand(to.width, false)?;
    Ok(Insn::Alu { width: to.width, op: AluOp::Mov, dst: to.reg, src }.into())
}

/// A name or one of the forms of RFC 9669, and `ll` behind it.
fn reference(c: &mut Cursor<'_>, to: AnyReg, opcode: Option<u8>) -> Parse<Parsed> {
    c.form("r1 = packet_count_map ll");
    wide_only(c, to)?;
    let start = c.pos();
    let function = match (c.peek(), c.peek_at(1)) {
        (Some(Kind::Word(word)), Some(Kind::Sign("(" | "["))) => *word,
        _ => "",
    };
    let mut parsed = match function {
        "map_by_fd" | "map_by_idx" => plain_map(c, to.reg, function)?,
        "map_val" => map_value(c, to.reg, start)?,
        "var_addr" => variable(c, to.reg, start)?,
        "code_addr" => address(c, to.reg, start)?,
        "map" => verifier_map(c, to.reg)?,
        "subprog" => {
            c.form("r1 = subprog[+3]");
            c.skip();
            c.expect("[")?;
            let off = c.fit("32 bits")?;
            c.expect("]")?;
            Insn::LoadImm64 { dst: to.reg, imm: Imm64::Func { off } }.into()
        }
        _ => {
            let name = c.name()?;
            let insn = Insn::LoadImm64 { dst: to.reg, imm: Imm64::MapFd(0) };
            Parsed { insn, goal: Some((Goal::Wide(name), c.since(start))) }
        }
    };
    let written = c.eat_word("ll");
    if !written && opcode != Some(LDDW) && !matches!(function, "map" | "subprog") {
        parsed.goal = None;
        return c.expected("`ll`");
    }
    Ok(parsed)
}

/// `map_by_fd(5)`, `map_by_idx(0)`.
fn plain_map(c: &mut Cursor<'_>, dst: Reg, function: &str) -> Parse<Parsed> {
    c.form("r1 = map_by_fd(5) ll");
    c.skip();
    c.expect("(")?;
    let imm = match function {
        "map_by_fd" => Imm64::MapFd(c.fit("an fd")?),
        _ => Imm64::MapIdx(c.fit("an index")?),
    };
    c.expect(")")?;
    Ok(Insn::LoadImm64 { dst, imm }.into())
}

/// `map_val(NAME) + 8`, `map_val(map_by_fd(5)) + 8`.
fn map_value(c: &mut Cursor<'_>, dst: Reg, start: usize) -> Parse<Parsed> {
    c.form("r1 = map_val(hits) + 8 ll");
    c.skip();
    c.expect("(")?;
    let inner = match (c.peek(), c.peek_at(1)) {
        (Some(Kind::Word(word @ ("map_by_fd" | "map_by_idx"))), Some(Kind::Sign("("))) => {
            Ok(plain_map(c, dst, word)?.insn)
        }
        _ => Err(c.name()?),
    };
    c.expect(")")?;
    let off = if c.at_sign("+") { c.fit("an offset of 32 bits")? } else { 0 };
    match inner {
        Ok(Insn::LoadImm64 { imm: Imm64::MapIdx(ix), .. }) => {
            Ok(Insn::LoadImm64 { dst, imm: Imm64::MapIdxValue { ix, off } }.into())
        }
        Ok(Insn::LoadImm64 { imm: Imm64::MapFd(fd), .. }) => {
            Ok(Insn::LoadImm64 { dst, imm: Imm64::MapValue { fd, off } }.into())
        }
        Ok(other) => Ok(other.into()),
        Err(name) => {
            let insn = Insn::LoadImm64 { dst, imm: Imm64::MapValue { fd: 0, off } };
            Ok(Parsed { insn, goal: Some((Goal::MapValue(name, off), c.since(start))) })
        }
    }
}

/// `var_addr(NAME)`, `var_addr(ID)`, `var_addr(ID, BTF_FD)`.
fn variable(c: &mut Cursor<'_>, dst: Reg, start: usize) -> Parse<Parsed> {
    c.form("r1 = var_addr(bpf_prog_active) ll");
    c.skip();
    c.expect("(")?;
    if let Some(Kind::Word(_) | Kind::Text(_)) = c.peek() {
        let goal = Goal::Ksym(c.name()?);
        c.expect(")")?;
        let insn = Insn::LoadImm64 { dst, imm: Imm64::BtfId { id: 0, btf_fd: 0 } };
        return Ok(Parsed { insn, goal: Some((goal, c.since(start))) });
    }
    let id = c.fit("a BTF id")?;
    let btf_fd = if c.eat(",") { c.fit("an fd")? } else { 0 };
    c.expect(")")?;
    Ok(Insn::LoadImm64 { dst, imm: Imm64::BtfId { id, btf_fd } }.into())
}

/// `code_addr(NAME)`, `code_addr(+4)`, `code_addr(extern(NAME))`.
fn address(c: &mut Cursor<'_>, dst: Reg, start: usize) -> Parse<Parsed> {
    c.form("r2 = code_addr(callback) ll");
    c.skip();
    c.expect("(")?;
    if c.at_sign("+") || c.at_sign("-") {
        let off = c.fit("32 bits")?;
        c.expect(")")?;
        return Ok(Insn::LoadImm64 { dst, imm: Imm64::Func { off } }.into());
    }
    let external = matches!(c.peek_at(1), Some(Kind::Sign("("))) && c.eat_word("extern");
    if external {
        c.expect("(")?;
    }
    let name = c.name()?;
    if external {
        c.expect(")")?;
    }
    c.expect(")")?;
    let goal = if external { Goal::ExternAddress(name) } else { Goal::Address(name) };
    let insn = Insn::LoadImm64 { dst, imm: Imm64::Func { off: -1 } };
    Ok(Parsed { insn, goal: Some((goal, c.since(start))) })
}

/// The verifier's `map[id:5]` and `map[id:5][0]+8`. The number is taken for an fd.
fn verifier_map(c: &mut Cursor<'_>, dst: Reg) -> Parse<Parsed> {
    c.form("r1 = map[id:5]");
    c.skip();
    c.expect("[")?;
    if !(c.eat_word("id") || c.eat_word("fd")) {
        return c.expected("`id:`");
    }
    c.expect(":")?;
    let fd = c.fit("an id")?;
    c.expect("]")?;
    if !c.eat("[") {
        return Ok(Insn::LoadImm64 { dst, imm: Imm64::MapFd(fd) }.into());
    }
    c.number()?;
    c.expect("]")?;
    let off = if c.at_sign("+") { c.fit("an offset of 32 bits")? } else { 0 };
    Ok(Insn::LoadImm64 { dst, imm: Imm64::MapValue { fd, off } }.into())
}
