//! The instruction set: from an operation in Rust to the eight bytes the kernel reads, and back.
//!
//! eBPF is the machine language of a computer that does not exist. Compilers write it, the kernel proves
//! that a program in it can do no harm, and then translates it for the real machine. This module has the
//! language in all its forms, and this chapter is an introduction to it: every claim that an example can
//! show, an example shows, and the examples are run as tests. What programs *compute* is tested against
//! the kernel, in `tests/insn_run.rs`.
//!
//! ```text
//!    Asm          method calls, labels, names          text      r0 = *(u32 *)(r1 + 4)
//!     |                                                 ^ |
//!     | finish()                            Listing     | |  text::assemble()
//!     v                                                 | v
//!    Code --insns()--> RawInsn --Insn::decode()-->  Insn        an instruction by its meaning
//!     |                   ^    <--Insn::encode()--
//!     | refs(), lines()   |
//!     v                   | to_bytes(), from_bytes()
//!   the loader            v
//!                     61 10 04 00 00 00 00 00                   eight bytes, in a byte order
//! ```
//!
//! # The machine
//!
//! There are ten registers of 64 bits, [`R0`] to [`R9`], and [`R10`], which points to the end of 512
//! bytes of stack. A program starts with its context in `r1` and ends with its result in `r0`. This is
//! the shortest one; it returns 2:
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! use rawbpf::bytes::Endian;
//! let mut a = Asm::new();
//! a.mov64(R0, 2).exit();
//! let code = a.finish()?;
//! assert_eq!(
//!     code.to_bytes(Endian::Little),
//!     [0xb7, 0, 0, 0, 2, 0, 0, 0,     // r0 = 2
//!      0x95, 0, 0, 0, 0, 0, 0, 0],    // exit
//! );
//! # Ok::<(), AsmError>(())
//! ```
//!
//! # Eight bytes
//!
//! An instruction is one *slot* of eight bytes, with five fields: the opcode, a destination and a source
//! register, a 16-bit offset and a 32-bit immediate. [`RawInsn`] is the five as numbers.
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let store = Insn::Store { size: W, dst: R10 - 4, src: R1.into() };
//! assert_eq!(store.to_string(), "*(u32 *)(r10 - 4) = r1");
//! assert_eq!(store.encode()[0], RawInsn { opcode: 0x63, dst: 10, src: 1, off: -4, imm: 0 });
//! ```
//!
//! The opcode is put together from parts, which [`raw`] has under their names:
//!
//! ```
//! use rawbpf::insn::{prelude::*, raw::{alu, class, mode, size, source}};
//! let opcode = |insn: Insn| insn.encode()[0].opcode;
//! let add = |src| Insn::Alu { width: W64, op: AluOp::Add, dst: R1, src };
//! assert_eq!(opcode(add(Source::Reg(R2))), class::ALU64 | source::X | alu::ADD);
//! assert_eq!(opcode(add(Source::Imm(5))), class::ALU64 | source::K | alu::ADD);
//! assert_eq!(opcode(Insn::Load { size: H, dst: R1, src: R2 + 0 }), class::LDX | size::H | mode::MEM);
//! ```
//!
//! In the bytes of a big-endian machine, the offset and the immediate are the other way round, and so
//! are the two registers, which share a byte:
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! use rawbpf::bytes::Endian;
//! let load = Insn::Load { size: W, dst: R1, src: R2 + 0x104 }.encode()[0];
//! assert_eq!(load.to_bytes(Endian::Little), [0x61, 0x21, 0x04, 0x01, 0, 0, 0, 0]);
//! assert_eq!(load.to_bytes(Endian::Big),    [0x61, 0x12, 0x01, 0x04, 0, 0, 0, 0]);
//! ```
//!
//! # Arithmetic
//!
//! Each operation exists on 64 bits and on the lower 32; assembly calls the lower half of `r1` `w1`. The
//! second operand is a register or a signed number of 32 bits.
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let add = |width, src| Insn::Alu { width, op: AluOp::Add, dst: R1, src };
//! assert_eq!(add(W64, Source::Imm(-1)).to_string(), "r1 += -1");
//! assert_eq!(add(W32, Source::Reg(R2)).to_string(), "w1 += w2");
//! ```
//!
//! What came later had to find room in the old fields. Signed division is a division whose offset is
//! 1, and a move that extends a sign says in the offset from how many bits:
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let slot = |insn: Insn| insn.encode()[0];
//! let divide = |op| slot(Insn::Alu { width: W64, op, dst: R1, src: Source::Reg(R2) });
//! assert_eq!(divide(AluOp::Sdiv), RawInsn { off: 1, ..divide(AluOp::Div) });
//! assert_eq!(slot(Insn::MovSx { kind: SignExtend::S16To64, dst: R1, src: R2 }).off, 16);
//! ```
//!
//! # Memory
//!
//! Loads and stores move 1, 2, 4 or 8 bytes at a register plus an offset. The stack grows down from
//! `r10`, so its offsets are negative.
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let mut a = Asm::new();
//! a.store(DW, R10 - 8, 0)             // u64 x = 0;
//!     .load(B, R0, R10 - 8)           // return the first byte of it
//!     .exit();
//! assert_eq!(a.finish()?.insns()[1].off, -8);
//! # Ok::<(), AsmError>(())
//! ```
//!
//! One opcode stands for all atomic operations; the immediate says which. (An assembler that forgets it
//! makes a plain addition of every one of them.)
//!
//! ```
//! use rawbpf::insn::{prelude::*, raw::atomic};
//! let slot = |op| Insn::Atomic { op, width: W64, dst: R1 + 0, src: R2 }.encode()[0];
//! assert_eq!(slot(AtomicOp::Add).opcode, slot(CmpXchg).opcode);
//! assert_eq!(slot(AtomicOp::Add).imm, 0);
//! assert_eq!(slot(FetchAdd).imm, atomic::FETCH);
//! assert_eq!(slot(CmpXchg).imm, atomic::CMPXCHG);
//! ```
//!
//! # Wide constants, and what stands for an address
//!
//! A number of more than 32 bits takes two slots: `lddw`, the only wide instruction. Places are
//! counted in slots ([`InsnIx`]), so whatever follows it is two further.
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let mut a = Asm::new();
//! a.lddw(R0, 0x1122_3344_5566_7788);
//! assert_eq!(a.position(), InsnIx(2));
//! ```
//!
//! The same instruction loads addresses that nobody knows before the load: of a map, of a global
//! variable, of the kernel's variables. Its source register, which it has no other use for, says what
//! the number stands for ([`Imm64`]). A program writes a name, and the loader the number:
//!
//! ```
//! use rawbpf::insn::{prelude::*, raw::pseudo};
//! let mut a = Asm::new();
//! a.lddw(R1, map("hits")).mov64(R0, 0).exit();
//! let code = a.finish()?;
//! assert_eq!(code.insns()[0].src, pseudo::MAP_FD);
//! assert_eq!(code.insns()[0].imm, 0);                         // the loader's to fill in
//! assert_eq!(code.refs(), [CodeRef { at: InsnIx(0), kind: RefKind::Map { name: "hits".into() } }]);
//! # Ok::<(), AsmError>(())
//! ```
//!
//! # Jumps
//!
//! A jump counts slots from the instruction after it, so `goto +0` does nothing, and `goto -1` is an
//! endless loop. In Rust, one jumps to a label:
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let mut a = Asm::new();
//! let out = a.label();
//! a.mov64(R0, 0)
//!     .jne(R1, 5, out)                // if (r1 != 5) goto out;
//!     .lddw(R0, 0x1_0000_0000)
//!     .bind(out)
//!     .exit();
//! assert_eq!(a.finish()?.insns()[1].off, 2);                  // over one lddw
//! # Ok::<(), AsmError>(())
//! ```
//!
//! # Calls
//!
//! Arguments are passed in `r1` to `r5`, the result comes back in `r0`, and `r6` to `r9` are kept.
//! There are three kinds of callee ([`Callee`]), again told apart by the source register: the
//! kernel's helpers, by a number that never changes; functions of the same program, by distance; and
//! kernel functions, by their type's id in the running kernel, which is looked up by name.
//!
//! ```
//! use rawbpf::insn::{prelude::*, raw::pseudo};
//! let mut a = Asm::named("main");
//! let twice = a.func("twice");
//! a.call(Helper::GetPrandomU32)
//!     .mov64(R1, R0)
//!     .call(twice)
//!     .call(kfunc("bpf_rcu_read_lock"))
//!     .call(kfunc("bpf_rcu_read_unlock"))
//!     .exit();
//! a.begin(twice).mov64(R0, R1).add64(R0, R1).exit();
//! let code = a.finish()?;
//! let call = |at: usize| (code.insns()[at].src, code.insns()[at].imm);
//! assert_eq!(call(0), (0, 7));                                // helper 7
//! assert_eq!(call(2), (pseudo::CALL, 3));                     // three slots further
//! assert_eq!(call(3), (pseudo::KFUNC_CALL, 0));               // the loader's to fill in
//! # Ok::<(), AsmError>(())
//! ```
//!
//! # Packets and contexts
//!
//! What a program is given, its context, is a struct, and so are the headers of a packet. [`ctx`] and [`net`]
//! have their fields by name: each knows its offset, its size and its byte order, so that
//! [`Asm::get`] reads a number and [`Asm::put`] writes one. Before a packet is read, a comparison
//! with its end has to prove to the verifier that the bytes are there: [`Asm::need`].
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let mut a = Asm::new();
//! let pass = a.label();
//! let inside = Bounds { end: R3, scratch: R0, short: pass };
//! a.get(R2, R1 + xdp_md::DATA)                                // void *packet = ctx->data;
//!     .get(R3, R1 + xdp_md::DATA_END)
//!     .need(R2, eth::BYTES + ipv4::BYTES, inside)             // if (packet + 34 > ctx->data_end) goto pass;
//!     .get(R4, R2 + eth::PROTO)                               // ntohs(eth->h_proto)
//!     .jne(R4, ETH_P_IP, pass)
//!     .bind(pass)
//!     .mov64(R0, XDP_PASS)
//!     .exit();
//! let text: Vec<String> = Listing::of(&a.finish()?).to_string().lines().map(|l| l.trim().into()).collect();
//! assert_eq!(text[3..6], ["r0 = r2", "r0 += 34", "if r0 > r3 goto L8"]);
//! assert_eq!(text[6..8], ["r4 = *(u16 *)(r2 + 12)", "r4 = be16 r4"]);
//! # use rawbpf::insn::Listing;
//! # Ok::<(), AsmError>(())
//! ```
//!
//! The programs in `examples/` go on from here: a socket filter, a table of source addresses, records in
//! a ring buffer, tail calls, a loop with a callback.
//!
//! # What is no instruction
//!
//! [`Insn::decode`] takes exactly what the language has. A field that an instruction does not use is
//! zero, or the slot is refused, as the kernel refuses it; so decoding and encoding are inverses, in
//! both directions.
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! let exit = Insn::Exit.encode()[0];
//! assert_eq!(Insn::decode(&[exit]), Ok((Insn::Exit, 1)));
//! let error = Insn::decode(&[RawInsn { off: 1, ..exit }]).unwrap_err();
//! assert_eq!(error.to_string(), "opcode 0x95: the offset is 1; this instruction keeps it zero");
//! ```
//!
//! # As text
//!
//! [`Listing`] prints code the way `llvm-objdump` and the verifier do, and [`text::assemble`] reads
//! that, with labels and names, into the same slots. A text can say everything else of an object, too
//! ([`text`]): `rawbpf disasm --text` writes it, `rawbpf asm` makes the object of it.
//!
//! ```
//! use rawbpf::insn::{Listing, text};
//! let source = "\
//! main:
//!     r0 = 1
//!     if r1 s> 10 goto L3
//!     r0 = 0
//! L3:
//!     exit
//! ";
//! let program = text::assemble("prog.s", source)?;
//! assert_eq!(Listing::of(&program.functions[0].code).to_string(), source);
//! # Ok::<(), text::TextErrors>(())
//! ```
//!
//! # Where to go from here
//!
//! [`raw`] (the bytes), [`Insn`] (the meanings), [`asm`] (the assembler), [`net`] and [`ctx`] (what
//! packets and contexts look like), [`disasm`] and [`text`]. The standard is RFC 9669; what
//! the kernel added since is marked with its release.

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
mod layouts;
pub mod net;
mod op;
pub mod raw;
mod reg;
pub mod text;

