//! Loads, stores, atomic operations, and 64-bit constants.

use super::operand::{Wide, WideKind};
use super::{Asm, Goal};
use crate::insn::code::RefKind;
use crate::insn::{AtomicOp, Imm64, Insn, Mem, Narrow, Reg, Size, Source, Width};
use std::panic::Location;

/// # Memory
///
/// Memory is a register plus an offset: `R10 - 4` is the first four bytes of the stack, `R1 + 8` the
/// third word of a context.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// a.load(W, R0, R1 + 4)                       // r0 = *(u32 *)(r1 + 4)
///     .store(DW, R10 - 8, R0)                 // *(u64 *)(r10 - 8) = r0
///     .store(B, R10 - 9, 1)                   // *(u8 *)(r10 - 9) = 1
///     .exit();
/// # a.finish()?;
/// # Ok::<(), AsmError>(())
/// ```
impl Asm {
    /// `dst = *(size *)(src)`; the bits above the size become zero.
    #[doc(alias = "BPF_LDX_MEM")]
    #[track_caller]
    #[inline]
    pub fn load(&mut self, size: Size, dst: Reg, src: impl Into<Mem>) -> &mut Asm {
        self.emit(Insn::Load { size, dst, src: src.into() }, Location::caller())
    }

    /// `dst = *(s32 *)(src)` and the like; the bits above the size become copies of the sign. Since
    /// Linux 6.6.
    #[doc(alias = "BPF_LDX_MEMSX")]
    #[track_caller]
    #[inline]
    pub fn load_sx(&mut self, size: Narrow, dst: Reg, src: impl Into<Mem>) -> &mut Asm {
        self.emit(Insn::LoadSx { size, dst, src: src.into() }, Location::caller())
    }

    /// `*(size *)(dst) = src`: a register's low bytes, or a number.
    #[doc(alias("BPF_STX_MEM", "BPF_ST_MEM"))]
    #[track_caller]
    #[inline]
    pub fn store(&mut self, size: Size, dst: impl Into<Mem>, src: impl Into<Source>) -> &mut Asm {
        self.emit(Insn::Store { size, dst: dst.into(), src: src.into() }, Location::caller())
    }

    /// An atomic operation on 4 or 8 bytes of memory.
    ///
    /// ```
    /// use rawbpf::insn::prelude::*;
    /// let mut a = Asm::new();
    /// a.atomic(FetchAdd, W64, R1, R2)         // r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)
    ///     .atomic(CmpXchg, W32, R1 + 8, R3)   // w0 = cmpxchg32_32(r1 + 8, w0, w3)
    ///     .atomic(AtomicOp::Add, W64, R1, R2) // lock *(u64 *)(r1 + 0) += r2
    ///     .exit();
    /// # a.finish()?;
    /// # Ok::<(), AsmError>(())
    /// ```
    #[doc(alias("BPF_ATOMIC_OP", "BPF_STX_XADD", "BPF_ATOMIC"))]
    #[track_caller]
    #[inline]
    pub fn atomic(&mut self, op: AtomicOp, width: Width, dst: impl Into<Mem>, src: Reg) -> &mut Asm {
        self.emit(Insn::Atomic { op, width, dst: dst.into(), src }, Location::caller())
    }

    /// `dst = load_acquire((size *)(src))`: no later access is seen before this one. Since Linux 6.15.
    #[doc(alias("BPF_LOAD_ACQ", "smp_load_acquire"))]
    #[track_caller]
    #[inline]
    pub fn load_acquire(&mut self, size: Size, dst: Reg, src: impl Into<Mem>) -> &mut Asm {
        self.emit(Insn::LoadAcquire { size, dst, src: src.into() }, Location::caller())
    }

    /// `store_release((size *)(dst), src)`: no earlier access is seen after this one. Since Linux 6.15.
    #[doc(alias("BPF_STORE_REL", "smp_store_release"))]
    #[track_caller]
    #[inline]
    pub fn store_release(&mut self, size: Size, dst: impl Into<Mem>, src: Reg) -> &mut Asm {
        self.emit(Insn::StoreRelease { size, dst: dst.into(), src }, Location::caller())
    }

    /// `r0 = *(size *)skb[off]`: packet data in machine order, for socket filters and `tc`. `r6` must
    /// hold the context. A packet that is too short ends the program with 0.
    #[doc(alias = "BPF_LD_ABS")]
    #[track_caller]
    #[inline]
    pub fn load_packet(&mut self, size: Narrow, off: impl Into<i32>) -> &mut Asm {
        self.emit(Insn::LoadPacket { size, index: None, off: off.into() }, Location::caller())
    }

    /// `r0 = *(size *)skb[index + off]`: as [`Asm::load_packet`], at a register plus an offset.
    #[doc(alias = "BPF_LD_IND")]
    #[track_caller]
    #[inline]
    pub fn load_packet_at(&mut self, size: Narrow, index: Reg, off: impl Into<i32>) -> &mut Asm {
        self.emit(Insn::LoadPacket { size, index: Some(index), off: off.into() }, Location::caller())
    }

    /// `dst = src ll`: 64 bits at once, in two slots. A number, or something whose address only the load
    /// decides: a [`map`](super::map), a [`map_value`](super::map_value), a kernel variable
    /// ([`ksym`](super::ksym)), a function of this program ([`Asm::func`]).
    #[doc(alias(
        "BPF_LD_IMM64",
        "BPF_LD_MAP_FD",
        "BPF_LD_MAP_VALUE",
        "BPF_LD_IMM64_RAW",
        "BPF_LD_IMM64_RAW_FULL"
    ))]
    #[track_caller]
    #[inline]
    pub fn lddw(&mut self, dst: Reg, src: impl Into<Wide>) -> &mut Asm {
        let at = Location::caller();
        match src.into().0 {
            WideKind::Imm(imm) => self.emit(Insn::LoadImm64 { dst, imm }, at),
            WideKind::Func(func) => {
                self.emit_to(Insn::LoadImm64 { dst, imm: Imm64::Func { off: 0 } }, Goal::Func(func), at)
            }
            WideKind::Map(name) => {
                self.emit_ref(Insn::LoadImm64 { dst, imm: Imm64::MapFd(0) }, RefKind::Map { name }, at)
            }
            WideKind::MapValue(name, off) => {
                let imm = Imm64::MapValue { fd: 0, off };
                self.emit_ref(Insn::LoadImm64 { dst, imm }, RefKind::MapValue { name, off }, at)
            }
            WideKind::Ksym(name) => {
                let imm = Imm64::BtfId { id: 0, btf_fd: 0 };
                self.emit_ref(Insn::LoadImm64 { dst, imm }, RefKind::Ksym { name }, at)
            }
            WideKind::External(name) => {
                let imm = Imm64::Func { off: -1 };
                self.emit_ref(Insn::LoadImm64 { dst, imm }, RefKind::FuncAddr { name }, at)
            }
        }
    }
}
