//! The eight bytes of an instruction, field by field, and the numbers that go into them.
//!
//! This is the form that the kernel, an ELF section and `bpf(2)` share. [`RawInsn`] holds the five fields
//! as numbers, whatever they mean; [`Insn`](super::Insn) says what they mean.
//!
//! ```text
//!   byte  0        1           2   3       4   5   6   7
//!       +--------+-----+-----+-----------+---------------+
//!       | opcode | src | dst |    off    |      imm      |     little endian: dst is the low nibble
//!       +--------+-----+-----+-----------+---------------+     big endian: the nibbles change places
//!
//!   opcode of ALU, ALU64, JMP, JMP32:   | operation (4) | source (1) | class (3) |
//!   opcode of LD, LDX, ST, STX:         | mode (3)      | size (2)   | class (3) |
//! ```
//!
//! Code that patches instructions (a loader that puts a map's fd into a `ldimm64`) works on this form,
//! with the questions that [`RawInsn`] answers.

use crate::bytes::Endian;

/// One 8-byte slot, as five numbers (`struct bpf_insn`).
///
/// `dst` and `src` are four bits wide in the bytes; [`RawInsn::to_bytes`] drops what does not fit.
///
/// ```
/// use rawbpf::bytes::Endian;
/// use rawbpf::insn::RawInsn;
/// // r1 = *(u32 *)(r2 + 4)
/// let i = RawInsn { opcode: 0x61, dst: 1, src: 2, off: 4, imm: 0 };
/// assert_eq!(i.to_bytes(Endian::Little), [0x61, 0x21, 4, 0, 0, 0, 0, 0]);
/// assert_eq!(i.to_bytes(Endian::Big), [0x61, 0x12, 0, 4, 0, 0, 0, 0]);
/// assert_eq!(RawInsn::from_bytes(i.to_bytes(Endian::Big), Endian::Big), i);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[doc(alias = "bpf_insn")]
#[doc(alias = "BPF_RAW_INSN")]
pub struct RawInsn {
    /// What to do: operation, operand kind and class in one byte (`code`).
    #[doc(alias = "code")]
    pub opcode: u8,
    /// The destination register's number, 0 to 10 (`dst_reg`).
    #[doc(alias = "dst_reg")]
    pub dst: u8,
    /// The source register's number, or a `pseudo` number that changes what `imm` means (`src_reg`).
    #[doc(alias = "src_reg")]
    pub src: u8,
    /// A memory offset in bytes, a jump distance in slots, or a variant of the operation.
    pub off: i16,
    /// The immediate operand.
    pub imm: i32,
}

impl RawInsn {
    /// The eight bytes in a byte order.
    pub const fn to_bytes(self, endian: Endian) -> [u8; 8] {
        let (dst, src) = (self.dst & 0xf, self.src & 0xf);
        match endian {
            Endian::Little => {
                let (o, i) = (self.off.to_le_bytes(), self.imm.to_le_bytes());
                [self.opcode, src << 4 | dst, o[0], o[1], i[0], i[1], i[2], i[3]]
            }
            Endian::Big => {
                let (o, i) = (self.off.to_be_bytes(), self.imm.to_be_bytes());
                [self.opcode, dst << 4 | src, o[0], o[1], i[0], i[1], i[2], i[3]]
            }
        }
    }

    /// Reads eight bytes of a byte order. Every eight bytes are a `RawInsn`; whether they are an
    /// instruction is [`Insn::decode`](super::Insn::decode)'s to say.
    pub const fn from_bytes(b: [u8; 8], endian: Endian) -> RawInsn {
        let (low, high) = (b[1] & 0xf, b[1] >> 4);
        let (o, i) = ([b[2], b[3]], [b[4], b[5], b[6], b[7]]);
        match endian {
            Endian::Little => RawInsn {
                opcode: b[0],
                dst: low,
                src: high,
                off: i16::from_le_bytes(o),
                imm: i32::from_le_bytes(i),
            },
            Endian::Big => RawInsn {
                opcode: b[0],
                dst: high,
                src: low,
                off: i16::from_be_bytes(o),
                imm: i32::from_be_bytes(i),
            },
        }
    }

