//! Fields of structures, bounds of packets, slots of the stack: the patterns that programs repeat.

use super::{Asm, AsmError, CallSite, Label};
use crate::bytes::Endian;
use crate::insn::field::FieldAt;
use crate::insn::{AluOp, Bits, Insn, JmpOp, Mem, R10, Reg, Size, Source, SwapOp, Width};
use std::panic::Location;

/// How a program checks that bytes of a packet are there, written once: see [`Asm::need`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The register that holds the end of the packet (`data_end`).
    pub end: Reg,
    /// A register that the check may overwrite.
    pub scratch: Reg,
    /// Where to go when the packet is too short.
    pub short: Label,
}

/// # Structures and packets
///
/// Reading a packet takes three steps, in C as here: fetch its two ends from the context, prove to the
/// verifier that the bytes are inside, read them.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// // An XDP program that drops UDP to port 53 over IPv4.
/// let mut a = Asm::named("no_dns");
/// let pass = a.label();
/// let packet = Bounds { end: R3, scratch: R0, short: pass };
///
/// a.get(R2, R1 + xdp_md::DATA)                            // void *p = ctx->data;
///     .get(R3, R1 + xdp_md::DATA_END)                     // void *end = ctx->data_end;
///
///     .need(R2, eth::BYTES, packet)                       // if (p + sizeof(*eth) > end) goto pass;
///     .get(R4, R2 + eth::PROTO)
///     .jne(R4, ETH_P_IP, pass)                            // if (ntohs(eth->h_proto) != ETH_P_IP) ..
///     .add64(R2, i32::from(eth::BYTES))
///
///     .need(R2, ipv4::BYTES, packet)                      // struct iphdr *ip = p;
///     .get(R4, R2 + ipv4::PROTOCOL)
///     .jne(R4, IPPROTO_UDP, pass)
///     .ipv4_header_len(R4, R2)
///     .add64(R2, R4)                                      // p += ip->ihl * 4;
///
///     .need(R2, udp::BYTES, packet)                       // struct udphdr *udp = p;
///     .get(R4, R2 + udp::DEST)
///     .jne(R4, 53, pass)
///     .mov64(R0, XDP_DROP)
///     .exit();
///
/// a.bind(pass).mov64(R0, XDP_PASS).exit();
/// let code = a.finish()?;
/// assert_eq!(code.insns().len(), 28);
/// # Ok::<(), AsmError>(())
/// ```
impl Asm {
    /// `dst = base->field`, as a number: the load of a field in network order is followed by the change
    /// to machine order. For the bytes as they lie, [`Asm::load`] takes the same operand.
    #[track_caller]
    pub fn get(&mut self, dst: Reg, field: impl Into<FieldAt>) -> &mut Asm {
        let (at, FieldAt { mem, size, network }) = (Location::caller(), field.into());
        self.emit(Insn::Load { size, dst, src: mem }, at);
        if let Some(bits) = network {
            self.emit(Insn::Swap { op: SwapOp::Be, bits, dst }, at);
        }
        self
    }

    /// `base->field = src`, a number: into a field in network order it goes in network order. A register
    /// is changed to that order first, and stays changed. For the bytes as they are, [`Asm::store`]
    /// takes the same operand.
    ///
    /// ```
    /// use rawbpf::insn::prelude::*;
    /// use rawbpf::bytes::Endian;
    /// let mut a = Asm::new();
    /// a.endian(Endian::Little).put(R2 + udp::DEST, 53).exit();
    /// assert_eq!(a.finish()?.insns()[0].imm, 0x3500);
    /// # Ok::<(), AsmError>(())
    /// ```
    #[track_caller]
    pub fn put(&mut self, field: impl Into<FieldAt>, src: impl Into<Source>) -> &mut Asm {
        let (at, FieldAt { mem, size, network }) = (Location::caller(), field.into());
        let src = src.into();
        if let Source::Imm(imm) = src {
            self.check_fits(imm, size, at);
        }
        let src = match (network, src) {
            (Some(bits), Source::Reg(dst)) => {
                self.emit(Insn::Swap { op: SwapOp::Be, bits, dst }, at);
                Source::Reg(dst)
            }
            (Some(Bits::B16), Source::Imm(imm)) => Source::Imm(self.htons(imm as u16)),
            (Some(Bits::B32), Source::Imm(imm)) => Source::Imm(self.htonl(imm as u32)),
            (_, src) => src,
        };
        self.emit(Insn::Store { size, dst: mem, src }, at)
    }

