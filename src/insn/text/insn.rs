//! One instruction: the syntax of LLVM, and where the kernel's verifier writes it otherwise, that too.
//!
//! ```text
//!   LLVM                                   the verifier
//!   goto +3                                goto pc+3
//!   r0 = *(u32 *)(r1 + 4)                  r0 = *(u32 *)(r1 +4)
//!   if r1 == -1 goto +3                    if r1 == 0xffffffff goto pc+3
//!   r2 = xchg_64(r1 + 8, r2)               r2 = atomic64_xchg((u64 *)(r1 +8), r2)
//!   call 1                                 call bpf_map_lookup_elem#1
//! ```

use super::address::{atomic_address, atomic_source, unsigned_address};
use super::cursor::{AnyReg, Cursor, Parse, looks_like_register};
use super::error::{Fault, did_you_mean};
use super::lex::Kind;
use super::parsed::{Goal, Parsed};
use super::value;
use crate::insn::{AluOp, AtomicOp, Callee, Helper, Insn, JmpOp, Size, Width};

/// Words that an instruction can start with.
const STARTS: &[&str] =
    &["exit", "goto", "gotol", "gotox", "may_goto", "if", "call", "callx", "lock", "store_release", "nop"];

/// Reads a whole line. `opcode` is what the verifier's log puts before it in parentheses.
pub(super) fn parse(c: &mut Cursor<'_>, opcode: Option<u8>) -> Parse<Parsed> {
    let word = match c.peek() {
        Some(Kind::Word(word)) => *word,
        Some(Kind::Sign("*")) => "*",
        _ => return c.fault("an instruction is expected here"),
    };
    let parsed = match word {
        "exit" => keyword(c, "exit", |_| Ok(Insn::Exit.into())),
        "nop" => keyword(c, "nop", |_| Ok(Insn::Jump { off: 0 }.into())),
        "goto" => keyword(c, "goto out", |c| jump(c, Insn::Jump { off: 0 })),
        "gotol" => keyword(c, "gotol out", |c| jump(c, Insn::JumpFar { off: 0 })),
        "may_goto" => keyword(c, "may_goto out", |c| jump(c, Insn::MayGoto { off: 0 })),
        "gotox" => keyword(c, "gotox r1", |c| Ok(Insn::JumpReg { to: c.reg()? }.into())),
        "callx" => keyword(c, "callx r1", |c| Ok(Insn::CallReg { to: c.reg()? }.into())),
        "call" => keyword(c, "call bpf_map_lookup_elem", call),
        "if" => keyword(c, "if r0 > 5 goto out", branch),
        "lock" => keyword(c, "lock *(u64 *)(r1 + 0) += r2", lock),
        "store_release" => keyword(c, "store_release((u64 *)(r1 + 0), r2)", store_release),
        "*" => store(c),
        word if looks_like_register(word) => assignment(c, opcode),
        word => {
            let help = did_you_mean(word, STARTS.iter().copied());
            return Err(Fault::new(c.here(), format!("unknown instruction `{word}`"), help));
        }
    }?;
    c.end()?;
    Ok(parsed)
}

fn keyword<'a>(
    c: &mut Cursor<'a>,
    form: &'static str,
    rest: impl FnOnce(&mut Cursor<'a>) -> Parse<Parsed>,
) -> Parse<Parsed> {
    c.form(form);
    c.skip();
    rest(c)
}