    /// The bytes of many slots.
    pub fn write_all(slots: &[RawInsn], endian: Endian) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(slots.len().saturating_mul(8));
        match endian {
            Endian::Little => slots.iter().for_each(|s| bytes.extend_from_slice(&s.to_bytes(Endian::Little))),
            Endian::Big => slots.iter().for_each(|s| bytes.extend_from_slice(&s.to_bytes(Endian::Big))),
        }
        bytes
    }

    /// The slots of many bytes; what is left of the last eight is left out.
    ///
    /// ```
    /// use rawbpf::bytes::Endian;
    /// use rawbpf::insn::RawInsn;
    /// let slots = RawInsn::read_all(&[0x95, 0, 0, 0, 0, 0, 0, 0, 0xff], Endian::Little);
    /// assert_eq!(slots.len(), 1);
    /// assert!(slots[0].is_exit());
    /// ```
    pub fn read_all(bytes: &[u8], endian: Endian) -> Vec<RawInsn> {
        let slot = |chunk: &[u8]| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(chunk);
            bytes
        };
        let chunks = bytes.chunks_exact(8);
        match endian {
            Endian::Little => chunks.map(|c| RawInsn::from_bytes(slot(c), Endian::Little)).collect(),
            Endian::Big => chunks.map(|c| RawInsn::from_bytes(slot(c), Endian::Big)).collect(),
        }
    }

    /// The instruction class: the low three bits of the opcode, one of [`class`].
    #[doc(alias = "BPF_CLASS")]
    pub const fn class(self) -> u8 {
        self.opcode & 0x07
    }

    /// The operation of an ALU or JMP class instruction: the high four bits of the opcode.
    #[doc(alias = "BPF_OP")]
    pub const fn op(self) -> u8 {
        self.opcode & 0xf0
    }

    /// The mode of a load or store: the high three bits of the opcode, one of [`mode`].
    #[doc(alias = "BPF_MODE")]
    pub const fn mode(self) -> u8 {
        self.opcode & 0xe0
    }

    /// The size of a load or store: one of [`size`].
    #[doc(alias = "BPF_SIZE")]
    pub const fn size(self) -> u8 {
        self.opcode & 0x18
    }

    /// The first slot of the only wide instruction: a 64-bit immediate load, `lddw`. Its second slot
    /// carries the upper half of the immediate.
    #[doc(alias = "BPF_LD_IMM64")]
    pub const fn is_lddw(self) -> bool {
        self.opcode == (class::LD | size::DW | mode::IMM)
    }

    /// How many slots the instruction that starts here takes: 2 for `lddw`, else 1.
    pub const fn slots(self) -> u32 {
        if self.is_lddw() { 2 } else { 1 }
    }

    /// A call of any kind by immediate: of a helper, of a kfunc, or of a function of the same program.
    pub const fn is_call(self) -> bool {
        self.opcode == (class::JMP | jmp::CALL | source::K)
    }

    /// A call of a helper; `imm` is its number.
    pub const fn is_helper_call(self) -> bool {
        self.is_call() && self.src == 0
    }

    /// A call of a function of the same program; `imm` counts slots from the next instruction.
    pub const fn is_local_call(self) -> bool {
        self.is_call() && self.src == pseudo::CALL
    }

    /// A call of a kernel function; `imm` is its BTF id, `off` an index into the load's `fd_array`.
    pub const fn is_kfunc_call(self) -> bool {
        self.is_call() && self.src == pseudo::KFUNC_CALL
    }

    /// A `lddw` that loads the address of a function of the same program (a callback); `imm` counts
    /// slots from the next slot.
    pub const fn is_func_ref(self) -> bool {
        self.is_lddw() && self.src == pseudo::FUNC
    }

    /// A `lddw` that refers to a map, or to the value of one, by fd or by index.
    pub const fn is_map_ref(self) -> bool {
        self.is_lddw()
            && matches!(
                self.src,
                pseudo::MAP_FD | pseudo::MAP_VALUE | pseudo::MAP_IDX | pseudo::MAP_IDX_VALUE
            )
    }

    /// The end of a program or of a function of it.
    pub const fn is_exit(self) -> bool {
        self.opcode == (class::JMP | jmp::EXIT)
    }

    /// A jump with a target: `goto`, `gotol`, `may_goto` or a conditional jump. Calls, `exit` and
    /// `gotox` are none.
    pub const fn is_jump(self) -> bool {
        self.jump_offset().is_some()
    }

    /// Where a jump goes: how many slots after the one that follows it; `None` for what is no jump.
    pub const fn jump_offset(self) -> Option<i32> {
        if self.opcode == (class::JMP32 | jmp::JA) {
            return Some(self.imm);
        }
        let to_register = self.op() == jmp::JA && self.opcode & source::X != 0;
        let conditional = self.op() <= jmp::JSLE && self.op() != jmp::CALL && self.op() != jmp::EXIT;
        match self.class() {
            class::JMP if (conditional && !to_register) || self.opcode == (class::JMP | jmp::JCOND) => {
                Some(self.off as i32)
            }
            class::JMP32 if conditional && self.op() != jmp::JA => Some(self.off as i32),
            _ => None,
        }
    }

    /// Whether the program can go on with the slot after this instruction; not after `exit`, `goto`,
    /// `gotol` and `gotox`.
    pub const fn falls_through(self) -> bool {
        let jumps = matches!(self.class(), class::JMP | class::JMP32) && self.op() == jmp::JA;
        !self.is_exit() && !jumps
    }
}