    /// Goes to `bounds.short` unless `bytes` bytes from `from` on are inside the packet:
    /// `if (from + bytes > end) goto short`.
    #[track_caller]
    pub fn need(&mut self, from: Reg, bytes: impl Into<i32>, bounds: Bounds) -> &mut Asm {
        let at = Location::caller();
        let Bounds { end, scratch, short } = bounds;
        if scratch == from || scratch == end {
            self.errors.push(AsmError::Scratch { at, scratch });
        }
        self.lea_at(scratch, from, bytes.into(), at);
        let (width, op) = (Width::W64, JmpOp::Gt);
        self.branch(width, op, scratch, end.into(), short, at)
    }

    /// `dst = base + offset`: the address of a memory operand.
    #[track_caller]
    pub fn lea(&mut self, dst: Reg, of: impl Into<Mem>) -> &mut Asm {
        let Mem { base, off } = of.into();
        self.lea_at(dst, base, i32::from(off), Location::caller())
    }

    fn lea_at(&mut self, dst: Reg, base: Reg, off: i32, at: CallSite) -> &mut Asm {
        let width = Width::W64;
        if dst != base {
            self.emit(Insn::Alu { width, op: AluOp::Mov, dst, src: base.into() }, at);
        }
        if off != 0 {
            self.emit(Insn::Alu { width, op: AluOp::Add, dst, src: off.into() }, at);
        }
        self
    }

    /// Copies `bytes` bytes of memory through a register: eight at a time, and fewer where they end or where
    /// the stack, which has to be accessed aligned, wants it.
    ///
    /// ```
    /// use rawbpf::insn::prelude::*;
    /// let mut a = Asm::new();
    /// let source = a.stack(16);
    /// a.copy(source, R2 + eth::BYTES + ipv6::SADDR, 16, R4).exit();  // source = ip6->saddr;
    /// # let code = a.finish()?;
    /// # assert_eq!(code.insns().len(), 5);
    /// # Ok::<(), AsmError>(())
    /// ```
    #[doc(alias = "memcpy")]
    #[track_caller]
    pub fn copy(&mut self, to: impl Into<Mem>, from: impl Into<Mem>, bytes: u16, by: Reg) -> &mut Asm {
        let (at, to, from) = (Location::caller(), to.into(), from.into());
        if by == to.base || by == from.base {
            self.errors.push(AsmError::Scratch { at, scratch: by });
        }
        let mut done = 0;
        while done < bytes {
            let left = bytes.saturating_sub(done);
            let sizes = [Size::DW, Size::W, Size::H, Size::B];
            let shift = |mem: Mem| Mem { off: mem.off.wrapping_add_unsigned(done), ..mem };
            let aligned = |mem: Mem, size: Size| mem.base != R10 || mem.off % i16::from(size.bytes()) == 0;
            let fits = |size: &Size| {
                u16::from(size.bytes()) <= left && aligned(shift(to), *size) && aligned(shift(from), *size)
            };
            let size = sizes.into_iter().find(fits).unwrap_or(Size::B);
            self.emit(Insn::Load { size, dst: by, src: shift(from) }, at);
            self.emit(Insn::Store { size, dst: shift(to), src: by.into() }, at);
            done = done.saturating_add(size.bytes().into());
        }
        self
    }

