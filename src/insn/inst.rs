//! [`Insn`]: an instruction by its meaning.

use super::Helper;
use super::op::{AluOp, AtomicOp, Bits, Cast, JmpOp, SignExtend, SwapOp};
use super::reg::{Mem, Narrow, R0, Reg, Size, Source, Width};

/// One instruction. What RFC 9669 or the kernel forbids has no value of this type: there is no
/// 8-byte sign-extending load, no 16-bit atomic addition, no jump by 32 bits under a condition.
///
/// [`Insn::encode`] is total, and [`Insn::decode`] is its inverse in both directions. `Display` prints
/// the assembly of LLVM:
///
/// ```
/// use rawbpf::insn::{Insn, R0, R1, Size};
/// let load = Insn::Load { size: Size::W, dst: R0, src: R1 + 4 };
/// assert_eq!(load.to_string(), "r0 = *(u32 *)(r1 + 4)");
/// let raw = load.encode();
/// assert_eq!(Insn::decode(&raw), Ok((load, 1)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Insn {
    /// `r1 += r2`, `w1 = 5`: arithmetic, and the move.
    #[doc(alias("BPF_ALU64_REG", "BPF_ALU64_IMM", "BPF_ALU32_REG", "BPF_ALU32_IMM"))]
    Alu {
        /// 32 or 64 bits.
        width: Width,
        /// What to do.
        op: AluOp,
        /// First operand and result.
        dst: Reg,
        /// Second operand.
        src: Source,
    },
    /// `r1 = -r1`.
    #[doc(alias = "BPF_NEG")]
    Neg {
        /// 32 or 64 bits.
        width: Width,
        /// Operand and result.
        dst: Reg,
    },
    /// `r1 = (s8)r2`: a move that extends a sign.
    #[doc(alias("BPF_MOVSX64_REG", "BPF_MOVSX32_REG"))]
    MovSx {
        /// From how many bits to how many.
        kind: SignExtend,
        /// Result.
        dst: Reg,
        /// Operand.
        src: Reg,
    },
    /// `r1 = be16 r1`: the byte order of a register's low bits; the bits above become zero.
    #[doc(alias("BPF_ENDIAN", "BPF_BSWAP", "BPF_END"))]
    Swap {
        /// To which order.
        op: SwapOp,
        /// How many bits.
        bits: Bits,
        /// Operand and result.
        dst: Reg,
    },
    /// `r0 = addr_space_cast(r1, 0, 1)`: an arena's address in the other address space.
    #[doc(alias = "BPF_ADDR_SPACE_CAST")]
    AddrSpaceCast {
        /// In which direction.
        cast: Cast,
        /// Result.
        dst: Reg,
        /// Operand.
        src: Reg,
    },
    /// `r0 = *(u32 *)(r1 + 4)`: a load; the bits above the size become zero.
    #[doc(alias = "BPF_LDX_MEM")]
    Load {
        /// How many bytes.
        size: Size,
        /// Result.
        dst: Reg,
        /// From where.
        src: Mem,
    },
    /// `r0 = *(s32 *)(r1 + 4)`: a load that fills the register with the value's sign; since Linux 6.6.
    #[doc(alias = "BPF_LDX_MEMSX")]
    LoadSx {
        /// How many bytes.
        size: Narrow,
        /// Result.
        dst: Reg,
        /// From where.
        src: Mem,
    },
    /// `r0 = *(u16 *)skb[12]`, `r0 = *(u8 *)skb[r3 + 9]`: packet data of a socket filter, in the
    /// machine's byte order; outside the packet, the program ends with 0. `r6` holds the context. A
    /// legacy of classic BPF.
    #[doc(alias("BPF_LD_ABS", "BPF_LD_IND"))]
    LoadPacket {
        /// How many bytes.
        size: Narrow,
        /// A register to add to the offset (`BPF_IND`), or none (`BPF_ABS`).
        index: Option<Reg>,
        /// Offset in the packet; negative ones name the metadata of classic BPF.
        off: i32,
    },
    /// `r1 = 81985529216486895 ll`: the only instruction of two slots.
    #[doc(alias("BPF_LD_IMM64", "lddw"))]
    LoadImm64 {
        /// Result.
        dst: Reg,
        /// A number, or what stands for one until the load.
        imm: Imm64,
    },
    /// `*(u32 *)(r10 - 4) = r1`: a store of a register's low bytes, or of an immediate.
    #[doc(alias("BPF_STX_MEM", "BPF_ST_MEM"))]
    Store {
        /// How many bytes.
        size: Size,
        /// To where.
        dst: Mem,
        /// What.
        src: Source,
    },
    /// `lock *(u64 *)(r1 + 0) += r2`: memory changes in one step that no other CPU can cut in two.
    #[doc(alias("BPF_ATOMIC_OP", "BPF_STX_XADD"))]
    Atomic {
        /// What to do.
        op: AtomicOp,
        /// 32 or 64 bits.
        width: Width,
        /// To where.
        dst: Mem,
        /// The operand, and for some operations also the result.
        src: Reg,
    },
    /// `r1 = load_acquire((u32 *)(r2 + 0))`: later accesses stay behind it; since Linux 6.15.
    #[doc(alias = "BPF_LOAD_ACQ")]
    LoadAcquire {
        /// How many bytes.
        size: Size,
        /// Result.
        dst: Reg,
        /// From where.
        src: Mem,
    },
    /// `store_release((u32 *)(r1 + 0), r2)`: earlier accesses stay before it; since Linux 6.15.
    #[doc(alias = "BPF_STORE_REL")]
    StoreRelease {
        /// How many bytes.
        size: Size,
        /// To where.
        dst: Mem,
        /// What.
        src: Reg,
    },
    /// `goto +3`.
    #[doc(alias = "BPF_JMP_A")]
    Jump {
        /// Slots to skip, from the next instruction.
        off: i16,
    },
    /// `gotol +100000`: the jump with 32 bits of distance; since Linux 6.6.
    #[doc(alias = "BPF_JMP32_A")]
    JumpFar {
        /// Slots to skip, from the next instruction.
        off: i32,
    },
    /// `if r0 > 5 goto +3`.
    #[doc(alias("BPF_JMP_REG", "BPF_JMP_IMM", "BPF_JMP32_REG", "BPF_JMP32_IMM"))]
    JumpIf {
        /// Whether 32 or 64 bits are compared; 32 since Linux 5.1.
        width: Width,
        /// The condition.
        op: JmpOp,
        /// First operand.
        dst: Reg,
        /// Second operand.
        src: Source,
        /// Slots to skip, from the next instruction.
        off: i16,
    },
    /// `may_goto +3`: a jump that the kernel takes when a loop has run too long; since Linux 6.9.
    #[doc(alias("BPF_MAY_GOTO", "BPF_JCOND"))]
    MayGoto {
        /// Slots to skip, from the next instruction.
        off: i16,
    },
    /// `gotox r1`: a jump to an address from a jump table (an `insn_array` map); since Linux 6.19.
    JumpReg {
        /// Where to.
        to: Reg,
    },
    /// `call 1`: a call by number, of what the [`Callee`] says.
    #[doc(alias("BPF_EMIT_CALL", "BPF_CALL_REL"))]
    Call(Callee),
    /// `callx r1`: a call by address. LLVM and GCC make it, no kernel up to 7.3 takes it.
    CallReg {
        /// The address.
        to: Reg,
    },
    /// `exit`: back to the caller, or out of the program, with the result in `r0`.
    #[doc(alias = "BPF_EXIT_INSN")]
    Exit,
}