/// Declares constants of one opcode part, each with the name that the UAPI gives it.
macro_rules! parts {
    ($( $(#[$meta:meta])* $module:ident { $( $name:ident = $value:expr, $uapi:literal, $doc:literal; )* } )*) => {
        $(
            $(#[$meta])*
            pub mod $module {
                $(
                    #[doc = concat!($doc, " (`", $uapi, "`).")]
                    #[doc(alias = $uapi)]
                    pub const $name: u8 = $value;
                )*
            }
        )*
    };
}

parts! {
    /// The classes: the low three bits of every opcode.
    class {
        LD = 0x00, "BPF_LD", "Loads of immediates, and the packet loads of classic BPF";
        LDX = 0x01, "BPF_LDX", "Loads from memory into a register";
        ST = 0x02, "BPF_ST", "Stores of an immediate";
        STX = 0x03, "BPF_STX", "Stores of a register, and atomic operations";
        ALU = 0x04, "BPF_ALU", "32-bit arithmetic, which zeroes the upper half of the register";
        JMP = 0x05, "BPF_JMP", "Jumps that compare 64 bits, calls and exit";
        JMP32 = 0x06, "BPF_JMP32", "Jumps that compare 32 bits, and the long goto";
        ALU64 = 0x07, "BPF_ALU64", "64-bit arithmetic";
    }
    /// The second operand of arithmetic and of jumps: bit 3 of the opcode.
    source {
        K = 0x00, "BPF_K", "The operand is the immediate";
        X = 0x08, "BPF_X", "The operand is the source register";
    }
    /// How many bytes a load or store moves: bits 3 and 4 of the opcode.
    size {
        W = 0x00, "BPF_W", "Four bytes";
        H = 0x08, "BPF_H", "Two bytes";
        B = 0x10, "BPF_B", "One byte";
        DW = 0x18, "BPF_DW", "Eight bytes";
    }
    /// How a load or store finds its operand: the high three bits of the opcode.
    mode {
        IMM = 0x00, "BPF_IMM", "A 64-bit immediate";
        ABS = 0x20, "BPF_ABS", "Packet data at a fixed offset";
        IND = 0x40, "BPF_IND", "Packet data at an offset from a register";
        MEM = 0x60, "BPF_MEM", "Memory at a register plus an offset";
        MEMSX = 0x80, "BPF_MEMSX", "The same, and the value's sign fills the register";
        ATOMIC = 0xc0, "BPF_ATOMIC", "An atomic operation, named by the immediate";
    }
    /// The operations of the ALU and ALU64 classes.
    alu {
        ADD = 0x00, "BPF_ADD", "Addition";
        SUB = 0x10, "BPF_SUB", "Subtraction";
        MUL = 0x20, "BPF_MUL", "Multiplication";
        DIV = 0x30, "BPF_DIV", "Division";
        OR = 0x40, "BPF_OR", "Bitwise or";
        AND = 0x50, "BPF_AND", "Bitwise and";
        LSH = 0x60, "BPF_LSH", "Shift left";
        RSH = 0x70, "BPF_RSH", "Shift right, zeros come in";
        NEG = 0x80, "BPF_NEG", "Negation";
        MOD = 0x90, "BPF_MOD", "Remainder";
        XOR = 0xa0, "BPF_XOR", "Bitwise exclusive or";
        MOV = 0xb0, "BPF_MOV", "Copy";
        ARSH = 0xc0, "BPF_ARSH", "Shift right, the sign comes in";
        END = 0xd0, "BPF_END", "Byte order";
    }
    /// The operations of the JMP and JMP32 classes.
    jmp {
        JA = 0x00, "BPF_JA", "Always";
        JEQ = 0x10, "BPF_JEQ", "If equal";
        JGT = 0x20, "BPF_JGT", "If greater, unsigned";
        JGE = 0x30, "BPF_JGE", "If greater or equal, unsigned";
        JSET = 0x40, "BPF_JSET", "If a common bit is set";
        JNE = 0x50, "BPF_JNE", "If not equal";
        JSGT = 0x60, "BPF_JSGT", "If greater, signed";
        JSGE = 0x70, "BPF_JSGE", "If greater or equal, signed";
        CALL = 0x80, "BPF_CALL", "Call";
        EXIT = 0x90, "BPF_EXIT", "Return";
        JLT = 0xa0, "BPF_JLT", "If less, unsigned";
        JLE = 0xb0, "BPF_JLE", "If less or equal, unsigned";
        JSLT = 0xc0, "BPF_JSLT", "If less, signed";
        JSLE = 0xd0, "BPF_JSLE", "If less or equal, signed";
        JCOND = 0xe0, "BPF_JCOND", "If the loop may go on: `may_goto`";
    }
    /// What the source register of a `lddw` or a call says about its immediate.
    pseudo {
        MAP_FD = 1, "BPF_PSEUDO_MAP_FD", "`lddw`: a map, by its fd";
        MAP_VALUE = 2, "BPF_PSEUDO_MAP_VALUE", "`lddw`: an offset into a map's only value, by the map's fd";
        BTF_ID = 3, "BPF_PSEUDO_BTF_ID", "`lddw`: a kernel variable, by its BTF id";
        FUNC = 4, "BPF_PSEUDO_FUNC", "`lddw`: a function of the same program";
        MAP_IDX = 5, "BPF_PSEUDO_MAP_IDX", "`lddw`: a map, by its place in the load's `fd_array`";
        MAP_IDX_VALUE = 6, "BPF_PSEUDO_MAP_IDX_VALUE", "`lddw`: an offset into a map's value, by its place in `fd_array`";
        CALL = 1, "BPF_PSEUDO_CALL", "`call`: a function of the same program";
        KFUNC_CALL = 2, "BPF_PSEUDO_KFUNC_CALL", "`call`: a function of the kernel, by its BTF id";
    }
}

/// The immediate of an atomic instruction: which operation it is.
pub mod atomic {
    /// With an arithmetic operation: the old value comes back in the source register (`BPF_FETCH`).
    #[doc(alias = "BPF_FETCH")]
    pub const FETCH: i32 = 0x01;
    /// Exchange: the old value comes back in the source register (`BPF_XCHG`).
    #[doc(alias = "BPF_XCHG")]
    pub const XCHG: i32 = 0xe0 | FETCH;
    /// Compare with `r0` and exchange if equal: the old value comes back in `r0` (`BPF_CMPXCHG`).
    #[doc(alias = "BPF_CMPXCHG")]
    pub const CMPXCHG: i32 = 0xf0 | FETCH;
    /// A load that no later access passes (`BPF_LOAD_ACQ`, since Linux 6.15).
    #[doc(alias = "BPF_LOAD_ACQ")]
    pub const LOAD_ACQ: i32 = 0x100;
    /// A store that no earlier access passes (`BPF_STORE_REL`, since Linux 6.15).
    #[doc(alias = "BPF_STORE_REL")]
    pub const STORE_REL: i32 = 0x110;
}
