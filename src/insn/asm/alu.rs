//! Arithmetic, moves and byte order.

use super::Asm;
use crate::insn::{AluOp, Bits, Cast, Insn, Reg, SignExtend, Source, SwapOp, Width};
use std::panic::Location;

/// Declares the two methods of an operation, 64 and 32 bits wide.
macro_rules! arithmetic {
    ($( $op:ident: $wide:ident [$($wide_alias:literal),*] $low:ident [$($low_alias:literal),*], $doc:literal; )*) => {
        $(
            #[doc = concat!("`", $doc, ".")]
            $( #[doc(alias = $wide_alias)] )*
            #[track_caller]
            #[inline]
            pub fn $wide(&mut self, dst: Reg, src: impl Into<Source>) -> &mut Asm {
                let (width, op) = (Width::W64, AluOp::$op);
                self.emit(Insn::Alu { width, op, dst, src: src.into() }, Location::caller())
            }

            #[doc = concat!("As [`Asm::", stringify!($wide), "`] on the lower 32 bits; the upper ones become zero.")]
            $( #[doc(alias = $low_alias)] )*
            #[track_caller]
            #[inline]
            pub fn $low(&mut self, dst: Reg, src: impl Into<Source>) -> &mut Asm {
                let (width, op) = (Width::W32, AluOp::$op);
                self.emit(Insn::Alu { width, op, dst, src: src.into() }, Location::caller())
            }
        )*
    };
}

/// # Arithmetic
///
/// The second operand is a register or a 32-bit number, whose sign a 64-bit operation extends.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// a.mov64(R0, 7)              // r0 = 7
///     .add64(R0, R1)          // r0 += r1
///     .mul32(R0, 3)           // w0 *= 3, and the upper half of r0 is zero
///     .exit();
/// # a.finish()?;
/// # Ok::<(), AsmError>(())
/// ```
///
/// What the verifier refuses in any program is refused here, with the line:
///
/// ```
/// # use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// a.mov64(R0, 1).lsh64(R0, 64).exit();
/// assert!(matches!(a.finish(), Err(AsmError::Shift { width: 64, by: 64, .. })));
/// ```
impl Asm {
    arithmetic! {
        Mov: mov64 ["BPF_MOV64_REG", "BPF_MOV64_IMM", "BPF_MOV64_RAW"] mov32 ["BPF_MOV32_REG", "BPF_MOV32_IMM", "BPF_MOV32_RAW", "BPF_ZEXT_REG"],
            "dst = src`: a copy";
        Add: add64 ["BPF_ALU64_REG", "BPF_ALU64_IMM", "BPF_ADD"] add32 ["BPF_ALU32_REG", "BPF_ALU32_IMM"],
            "dst += src`";
        Sub: sub64 ["BPF_SUB"] sub32 [], "dst -= src`";
        Mul: mul64 ["BPF_MUL"] mul32 [], "dst *= src`";
        Div: div64 ["BPF_DIV"] div32 [], "dst /= src`, unsigned; by zero gives zero";
        Sdiv: sdiv64 ["BPF_ALU64_REG_OFF", "BPF_ALU64_IMM_OFF"] sdiv32 ["BPF_ALU32_REG_OFF", "BPF_ALU32_IMM_OFF"],
            "dst s/= src`, signed and towards zero; by zero gives zero. Since Linux 6.6";
        Mod: mod64 ["BPF_MOD"] mod32 [], "dst %= src`, unsigned; by zero leaves `dst`";
        Smod: smod64 [] smod32 [], "dst s%= src`, with the sign of `dst`; by zero leaves `dst`. Since Linux 6.6";
        Or: or64 ["BPF_OR"] or32 [], "dst |= src`";
        And: and64 ["BPF_AND"] and32 [], "dst &= src`";
        Xor: xor64 ["BPF_XOR"] xor32 [], "dst ^= src`";
        Lsh: lsh64 ["BPF_LSH"] lsh32 [], "dst <<= src`";
        Rsh: rsh64 ["BPF_RSH"] rsh32 [], "dst >>= src`; zeros come in";
        Arsh: arsh64 ["BPF_ARSH"] arsh32 [], "dst s>>= src`; the sign comes in";
    }

    /// `dst = -dst`.
    #[doc(alias = "BPF_NEG")]
    #[track_caller]
    #[inline]
    pub fn neg64(&mut self, dst: Reg) -> &mut Asm {
        self.emit(Insn::Neg { width: Width::W64, dst }, Location::caller())
    }

    /// As [`Asm::neg64`] on the lower 32 bits; the upper ones become zero.
    #[track_caller]
    #[inline]
    pub fn neg32(&mut self, dst: Reg) -> &mut Asm {
        self.emit(Insn::Neg { width: Width::W32, dst }, Location::caller())
    }

    /// `dst = (s8)src` and the like: a copy of a part of `src` that fills the rest with its sign.
    /// Since Linux 6.6.
    #[doc(alias("BPF_MOVSX64_REG", "BPF_MOVSX32_REG"))]
    #[track_caller]
    #[inline]
    pub fn movsx(&mut self, kind: SignExtend, dst: Reg, src: Reg) -> &mut Asm {
        self.emit(Insn::MovSx { kind, dst, src }, Location::caller())
    }

    /// `dst = addr_space_cast(src, ..)`: an address of an arena, in the other address space. Since
    /// Linux 6.9.
    #[doc(alias = "BPF_ADDR_SPACE_CAST")]
    #[track_caller]
    #[inline]
    pub fn addr_space_cast(&mut self, cast: Cast, dst: Reg, src: Reg) -> &mut Asm {
        self.emit(Insn::AddrSpaceCast { cast, dst, src }, Location::caller())
    }
}

/// Declares the methods of byte order.
macro_rules! byte_order {
    ($( $name:ident: $op:ident, $bits:ident, [$($alias:literal),*], $doc:literal; )*) => {
        $(
            #[doc = $doc]
            $( #[doc(alias = $alias)] )*
            #[track_caller]
            #[inline]
            pub fn $name(&mut self, dst: Reg) -> &mut Asm {
                self.emit(Insn::Swap { op: SwapOp::$op, bits: Bits::$bits, dst }, Location::caller())
            }
        )*
    };
}

/// # Byte order
///
/// Network data is big endian. `be16(R3)` turns two bytes that were loaded from a packet into the
/// number they mean, on a machine of either order, and back again.
impl Asm {
    byte_order! {
        be16: Be, B16, ["BPF_ENDIAN", "BPF_TO_BE", "bpf_ntohs", "bpf_htons"],
            "`dst = be16 dst`: the low 16 bits, between network and machine order; the rest becomes zero.";
        be32: Be, B32, ["bpf_ntohl", "bpf_htonl"],
            "`dst = be32 dst`: the low 32 bits, between network and machine order; the rest becomes zero.";
        be64: Be, B64, ["bpf_be64_to_cpu", "bpf_cpu_to_be64"],
            "`dst = be64 dst`: all bits, between network and machine order.";
        le16: Le, B16, ["BPF_TO_LE"],
            "`dst = le16 dst`: the low 16 bits, between little endian and machine order; the rest becomes zero.";
        le32: Le, B32, [],
            "`dst = le32 dst`: the low 32 bits, between little endian and machine order; the rest becomes zero.";
        le64: Le, B64, [],
            "`dst = le64 dst`: all bits, between little endian and machine order.";
        bswap16: Swap, B16, ["BPF_BSWAP"],
            "`dst = bswap16 dst`: the low 16 bits in the other order, on every machine; the rest becomes zero. Since Linux 6.6.";
        bswap32: Swap, B32, [],
            "`dst = bswap32 dst`: the low 32 bits in the other order, on every machine; the rest becomes zero. Since Linux 6.6.";
        bswap64: Swap, B64, [],
            "`dst = bswap64 dst`: all bits in the other order, on every machine. Since Linux 6.6.";
    }
}
