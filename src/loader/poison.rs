//! What is missing on this kernel, and the call that stands in its place.

use crate::insn::RawInsn;

/// Numbers of helpers that do not exist, by what is missing; libbpf's, so that logs look familiar.
pub(super) const POISON_MAP: i32 = 2_001_000_000;
pub(super) const POISON_EXTERN: i32 = 2_002_000_000;
/// `0xbad2310`: bad relo.
pub(super) const POISON_CORE: i32 = 195_896_080;

/// Something that this kernel or this load does not have; its uses became calls that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Poison {
    /// A CO-RE relocation without a match; the text says what was wanted and what there is.
    Core(String),
    /// A map that is not created.
    Map(String),
    /// A weak kfunc.
    Extern(String),
}

/// A call that the kernel cannot resolve, in place of something that is missing.
pub(super) fn poison(number: i32) -> RawInsn {
    RawInsn { opcode: 0x85, dst: 0, src: 0, off: 0, imm: number }
}
