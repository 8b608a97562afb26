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

use super::cursor::{AnyReg, Cursor, Parse, looks_like_register};
use super::error::{Fault, did_you_mean};
use super::lex::Kind;
use super::wide;
use crate::insn::{
    AluOp, AtomicOp, Bits, Callee, Cast, Helper, Insn, JmpOp, Mem, Narrow, R0, Reg, SignExtend, Size, Source,
    SwapOp, Width,
};
use std::ops::Range;

/// An instruction as it was read, and the name that it still has to be resolved with.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) insn: Insn,
    pub(super) goal: Option<(Goal, Range<usize>)>,
}

/// What an instruction says by name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Goal {
    /// The target of a jump.
    Label(String),
    /// Whom a call calls: a function of the text, a helper or a kfunc.
    Call(String),
    /// A kfunc in so many words: `kfunc(NAME)`.
    Kfunc(String),
    /// A function of another part of the object: `extern(NAME)`.
    Extern(String),
    /// A map or a function of the text: `r1 = NAME ll`.
    Wide(String),
    /// The value of a map: `map_val(NAME) + 8`.
    MapValue(String, u32),
    /// A kernel variable: `var_addr(NAME)`.
    Ksym(String),
    /// A function's address: `code_addr(NAME)`.
    Address(String),
    /// The address of a function of another part of the object: `code_addr(extern(NAME))`.
    ExternAddress(String),
}

impl From<Insn> for Parsed {
    fn from(insn: Insn) -> Parsed {
        Parsed { insn, goal: None }
    }
}

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

fn unsigned_address(c: &mut Cursor<'_>) -> Parse<(Size, Mem)> {
    let start = c.pos();
    match c.typed_address()? {
        (size, false, mem) => Ok((size, mem)),
        _ => c.fault_at(c.since(start), "only a load into a register can be of a signed type"),
    }
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

/// `(u64 *)(r1 + 0)`, of a size that atomic operations have.
fn atomic_address(c: &mut Cursor<'_>) -> Parse<(Width, Mem)> {
    let start = c.pos();
    match unsigned_address(c)? {
        (Size::W, mem) => Ok((Width::W32, mem)),
        (Size::DW, mem) => Ok((Width::W64, mem)),
        _ => c.fault_at(c.since(start), "atomic operations are of u32 or u64"),
    }
}

/// The register operand: `w2` or `r2` with 32 bits, since LLVM writes the one and the verifier the other.
fn atomic_source(c: &mut Cursor<'_>, width: Width) -> Parse<Reg> {
    match width {
        Width::W32 => Ok(c.any_reg()?.reg),
        Width::W64 => c.reg(),
    }
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
        return value(c, to, opcode);
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

/// What stands behind `r1 =`.
fn value(c: &mut Cursor<'_>, to: AnyReg, opcode: Option<u8>) -> Parse<Parsed> {
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
