//! The instruction set: from an operation in Rust to the eight bytes the kernel reads, and back.

pub mod asm;
mod code;
pub mod ctx;
mod decode;
pub mod disasm;
mod encode;
mod field;
mod fmt;
mod helper;
mod inst;
pub mod net;
mod op;
pub mod raw;
mod reg;
pub mod text;

pub use asm::{Asm, AsmError};
pub use code::{Code, CodeFunc, CodeRef, LineRef, RefKind};
pub use decode::{DecodeError, Part};
pub use disasm::{Listing, Symbols};
pub use encode::Encoded;
pub use field::{Field, FieldAt, Layout, layout, layouts};
pub use helper::Helper;
pub use inst::{Callee, Imm64, Insn};
pub use op::{AluOp, AtomicOp, Bits, Cast, JmpOp, SignExtend, SwapOp};
pub use raw::RawInsn;
pub use reg::{InsnIx, Mem, Narrow, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Reg, Size, Source, Width};

/// Everything that a program which assembles instructions wants in scope.
pub mod prelude {
    pub use super::AtomicOp::{CmpXchg, FetchAdd, FetchAnd, FetchOr, FetchXor, Xchg};
    pub use super::Size::{B, DW, H, W};
    pub use super::Width::{W32, W64};
    pub use super::asm::{
        Asm, AsmError, Bounds, External, Func, Label, Target, Wide, external, kfunc, ksym, map, map_value,
    };
    pub use super::ctx::*;
    pub use super::net::*;
    pub use super::{
        AluOp, AtomicOp, Callee, Cast, Code, CodeFunc, CodeRef, Helper, Imm64, Insn, InsnIx, JmpOp, LineRef,
        Mem, Narrow, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, RawInsn, RefKind, Reg, SignExtend, Size,
        Source, Width,
    };
}
