//! What can be wrong with a program that is being assembled, at which line of Rust.

use crate::insn::Reg;
use std::panic::Location;

/// A place in the Rust source: file, line and column of the call that wrote the instruction.
#[doc(alias = "Place")]
pub type CallSite = &'static Location<'static>;

/// Why [`Asm::finish`](super::Asm::finish) gives no code. Each names the line of Rust to look at.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// let out = a.label();
/// a.mov64(R0, 0).jeq(R1, 0, out).exit();
/// let error = a.finish().unwrap_err();
/// assert!(matches!(error, AsmError::Unbound { .. }));
/// assert!(error.to_string().contains(file!()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AsmError {
    /// There is no instruction.
    #[error("the program has no instruction; the shortest one is mov64(R0, 0).exit()")]
    Empty,
    /// A jump to a label that is bound nowhere.
    #[error("{at}: this jumps to a label that is never bound; call bind(label) where it should go")]
    Unbound {
        /// The jump.
        at: CallSite,
    },
    /// A label bound a second time.
    #[error("{at}: this label is already bound at {first}; a label names one place")]
    Rebound {
        /// The second binding.
        at: CallSite,
        /// The first one.
        first: CallSite,
    },
    /// A label or function of another `Asm`, or of this one before its `finish`.
    #[error("{at}: this label was made by another Asm; make it with label() or func() of this one")]
    Foreign {
        /// Its use.
        at: CallSite,
    },
    /// A jump that 16 bits of distance do not reach.
    #[error(
        "{at}: this jumps {delta:+} instructions, and a jump reaches from -32768 to +32767; \
         long_jumps(true) lets the assembler use gotol (Linux 6.6) here"
    )]
    TooFar {
        /// The jump.
        at: CallSite,
        /// Slots from the next instruction to the target.
        delta: i64,
    },
    /// A jump from one function into another.
    #[error("{at}: this jumps out of function `{from}` into `{to}`; the verifier allows calls only")]
    JumpsOut {
        /// The jump.
        at: CallSite,
        /// The function it is in.
        from: String,
        /// The function its target is in.
        to: String,
    },
    /// A label bound after the last instruction of its function.
    #[error("{at}: no instruction of function `{function}` follows this label, so nothing can jump to it")]
    Dangling {
        /// The binding.
        at: CallSite,
        /// The function.
        function: String,
    },
    /// The last instruction of a function lets the program run on into whatever follows.
    #[error("{at}: function `{function}` runs past its last instruction; end it with exit() or a jump")]
    FallsOff {
        /// The last instruction.
        at: CallSite,
        /// The function.
        function: String,
    },
    /// A function that is called, but has no instructions.
    #[error("{at}: function `{function}` has no instructions; call begin(function) where its code starts")]
    NoBody {
        /// The call, or the declaration.
        at: CallSite,
        /// The function.
        function: String,
    },
    /// A second function of one name.
    #[error("{at}: there is a function `{function}` already; give this one another name")]
    Duplicate {
        /// The second declaration.
        at: CallSite,
        /// The name.
        function: String,
    },
    /// More stack than a program has.
    #[error("{at}: with this, function `{function}` uses {bytes} bytes of stack; the kernel gives 512")]
    Stack {
        /// The allocation that does not fit.
        at: CallSite,
        /// The function.
        function: String,
        /// What its allocations add up to.
        bytes: u32,
    },
    /// An instruction that writes the frame pointer.
    #[error("{at}: this writes r10, the frame pointer, which is read only; copy it to another register")]
    FramePointer {
        /// The instruction.
        at: CallSite,
    },
    /// A shift by a constant that is not smaller than the width.
    #[error("{at}: this shifts {width} bits by {by}; the verifier wants 0 to {}", width - 1)]
    Shift {
        /// The instruction.
        at: CallSite,
        /// How many bits the operation has.
        width: u32,
        /// The constant.
        by: i32,
    },
    /// A number that does not fit the field that it is put into.
    #[error("{at}: {imm} does not fit a field of {bytes} byte(s)")]
    FieldTooSmall {
        /// The instruction.
        at: CallSite,
        /// The number.
        imm: i32,
        /// The size of the field.
        bytes: u8,
    },
    /// A bounds check or a copy whose scratch register holds one of its two addresses.
    #[error("{at}: this would overwrite {scratch}, an address that it needs; name another scratch register")]
    Scratch {
        /// The check, or the copy.
        at: CallSite,
        /// The register.
        scratch: Reg,
    },
    /// A division or remainder by the constant zero.
    #[error("{at}: this divides by the constant zero, which the verifier refuses")]
    DivisionByZero {
        /// The instruction.
        at: CallSite,
    },
}

impl AsmError {
    /// The line of Rust to look at; `None` if the program is empty.
    pub fn place(&self) -> Option<CallSite> {
        match self {
            AsmError::Empty => None,
            AsmError::Unbound { at }
            | AsmError::Rebound { at, .. }
            | AsmError::Foreign { at }
            | AsmError::TooFar { at, .. }
            | AsmError::JumpsOut { at, .. }
            | AsmError::Dangling { at, .. }
            | AsmError::FallsOff { at, .. }
            | AsmError::NoBody { at, .. }
            | AsmError::Duplicate { at, .. }
            | AsmError::Stack { at, .. }
            | AsmError::FramePointer { at }
            | AsmError::Shift { at, .. }
            | AsmError::FieldTooSmall { at, .. }
            | AsmError::Scratch { at, .. }
            | AsmError::DivisionByZero { at } => Some(at),
        }
    }
}