impl Insn {
    /// The register that the instruction writes, besides those that a call may: `None` for a store, a
    /// jump or an exit.
    pub const fn written(self) -> Option<Reg> {
        match self {
            Insn::Alu { dst, .. }
            | Insn::Neg { dst, .. }
            | Insn::MovSx { dst, .. }
            | Insn::Swap { dst, .. }
            | Insn::AddrSpaceCast { dst, .. }
            | Insn::Load { dst, .. }
            | Insn::LoadSx { dst, .. }
            | Insn::LoadImm64 { dst, .. }
            | Insn::LoadAcquire { dst, .. } => Some(dst),
            Insn::LoadPacket { .. } | Insn::Call(_) | Insn::CallReg { .. } => Some(R0),
            Insn::Atomic { op, src, .. } => match op {
                AtomicOp::Add | AtomicOp::Or | AtomicOp::And | AtomicOp::Xor => None,
                AtomicOp::CmpXchg => Some(R0),
                _ => Some(src),
            },
            _ => None,
        }
    }
}

/// What a `lddw` loads. All but a plain value are replaced by the kernel with an address at load time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Imm64 {
    /// The 64 bits themselves.
    Value(u64),
    /// The address of a map.
    #[doc(alias("BPF_LD_MAP_FD", "BPF_PSEUDO_MAP_FD"))]
    MapFd(i32),
    /// An address in the only value of an array map; since Linux 5.2.
    #[doc(alias("BPF_LD_MAP_VALUE", "BPF_PSEUDO_MAP_VALUE"))]
    MapValue {
        /// The map.
        fd: i32,
        /// Bytes from the start of the value.
        off: u32,
    },
    /// The address of a kernel variable; since Linux 5.10.
    #[doc(alias = "BPF_PSEUDO_BTF_ID")]
    BtfId {
        /// The variable's BTF id.
        id: u32,
        /// The fd of the module's BTF; 0 for the kernel's own.
        btf_fd: i32,
    },
    /// The address of a function of the same program, to hand it to a helper that calls back; since
    /// Linux 5.13.
    #[doc(alias = "BPF_PSEUDO_FUNC")]
    Func {
        /// Slots to the function, from the slot after this one.
        off: i32,
    },
    /// The address of a map, by its place in the load's `fd_array`; since Linux 5.14.
    #[doc(alias = "BPF_PSEUDO_MAP_IDX")]
    MapIdx(u32),
    /// As `MapValue`, by the map's place in the load's `fd_array`; since Linux 5.14.
    #[doc(alias = "BPF_PSEUDO_MAP_IDX_VALUE")]
    MapIdxValue {
        /// The map's place.
        ix: u32,
        /// Bytes from the start of the value.
        off: u32,
    },
}

/// Whom a call by immediate calls.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Callee {
    /// A helper, by number.
    #[doc(alias("BPF_EMIT_CALL", "BPF_CALL_FUNC"))]
    Helper(Helper),
    /// A function of the same program; since Linux 4.16.
    #[doc(alias("BPF_CALL_REL", "BPF_PSEUDO_CALL"))]
    Local {
        /// Slots to the function, from the next instruction.
        off: i32,
    },
    /// A function of the kernel that it lets programs call; since Linux 5.13.
    #[doc(alias = "BPF_PSEUDO_KFUNC_CALL")]
    Kfunc {
        /// The function's BTF id.
        btf_id: u32,
        /// For a function of a module: where its BTF's fd stands in the load's `fd_array`. 0 for the
        /// kernel's own.
        fd_ix: i16,
    },
}
