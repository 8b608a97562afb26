//! Operands: registers, memory, widths and sizes.
//!
//! A program has ten registers of 64 bits and a frame pointer:
//!
//! ```text
//!   r0          the result of a call, and of the program
//!   r1 .. r5    the arguments of a call; unreadable after it
//!   r6 .. r9    kept across calls
//!   r10         the frame pointer: read only, the stack is the 512 bytes below it
//! ```
//!
//! An operand is written as a Rust expression: a register is [`R1`], memory is `R10 - 4`, and nothing
//! else can be made, so no instruction can name a register 11.

use super::raw;
use std::fmt;
use std::ops::{Add, Sub};

/// A register, `r0` to `r10`. Only these eleven exist; the constants [`R0`] .. [`R10`] are the way to
/// write them.
///
/// ```
/// use rawbpf::insn::{R10, Reg};
/// assert_eq!(R10.to_string(), "r10");
/// assert_eq!(Reg::new(10), Some(R10));
/// assert_eq!(Reg::new(11), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reg(u8);

/// Declares the constants of the registers.
macro_rules! registers {
    ($( $name:ident = $number:literal, $uapi:literal, $doc:literal; )*) => {
        $(
            #[doc = $doc]
            #[doc(alias = $uapi)]
            pub const $name: Reg = Reg($number);
        )*
        impl Reg {
            /// All registers, in order.
            pub const ALL: [Reg; 11] = [$( $name ),*];
        }
    };
}

registers! {
    R0 = 0, "BPF_REG_0", "`r0`: the result of a call, and of the program.";
    R1 = 1, "BPF_REG_1", "`r1`: the program's context at its start; the first argument of a call.";
    R2 = 2, "BPF_REG_2", "`r2`: the second argument of a call.";
    R3 = 3, "BPF_REG_3", "`r3`: the third argument of a call.";
    R4 = 4, "BPF_REG_4", "`r4`: the fourth argument of a call.";
    R5 = 5, "BPF_REG_5", "`r5`: the fifth argument of a call.";
    R6 = 6, "BPF_REG_6", "`r6`: kept across calls.";
    R7 = 7, "BPF_REG_7", "`r7`: kept across calls.";
    R8 = 8, "BPF_REG_8", "`r8`: kept across calls.";
    R9 = 9, "BPF_REG_9", "`r9`: kept across calls.";
    R10 = 10, "BPF_REG_10", "`r10`: the frame pointer. It can be read, never written; the stack is below it.";
}

impl Reg {
    /// The register of a number; `None` above 10.
    pub const fn new(number: u8) -> Option<Reg> {
        if number <= 10 { Some(Reg(number)) } else { None }
    }

    /// Its number, 0 to 10.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(names(self.0).0)
    }
}

impl fmt::Debug for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The 64-bit and the 32-bit name of a register.
pub(super) const fn names(number: u8) -> (&'static str, &'static str) {
    match number {
        0 => ("r0", "w0"),
        1 => ("r1", "w1"),
        2 => ("r2", "w2"),
        3 => ("r3", "w3"),
        4 => ("r4", "w4"),
        5 => ("r5", "w5"),
        6 => ("r6", "w6"),
        7 => ("r7", "w7"),
        8 => ("r8", "w8"),
        9 => ("r9", "w9"),
        _ => ("r10", "w10"),
    }
}

/// Memory at a register plus an offset in bytes: `R10 - 4`, `R1 + 8`, or a bare `R1`.
///
/// ```
/// use rawbpf::insn::{Mem, R1, R10};
/// assert_eq!(R10 - 4, Mem { base: R10, off: -4 });
/// assert_eq!(R1 + 8 + 6, Mem { base: R1, off: 14 });
/// assert_eq!(Mem::from(R1), R1 + 0);
/// ```
///
/// The offset has 16 bits, so one that does not fit does not compile:
///
/// ```compile_fail
/// use rawbpf::insn::R1;
/// let far = R1 + 40_000;
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mem {
    /// The register that holds an address.
    pub base: Reg,
    /// Bytes from there.
    pub off: i16,
}

impl From<Reg> for Mem {
    fn from(base: Reg) -> Mem {
        Mem { base, off: 0 }
    }
}

impl Add<i16> for Reg {
    type Output = Mem;
    fn add(self, off: i16) -> Mem {
        Mem { base: self, off }
    }
}

impl Sub<i16> for Reg {
    type Output = Mem;
    /// # Panics
    /// At `R - i16::MIN`, whose offset has no 16-bit form.
    fn sub(self, off: i16) -> Mem {
        Mem::from(self) - off
    }
}

