//! The operations: what arithmetic does, what a jump compares, what happens atomically.
//!
//! Each is one table, from the Rust name to the bits and to the sign that assembly writes.

use super::raw::{alu, atomic, class, jmp, source};
use super::reg::Width;

/// Declares an operation: a closed enum, its code in the instruction and its sign in assembly.
macro_rules! operations {
    ($(#[$meta:meta])* $name:ident: $repr:ty;
     $( $variant:ident = $code:expr, $sign:literal, $doc:literal $(, $uapi:literal)?; )*) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $( #[doc = $doc] $( #[doc(alias = $uapi)] )? $variant, )*
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &'static [$name] = &[$( $name::$variant ),*];

            /// How assembly writes it.
            pub const fn sign(self) -> &'static str {
                match self { $( $name::$variant => $sign, )* }
            }

            pub(super) const fn code(self) -> $repr {
                match self { $( $name::$variant => $code, )* }
            }
        }
    };
}

operations! {
    /// Arithmetic with two operands: `dst = dst OP src`.
    AluOp: (u8, i16);
    Add = (alu::ADD, 0), "+=", "Addition.", "BPF_ADD";
    Sub = (alu::SUB, 0), "-=", "Subtraction.", "BPF_SUB";
    Mul = (alu::MUL, 0), "*=", "Multiplication.", "BPF_MUL";
    Div = (alu::DIV, 0), "/=", "Unsigned division; a division by zero gives zero.", "BPF_DIV";
    Sdiv = (alu::DIV, 1), "s/=", "Signed division, since Linux 6.6; a division by zero gives zero.", "BPF_SDIV";
    Or = (alu::OR, 0), "|=", "Bitwise or.", "BPF_OR";
    And = (alu::AND, 0), "&=", "Bitwise and.", "BPF_AND";
    Lsh = (alu::LSH, 0), "<<=", "Shift left.", "BPF_LSH";
    Rsh = (alu::RSH, 0), ">>=", "Shift right; zeros come in.", "BPF_RSH";
    Mod = (alu::MOD, 0), "%=", "Unsigned remainder; by zero, the value stays.", "BPF_MOD";
    Smod = (alu::MOD, 1), "s%=", "Signed remainder, since Linux 6.6; by zero, the value stays.", "BPF_SMOD";
    Xor = (alu::XOR, 0), "^=", "Bitwise exclusive or.", "BPF_XOR";
    Mov = (alu::MOV, 0), "=", "Copy.", "BPF_MOV";
    Arsh = (alu::ARSH, 0), "s>>=", "Shift right; the sign comes in.", "BPF_ARSH";
}

operations! {
    /// What a conditional jump asks of its operands.
    JmpOp: u8;
    Eq = jmp::JEQ, "==", "Equal.", "BPF_JEQ";
    Gt = jmp::JGT, ">", "Greater, unsigned.", "BPF_JGT";
    Ge = jmp::JGE, ">=", "Greater or equal, unsigned.", "BPF_JGE";
    Set = jmp::JSET, "&", "A bit is set in both.", "BPF_JSET";
    Ne = jmp::JNE, "!=", "Not equal.", "BPF_JNE";
    Sgt = jmp::JSGT, "s>", "Greater, signed.", "BPF_JSGT";
    Sge = jmp::JSGE, "s>=", "Greater or equal, signed.", "BPF_JSGE";
    Lt = jmp::JLT, "<", "Less, unsigned; since Linux 4.14.", "BPF_JLT";
    Le = jmp::JLE, "<=", "Less or equal, unsigned; since Linux 4.14.", "BPF_JLE";
    Slt = jmp::JSLT, "s<", "Less, signed; since Linux 4.14.", "BPF_JSLT";
    Sle = jmp::JSLE, "s<=", "Less or equal, signed; since Linux 4.14.", "BPF_JSLE";
}

operations! {
    /// What happens to memory in one indivisible step.
    ///
    /// [`AtomicOp::Add`] is as old as eBPF; the others came with Linux 5.12.
    AtomicOp: i32;
    Add = alu::ADD as i32, "+=", "Adds the source register to memory.", "BPF_XADD";
    Or = alu::OR as i32, "|=", "Sets bits in memory.";
    And = alu::AND as i32, "&=", "Keeps bits of memory.";
    Xor = alu::XOR as i32, "^=", "Flips bits in memory.";
    FetchAdd = alu::ADD as i32 | atomic::FETCH, "atomic_fetch_add", "Adds; the old value goes into the source register.";
    FetchOr = alu::OR as i32 | atomic::FETCH, "atomic_fetch_or", "Sets bits; the old value goes into the source register.";
    FetchAnd = alu::AND as i32 | atomic::FETCH, "atomic_fetch_and", "Keeps bits; the old value goes into the source register.";
    FetchXor = alu::XOR as i32 | atomic::FETCH, "atomic_fetch_xor", "Flips bits; the old value goes into the source register.";
    Xchg = atomic::XCHG, "xchg", "Exchanges memory and the source register.", "BPF_XCHG";
    CmpXchg = atomic::CMPXCHG, "cmpxchg", "If memory equals `r0`, stores the source register; the old value goes into `r0`.", "BPF_CMPXCHG";
}

operations! {
    /// A move that fills the upper bits with the sign of a part of the source; since Linux 6.6.
    SignExtend: (Width, i16);
    S8To32 = (Width::W32, 8), "(s8)", "The low byte, to 32 bits.";
    S16To32 = (Width::W32, 16), "(s16)", "The low two bytes, to 32 bits.";
    S8To64 = (Width::W64, 8), "(s8)", "The low byte, to 64 bits.";
    S16To64 = (Width::W64, 16), "(s16)", "The low two bytes, to 64 bits.";
    S32To64 = (Width::W64, 32), "(s32)", "The low four bytes, to 64 bits.";
}

operations! {
    /// How the bytes of a register change places.
    ///
    /// The bit that elsewhere tells a register from a number tells little from big endian here, and the
    /// swap on every machine stands in the 64-bit class instead.
    SwapOp: u8;
    Le = class::ALU | alu::END | source::K, "le", "Between the machine's order and little endian: nothing, or a swap.", "BPF_TO_LE";
    Be = class::ALU | alu::END | source::X, "be", "Between the machine's order and big endian, the network's: a swap, or nothing.", "BPF_TO_BE";
    Swap = class::ALU64 | alu::END | source::K, "bswap", "Always a swap; since Linux 6.6.", "BPF_BSWAP";
}

operations! {
    /// How many bits of a register a byte order operation keeps.
    Bits: i32;
    B16 = 16, "16", "The low 16 bits.";
    B32 = 32, "32", "The low 32 bits.";
    B64 = 64, "64", "All 64 bits.";
}

operations! {
    /// The two casts between the address of an arena as the kernel uses it and as programs and user
    /// space see it; since Linux 6.9.
    Cast: i32;
    ToKernel = 1, "0, 1", "From address space 1, the arena's, to 0: what a program may dereference (`cast_kern`).", "cast_kern";
    ToUser = 1 << 16, "1, 0", "From address space 0 to 1: what may be stored for others to see (`cast_user`).", "cast_user";
}
