//! Jumps, calls and exit.

use super::operand::{CallTarget, TargetKind};
use super::{Asm, Goal, Label};
use crate::insn::code::RefKind;
use crate::insn::{Callee, Insn, JmpOp, Reg, Source, Width};
use std::panic::Location;

/// Declares the two methods of a condition, 64 and 32 bits wide.
macro_rules! conditions {
    ($( $op:ident: $wide:ident $low:ident, $sign:literal, $alias:literal; )*) => {
        $(
            #[doc = concat!("`if dst ", $sign, " src goto to`.")]
            #[doc(alias = $alias)]
            #[track_caller]
            #[inline]
            pub fn $wide(&mut self, dst: Reg, src: impl Into<Source>, to: Label) -> &mut Asm {
                self.branch(Width::W64, JmpOp::$op, dst, src.into(), to, Location::caller())
            }

            #[doc = concat!("As [`Asm::", stringify!($wide), "`], of the lower 32 bits. Since Linux 5.1.")]
            #[track_caller]
            #[inline]
            pub fn $low(&mut self, dst: Reg, src: impl Into<Source>, to: Label) -> &mut Asm {
                self.branch(Width::W32, JmpOp::$op, dst, src.into(), to, Location::caller())
            }
        )*
    };
}

/// # Jumps
///
/// A jump goes to a [`Label`], which is bound before or after it. A 64-bit comparison extends the sign
/// of a number: `jgt(R1, -1, ..)` compares with `0xffff_ffff_ffff_ffff`.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// // for r1 = 10; r1 != 0; r1 -= 1 { r0 += r1 }
/// let mut a = Asm::new();
/// a.mov64(R0, 0).mov64(R1, 10);
/// let again = a.here();
/// a.add64(R0, R1).sub64(R1, 1).jne(R1, 0, again).exit();
/// let code = a.finish()?;
/// assert_eq!(code.insns()[4].off, -3);
/// # Ok::<(), AsmError>(())
/// ```
impl Asm {
    conditions! {
        Eq: jeq jeq32, "==", "BPF_JEQ";
        Ne: jne jne32, "!=", "BPF_JNE";
        Gt: jgt jgt32, "> (unsigned)", "BPF_JGT";
        Ge: jge jge32, ">= (unsigned)", "BPF_JGE";
        Lt: jlt jlt32, "< (unsigned)", "BPF_JLT";
        Le: jle jle32, "<= (unsigned)", "BPF_JLE";
        Sgt: jsgt jsgt32, "> (signed)", "BPF_JSGT";
        Sge: jsge jsge32, ">= (signed)", "BPF_JSGE";
        Slt: jslt jslt32, "< (signed)", "BPF_JSLT";
        Sle: jsle jsle32, "<= (signed)", "BPF_JSLE";
        Set: jset jset32, "& (any common bit)", "BPF_JSET";
    }

    /// A conditional jump whose condition is a value; the methods named after conditions are short for
    /// it.
    #[doc(alias("BPF_JMP_REG", "BPF_JMP_IMM", "BPF_JMP32_REG", "BPF_JMP32_IMM"))]
    #[track_caller]
    pub fn jump_if(
        &mut self,
        width: Width,
        dst: Reg,
        op: JmpOp,
        src: impl Into<Source>,
        to: Label,
    ) -> &mut Asm {
        self.branch(width, op, dst, src.into(), to, Location::caller())
    }

    #[inline]
    pub(super) fn branch(
        &mut self,
        width: Width,
        op: JmpOp,
        dst: Reg,
        src: Source,
        to: Label,
        at: super::CallSite,
    ) -> &mut Asm {
        self.emit_to(Insn::JumpIf { width, op, dst, src, off: 0 }, Goal::Near(to), at)
    }

    /// `goto to`.
    #[doc(alias("BPF_JMP_A", "BPF_JA", "goto"))]
    #[track_caller]
    #[inline]
    pub fn jump(&mut self, to: Label) -> &mut Asm {
        self.emit_to(Insn::Jump { off: 0 }, Goal::Near(to), Location::caller())
    }