    /// `dst = ip->ihl * 4`: the length of the IPv4 header at `ip`, in bytes, options included.
    #[track_caller]
    pub fn ipv4_header_len(&mut self, dst: Reg, ip: impl Into<Mem>) -> &mut Asm {
        let (at, width) = (Location::caller(), Width::W64);
        self.emit(Insn::Load { size: Size::B, dst, src: ip.into() }, at);
        self.emit(Insn::Alu { width, op: AluOp::And, dst, src: Source::Imm(0x0f) }, at);
        self.emit(Insn::Alu { width, op: AluOp::Lsh, dst, src: Source::Imm(2) }, at)
    }

    /// A field takes its numbers with and without a sign.
    fn check_fits(&mut self, imm: i32, size: Size, at: CallSite) {
        let fits = match size {
            Size::B => (i32::from(i8::MIN)..=i32::from(u8::MAX)).contains(&imm),
            Size::H => (i32::from(i16::MIN)..=i32::from(u16::MAX)).contains(&imm),
            Size::W | Size::DW => true,
        };
        if !fits {
            self.errors.push(AsmError::FieldTooSmall { at, imm, bytes: size.bytes() });
        }
    }

    /// The 16-bit number as it reads in a register when it was loaded from network data without a
    /// change of order.
    #[doc(alias = "bpf_htons")]
    pub fn htons(&self, value: u16) -> i32 {
        i32::from(match self.endian {
            Endian::Little => value.swap_bytes(),
            Endian::Big => value,
        })
    }

    /// As [`Asm::htons`], of 32 bits; for a 32-bit comparison.
    #[doc(alias = "bpf_htonl")]
    pub fn htonl(&self, value: u32) -> i32 {
        (match self.endian {
            Endian::Little => value.swap_bytes(),
            Endian::Big => value,
        }) as i32
    }
}

/// # The stack
///
/// A function has 512 bytes below `r10`. A slot is taken once and has its place until the function
/// ends; the kernel wants slots aligned to their size, and written before they are read.
///
/// ```
/// use rawbpf::insn::prelude::*;
/// let mut a = Asm::new();
/// let key = a.slot(W);
/// let value = a.slot(DW);
/// a.put(key, 0)                               // u32 key = 0;
///     .put(value, R1)                         // u64 value = ..;
///     .lea(R2, key)                           // &key
///     .lea(R3, value)                         // &value
///     .lddw(R1, map("last"))
///     .mov64(R4, 0)
///     .call(Helper::MapUpdateElem)
///     .mov64(R0, 0)
///     .exit();
/// let code = a.finish()?;
/// assert_eq!(code.insns()[0].off, -4);
/// assert_eq!(code.insns()[1].off, -16);       // aligned to 8
/// # Ok::<(), AsmError>(())
/// ```
impl Asm {
    /// Takes a slot of the current function's stack for one value.
    #[track_caller]
    pub fn slot(&mut self, size: Size) -> FieldAt {
        let mem = self.take_stack(u32::from(size.bytes()), u32::from(size.bytes()), Location::caller());
        FieldAt { mem, size, network: None }
    }

    /// Takes that many bytes of the current function's stack, aligned to 8: the start of a structure
    /// or a buffer.
    ///
    /// ```
    /// use rawbpf::insn::prelude::*;
    /// let mut a = Asm::new();
    /// let name = a.stack(16);
    /// assert_eq!(name, R10 - 16);
    /// ```
    #[track_caller]
    pub fn stack(&mut self, bytes: u16) -> Mem {
        self.take_stack(u32::from(bytes), 8, Location::caller())
    }

    fn take_stack(&mut self, bytes: u32, align: u32, at: CallSite) -> Mem {
        let Some(decl) = self.funcs.get_mut(self.current) else { return Mem::from(R10) };
        let used = decl.stack.saturating_add(bytes).next_multiple_of(align);
        if used > MAX_STACK {
            let function = decl.name.clone();
            self.errors.push(AsmError::Stack { at, function, bytes: used });
            return Mem::from(R10);
        }
        decl.stack = used;
        Mem { base: R10, off: -(used as i16) }
    }
}

/// How many bytes of stack a program has, all its functions on one path together (`MAX_BPF_STACK`).
#[doc(alias = "MAX_BPF_STACK")]
pub const MAX_STACK: u32 = 512;