impl Add<i16> for Mem {
    type Output = Mem;
    /// # Panics
    /// If the sum of the offsets leaves 16 bits.
    fn add(self, off: i16) -> Mem {
        let sum = self.off.checked_add(off).expect("a memory operand's offset has 16 bits");
        Mem { base: self.base, off: sum }
    }
}

impl Sub<i16> for Mem {
    type Output = Mem;
    /// # Panics
    /// If the difference of the offsets leaves 16 bits.
    fn sub(self, off: i16) -> Mem {
        let sum = self.off.checked_sub(off).expect("a memory operand's offset has 16 bits");
        Mem { base: self.base, off: sum }
    }
}

impl fmt::Display for Mem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.off < 0 { '-' } else { '+' };
        write!(f, "({} {sign} {})", self.base, self.off.unsigned_abs())
    }
}

/// The second operand of arithmetic, comparisons and stores: a register or a 32-bit immediate.
///
/// A 64-bit operation extends the immediate's sign: `and64(R1, -1)` keeps every bit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// A register (`BPF_X`).
    Reg(Reg),
    /// An immediate (`BPF_K`).
    Imm(i32),
}

impl From<Reg> for Source {
    fn from(reg: Reg) -> Source {
        Source::Reg(reg)
    }
}

/// Numbers that fit into a signed 32-bit immediate whatever they are.
macro_rules! immediates {
    ($( $int:ty ),*) => {
        $( impl From<$int> for Source {
            fn from(imm: $int) -> Source {
                Source::Imm(i32::from(imm))
            }
        } )*
    };
}
immediates!(i8, u8, i16, u16, i32);

/// How many bits arithmetic, a comparison or an atomic operation works on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Width {
    /// The lower 32 bits; the upper half of a written register becomes zero.
    W32,
    /// All 64 bits.
    W64,
}

/// How many bytes a load or a store moves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Size {
    /// One byte, `u8` (`BPF_B`).
    #[doc(alias = "BPF_B")]
    B,
    /// Two bytes, `u16` (`BPF_H`).
    #[doc(alias = "BPF_H")]
    H,
    /// Four bytes, `u32` (`BPF_W`).
    #[doc(alias = "BPF_W")]
    W,
    /// Eight bytes, `u64` (`BPF_DW`).
    #[doc(alias = "BPF_DW")]
    DW,
}

impl Size {
    /// All sizes, small to large.
    pub const ALL: [Size; 4] = [Size::B, Size::H, Size::W, Size::DW];

    /// The number of bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u8 {
        match self {
            Size::B => 1,
            Size::H => 2,
            Size::W => 4,
            Size::DW => 8,
        }
    }

    /// The size of that many bytes.
    pub const fn of(bytes: usize) -> Option<Size> {
        match bytes {
            1 => Some(Size::B),
            2 => Some(Size::H),
            4 => Some(Size::W),
            8 => Some(Size::DW),
            _ => None,
        }
    }

    /// The bits of the opcode.
    pub(super) const fn code(self) -> u8 {
        match self {
            Size::B => raw::size::B,
            Size::H => raw::size::H,
            Size::W => raw::size::W,
            Size::DW => raw::size::DW,
        }
    }

    /// The size that an opcode's bits name; every one of the four values is a size.
    pub(super) const fn from_code(opcode: u8) -> Size {
        match opcode & 0x18 {
            raw::size::B => Size::B,
            raw::size::H => Size::H,
            raw::size::W => Size::W,
            _ => Size::DW,
        }
    }
}

/// A size that is smaller than a register, so that a load can extend its sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Narrow {
    /// One byte, `s8`.
    B,
    /// Two bytes, `s16`.
    H,
    /// Four bytes, `s32`.
    W,
}

impl Narrow {
    /// All of them, small to large.
    pub const ALL: [Narrow; 3] = [Narrow::B, Narrow::H, Narrow::W];

    /// The same number of bytes as a [`Size`].
    pub const fn size(self) -> Size {
        match self {
            Narrow::B => Size::B,
            Narrow::H => Size::H,
            Narrow::W => Size::W,
        }
    }

    /// The narrow size of a size; `None` for eight bytes.
    pub const fn from_size(size: Size) -> Option<Narrow> {
        match size {
            Size::B => Some(Narrow::B),
            Size::H => Some(Narrow::H),
            Size::W => Some(Narrow::W),
            Size::DW => None,
        }
    }
}

/// The place of an instruction in its program, counted in 8-byte slots from the program's start, as the
/// kernel counts: an instruction after a `lddw` is two further.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct InsnIx(pub u32);

impl InsnIx {
    /// As an index into a slice of slots.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Offset of the slot in bytes, as ELF and BTF count.
    pub const fn bytes(self) -> u64 {
        self.0 as u64 * 8
    }
}

impl fmt::Display for InsnIx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