/// The target of a jump: a label, or a distance such as `+3` or `pc-2`.
fn jump(c: &mut Cursor<'_>, insn: Insn) -> Parse<Parsed> {
    let start = c.pos();
    if let (Some(Kind::Word("pc")), Some(Kind::Sign("+" | "-"))) = (c.peek(), c.peek_at(1)) {
        c.skip();
    }
    if !(c.at_sign("+") || c.at_sign("-")) {
        if !matches!(c.peek(), Some(Kind::Word(_) | Kind::Text(_))) {
            return c.expected("a label or a distance with its sign");
        }
        let name = c.name()?;
        return Ok(Parsed { insn, goal: Some((Goal::Label(name), c.since(start))) });
    }
    let near = "-32768 to 32767 instructions; gotol goes further";
    let insn = match insn {
        Insn::JumpFar { .. } => Insn::JumpFar { off: c.fit("32 bits")? },
        Insn::MayGoto { .. } => Insn::MayGoto { off: c.fit(near)? },
        Insn::JumpIf { width, op, dst, src, .. } => Insn::JumpIf { width, op, dst, src, off: c.fit(near)? },
        _ => Insn::Jump { off: c.fit(near)? },
    };
    // llvm-objdump repeats the target: `goto +3 <func+0x20>`.
    if c.at_sign("<") {
        while c.peek().is_some() {
            c.skip();
        }
    }
    Ok(insn.into())
}

fn branch(c: &mut Cursor<'_>) -> Parse<Parsed> {
    let AnyReg { reg: dst, width } = c.any_reg()?;
    let start = c.pos();
    let signed = c.eat_word("s");
    let sign = match c.peek() {
        Some(Kind::Sign(sign)) => *sign,
        _ => return c.expected("a condition"),
    };
    c.skip();
    let is = |op: &&JmpOp| match op.sign().strip_prefix('s') {
        Some(plain) => signed && plain == sign,
        None => !signed && op.sign() == sign,
    };
    let Some(&op) = JmpOp::ALL.iter().find(is) else {
        let what = format!("`{}{sign}` is no condition", if signed { "s" } else { "" });
        let help = "conditions are == != > >= < <= s> s>= s< s<= and &";
        return Err(Fault::new(c.since(start), what, help));
    };
    let src = c.operand(width, true)?;
    if !c.eat_word("goto") {
        return c.expected("`goto`");
    }
    jump(c, Insn::JumpIf { width, op, dst, src, off: 0 })
}

fn call(c: &mut Cursor<'_>) -> Parse<Parsed> {
    let start = c.pos();
    if let (Some(Kind::Word("pc")), Some(Kind::Sign("+" | "-"))) = (c.peek(), c.peek_at(1)) {
        c.skip();
    }
    if c.at_sign("+") || c.at_sign("-") {
        return Ok(Insn::Call(Callee::Local { off: c.fit("32 bits")? }).into());
    }
    if let Some(Kind::Number(_)) = c.peek() {
        return Ok(Insn::Call(Callee::Helper(Helper(c.fit("the number of a helper")?))).into());
    }
    let quoted = matches!(c.peek(), Some(Kind::Text(_)));
    let name = c.name()?;
    let unresolved = |c: &Cursor<'_>, goal: Goal| {
        let insn = match goal {
            Goal::Kfunc(_) => Insn::Call(Callee::Kfunc { btf_id: 0, fd_ix: 0 }),
            _ => Insn::Call(Callee::Local { off: -1 }),
        };
        Ok(Parsed { insn, goal: Some((goal, c.since(start))) })
    };
    match name.as_str() {
        "kfunc" if c.at_sign("(") => kfunc(c, start),
        "extern" if c.eat("(") => {
            let name = c.name()?;
            c.expect(")")?;
            unresolved(c, Goal::Extern(name))
        }
        // The verifier's `call unknown#195896080`, and `call kernel-function#77`.
        "unknown" if c.eat("#") => Ok(Insn::Call(Callee::Helper(Helper(c.fit("a number")?))).into()),
        "kernel" if c.eat("-") && c.eat_word("function") => {
            c.expect("#")?;
            Ok(Insn::Call(Callee::Kfunc { btf_id: c.fit("a BTF id")?, fd_ix: 0 }).into())
        }
        _ => {
            // A name says it already; the number behind it is for people.
            if c.eat("#") {
                c.number()?;
            }
            match Helper::from_name(&name) {
                Some(helper) if !quoted => {
                    let insn = Insn::Call(Callee::Helper(helper));
                    Ok(Parsed { insn, goal: Some((Goal::Call(name), c.since(start))) })
                }
                _ => unresolved(c, Goal::Call(name)),
            }
        }
    }
}