    /// `gotol to`: the jump that reaches any instruction. Since Linux 6.6.
    #[doc(alias("BPF_JMP32_A", "gotol"))]
    #[track_caller]
    #[inline]
    pub fn jump_far(&mut self, to: Label) -> &mut Asm {
        self.emit_to(Insn::JumpFar { off: 0 }, Goal::Far(to), Location::caller())
    }

    /// `may_goto to`: goes on with the next instruction, until the kernel finds that the loop has run
    /// long enough; then jumps. That is after 8,388,608 times or, on newer kernels, a quarter of a
    /// second. It makes any loop acceptable to the verifier. Since Linux 6.9.
    #[doc(alias("BPF_MAY_GOTO", "BPF_JCOND"))]
    #[track_caller]
    #[inline]
    pub fn may_goto(&mut self, to: Label) -> &mut Asm {
        self.emit_to(Insn::MayGoto { off: 0 }, Goal::Near(to), Location::caller())
    }

    /// `gotox to`: to an address from a jump table, a map of type `insn_array`. Since Linux 6.19.
    #[track_caller]
    #[inline]
    pub fn jump_reg(&mut self, to: Reg) -> &mut Asm {
        self.emit(Insn::JumpReg { to }, Location::caller())
    }

    /// `exit`: back to the caller, or out of the program. The result is in `r0`.
    #[doc(alias = "BPF_EXIT_INSN")]
    #[track_caller]
    #[inline]
    pub fn exit(&mut self) -> &mut Asm {
        self.emit(Insn::Exit, Location::caller())
    }
}

/// # Calls
///
/// Arguments are in `r1` to `r5`, the result comes in `r0`; `r1` to `r5` hold nothing afterwards.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// a.call(Helper::KtimeGetNs)                  // call 5
///     .call(kfunc("bpf_rcu_read_lock"))       // by name; the loader looks up the BTF id
///     .call(kfunc("bpf_rcu_read_unlock"))
///     .mov64(R0, 0)
///     .exit();
/// let code = a.finish()?;
/// assert_eq!(code.insns()[0].imm, 5);
/// assert_eq!(code.refs()[0].kind.name(), "bpf_rcu_read_lock");
/// # Ok::<(), AsmError>(())
/// ```
impl Asm {
    /// `call target`: a [`Helper`](crate::insn::Helper), a function of this program
    /// ([`Asm::func`]), one of the kernel ([`kfunc`](super::kfunc)) or one of another part of the
    /// object ([`external`](super::external)).
    #[doc(alias("BPF_EMIT_CALL", "BPF_CALL_FUNC", "BPF_CALL_REL", "BPF_CALL_KFUNC"))]
    #[track_caller]
    #[inline]
    pub fn call(&mut self, target: impl Into<CallTarget>) -> &mut Asm {
        let at = Location::caller();
        let unknown = Insn::Call(Callee::Local { off: -1 });
        match target.into().0 {
            TargetKind::Callee(callee) => self.emit(Insn::Call(callee), at),
            TargetKind::Func(func) => {
                self.emit_to(Insn::Call(Callee::Local { off: 0 }), Goal::Func(func), at)
            }
            TargetKind::Kfunc(name) => {
                let insn = Insn::Call(Callee::Kfunc { btf_id: 0, fd_ix: 0 });
                self.emit_ref(insn, RefKind::Kfunc { name }, at)
            }
            TargetKind::External(name) => self.emit_ref(unknown, RefKind::Func { name }, at),
        }
    }

    /// `callx to`: a call by address. Compilers make it, but no kernel up to 7.3 takes it.
    #[track_caller]
    #[inline]
    pub fn call_reg(&mut self, to: Reg) -> &mut Asm {
        self.emit(Insn::CallReg { to }, Location::caller())
    }
}