pub use asm::{Asm, AsmError};
pub use code::{Code, CodeFunc, CodeRef, LineRef, RefKind};
pub use decode::{DecodeError, Part};
pub use disasm::{Listing, SymbolNames};
pub use encode::Encoded;
pub use field::{Field, FieldAt, Layout};
pub use helper::Helper;
pub use inst::{Callee, Imm64, Insn};
pub use layouts::{layout, layouts};
pub use op::{AluOp, AtomicOp, Bits, Cast, JmpOp, SignExtend, SwapOp};
pub use raw::RawInsn;
pub use reg::{InsnIx, Mem, Narrow, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, Reg, Size, Source, Width};

/// Everything that a program which assembles instructions wants in scope.
pub mod prelude {
    pub use super::AtomicOp::{CmpXchg, FetchAdd, FetchAnd, FetchOr, FetchXor, Xchg};
    pub use super::Size::{B, DW, H, W};
    pub use super::Width::{W32, W64};
    pub use super::asm::{
        Asm, AsmError, Bounds, CallTarget, External, Func, Label, Wide, external, kfunc, ksym, map, map_value,
    };
    pub use super::ctx::*;
    pub use super::net::*;
    pub use super::{
        AluOp, AtomicOp, Callee, Cast, Code, CodeFunc, CodeRef, Field, Helper, Imm64, Insn, InsnIx, JmpOp,
        LineRef, Mem, Narrow, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, RawInsn, RefKind, Reg, SignExtend,
        Size, Source, Width,
    };
}