/// `(NAME)`, `(BTF_ID)` or `(BTF_ID, FD_INDEX)`, after `kfunc`.
fn kfunc(c: &mut Cursor<'_>, start: usize) -> Parse<Parsed> {
    c.form("call kfunc(bpf_rcu_read_lock)");
    c.expect("(")?;
    if let Some(Kind::Word(_) | Kind::Text(_)) = c.peek() {
        let goal = Goal::Kfunc(c.name()?);
        c.expect(")")?;
        let insn = Insn::Call(Callee::Kfunc { btf_id: 0, fd_ix: 0 });
        return Ok(Parsed { insn, goal: Some((goal, c.since(start))) });
    }
    let btf_id = c.fit("a BTF id")?;
    let fd_ix = if c.eat(",") { c.fit("16 bits")? } else { 0 };
    c.expect(")")?;
    Ok(Insn::Call(Callee::Kfunc { btf_id, fd_ix }).into())
}

/// `*(u32 *)(r10 - 4) = r1`.
fn store(c: &mut Cursor<'_>) -> Parse<Parsed> {
    c.form("*(u32 *)(r10 - 4) = r1");
    c.skip();
    let (size, dst) = unsigned_address(c)?;
    c.expect("=")?;
    let low = matches!(c.peek(), Some(Kind::Word(w)) if w.starts_with('w') && looks_like_register(w));
    // LLVM names the register by its 32-bit name where no more of it is stored.
    let width = if low && size != Size::DW { Width::W32 } else { Width::W64 };
    let src = c.operand(width, false)?;
    Ok(Insn::Store { size, dst, src }.into())
}

fn lock(c: &mut Cursor<'_>) -> Parse<Parsed> {
    c.expect("*")?;
    let (width, dst) = atomic_address(c)?;
    let op = match c.peek() {
        Some(Kind::Sign("+=")) => AtomicOp::Add,
        Some(Kind::Sign("|=")) => AtomicOp::Or,
        Some(Kind::Sign("&=")) => AtomicOp::And,
        Some(Kind::Sign("^=")) => AtomicOp::Xor,
        _ => return c.expected("one of += |= &= ^="),
    };
    c.skip();
    let src = atomic_source(c, width)?;
    Ok(Insn::Atomic { op, width, dst, src }.into())
}

fn store_release(c: &mut Cursor<'_>) -> Parse<Parsed> {
    c.expect("(")?;
    let (size, dst) = unsigned_address(c)?;
    c.expect(",")?;
    let src = if size == Size::DW { c.reg()? } else { c.any_reg()?.reg };
    c.expect(")")?;
    Ok(Insn::StoreRelease { size, dst, src }.into())
}

/// `r1 += r2` and everything else that starts with a register.
fn assignment(c: &mut Cursor<'_>, opcode: Option<u8>) -> Parse<Parsed> {
    c.form("r1 += r2");
    let to = c.any_reg()?;
    if c.eat("=") {
        return value::value(c, to, opcode);
    }
    let start = c.pos();
    let signed = c.eat_word("s");
    let sign = match c.peek() {
        Some(Kind::Sign(sign)) => *sign,
        _ => return c.expected("`=` or an operation such as `+=`"),
    };
    c.skip();
    let is = |op: &&AluOp| match op.sign().strip_prefix('s') {
        Some(plain) => signed && plain == sign,
        None => !signed && op.sign() == sign,
    };
    let Some(&op) = AluOp::ALL.iter().find(is) else {
        let what = format!("`{}{sign}` is no operation", if signed { "s" } else { "" });
        let help = "operations are = += -= *= /= s/= %= s%= |= &= ^= <<= >>= s>>=";
        return Err(Fault::new(c.since(start), what, help));
    };
    let src = c.operand(to.width, false)?;
    Ok(Insn::Alu { width: to.width, op, dst: to.reg, src }.into())
}
