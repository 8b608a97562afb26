//! The assembler: instructions as Rust method calls, labels as values, mistakes with their Rust line.
//!
//! An [`Asm`] collects instructions; [`Asm::finish`] puts the distances of jumps and calls in, checks
//! what can be checked without a kernel, and gives [`Code`](super::Code).
//!
//! ```
//! use rawbpf::insn::prelude::*;
//! // Count packets: hits[0] += 1, and let the packet pass.
//! let mut a = Asm::named("count_packets");
//! let out = a.label();
//! a.store(W, R10 - 4, 0)                      // u32 key = 0, on the stack
//!     .mov64(R2, R10)
//!     .add64(R2, -4)                          // r2 = &key
//!     .lddw(R1, map("packet_count_map"))
//!     .call(Helper::MapLookupElem)            // r0 = the value's address, or 0
//!     .jeq(R0, 0, out)
//!     .mov64(R1, 1)
//!     .atomic(FetchAdd, W64, R0, R1)
//!     .bind(out)
//!     .mov64(R0, XDP_PASS)
//!     .exit();
//! let code = a.finish()?;
//! assert_eq!(code.insns().len(), 11);
//! # Ok::<(), AsmError>(())
//! ```
//!
//! The methods are named as the kernel names its macros, in lower case: `BPF_MOV64_IMM(dst, imm)` and
//! `BPF_MOV64_REG(dst, src)` are both [`mov64`](Asm::mov64), because the operand says which it is.
//! `docs/INSN.md` has the whole table.
//!
//! ```text
//!   method calls           finish()
//!   ------------>  slots   -------->  funcs   the distances of calls
//!                  labels             jumps   the distances of jumps, gotol where 16 bits do not reach
//!                  names              checks  nothing unbound, no function that runs past its end
//!                  places             Code    slots + what only the load can fill in + Rust lines
//! ```

mod alu;
mod error;
mod jump;
mod link;
mod memory;
mod operand;
mod packet;

pub use error::{AsmError, CallSite};
pub use operand::{CallTarget, External, Func, Label, Wide, external, kfunc, ksym, map, map_value};

pub use packet::{Bounds, MAX_STACK};

use super::code::{CodeRef, RefKind};
use super::{AluOp, Insn, InsnIx, R10, RawInsn, Source, Width};
use crate::bytes::Endian;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};

/// A program in the making. See [the module](self).
#[derive(Debug)]
pub struct Asm {
    /// Told apart from every other `Asm` of the process, so that a label of another is noticed.
    id: u32,
    endian: Endian,
    long_jumps: bool,
    slots: Vec<RawInsn>,
    /// For each slot, the line of Rust that wrote it.
    places: Vec<CallSite>,
    labels: Vec<Option<Bound>>,
    funcs: Vec<FuncDecl>,
    /// The function whose instructions are being written.
    current: usize,
    fixes: Vec<Fix>,
    refs: Vec<CodeRef>,
    errors: Vec<AsmError>,
}

/// Where a label or a function was bound.
#[derive(Clone, Copy, Debug)]
struct Bound {
    slot: u32,
    func: u32,
    place: CallSite,
}

#[derive(Debug)]
struct FuncDecl {
    name: String,
    declared: CallSite,
    begun: Option<Bound>,
    stack: u32,
}

/// A slot whose distance `finish` fills in.
#[derive(Clone, Copy, Debug)]
struct Fix {
    slot: u32,
    func: u32,
    to: Goal,
}

/// What the distance leads to.
#[derive(Clone, Copy, Debug)]
enum Goal {
    /// A label, by 16 bits.
    Near(Label),
    /// A label, by 32 bits.
    Far(Label),
    /// A function, by 32 bits.
    Func(Func),
}

static NEXT_ID: AtomicU32 = AtomicU32::new(0);

impl Default for Asm {
    #[track_caller]
    fn default() -> Asm {
        Asm::new()
    }
}

impl Asm {
    /// An empty program, called `main`, for the byte order of this machine.
    #[track_caller]
    pub fn new() -> Asm {
        Asm::named("main")
    }

    /// An empty program of a name.
    #[track_caller]
    pub fn named(name: impl Into<String>) -> Asm {
        let place = Location::caller();
        let start = Bound { slot: 0, func: 0, place };
        let main = FuncDecl { name: name.into(), declared: place, begun: Some(start), stack: 0 };
        Asm {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            endian: Endian::NATIVE,
            long_jumps: false,
            slots: Vec::new(),
            places: Vec::new(),
            labels: Vec::new(),
            funcs: vec![main],
            current: 0,
            fixes: Vec::new(),
            refs: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Assembles for a machine of another byte order. This changes the constants that are compared with
    /// network data ([`Asm::htons`]); the slots themselves get their order when they become bytes.
    pub fn endian(&mut self, endian: Endian) -> &mut Asm {
        self.endian = endian;
        self
    }

    /// Whether a jump that 16 bits do not reach becomes a `gotol`, which needs Linux 6.6; else it is
    /// [`AsmError::TooFar`]. A conditional jump so far away becomes three instructions, so distances
    /// that were written as numbers ([`Asm::insn`]) do not go together with this.
    pub fn long_jumps(&mut self, allowed: bool) -> &mut Asm {
        self.long_jumps = allowed;
        self
    }

    /// The place of the next instruction: how many slots have been written.
    pub fn position(&self) -> InsnIx {
        InsnIx(self.slots.len() as u32)
    }

    /// Writes an instruction, whichever it is; the methods named after instructions are short for it.
    /// Distances in it are taken as they are.
    #[track_caller]
    #[inline]
    pub fn insn(&mut self, insn: Insn) -> &mut Asm {
        self.emit(insn, Location::caller())
    }

    /// Writes a slot unseen: for what [`Insn`] does not know.
    #[doc(alias("BPF_RAW_INSN", "BPF_RAW_REG"))]
    #[track_caller]
    pub fn raw(&mut self, slot: RawInsn) -> &mut Asm {
        self.slots.push(slot);
        self.places.push(Location::caller());
        self
    }

    /// A new label, not bound yet.
    pub fn label(&mut self) -> Label {
        let ix = self.labels.len() as u32;
        self.labels.push(None);
        Label { owner: self.id, ix }
    }

    /// A new label for the next instruction: the head of a loop.
    #[track_caller]
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// Gives a label its place: the next instruction.
    #[track_caller]
    pub fn bind(&mut self, label: Label) -> &mut Asm {
        let at = Location::caller();
        let bound = Bound { slot: self.position().0, func: self.current as u32, place: at };
        let own = label.owner == self.id;
        match self.labels.get_mut(label.ix as usize) {
            Some(slot @ None) if own => *slot = Some(bound),
            Some(Some(first)) if own => {
                let first = first.place;
                self.errors.push(AsmError::Rebound { at, first });
            }
            _ => self.errors.push(AsmError::Foreign { at }),
        }
        self
    }

    /// Declares a function of the program, to call ([`Asm::call`]) or to hand to a helper
    /// ([`Asm::lddw`]). Its instructions start where [`Asm::begin`] says.
    ///
    /// ```
    /// use rawbpf::insn::prelude::*;
    /// let mut a = Asm::new();
    /// let double = a.func("double");
    /// a.mov64(R1, 21).call(double).exit();
    /// a.begin(double).mov64(R0, R1).lsh64(R0, 1).exit();
    /// let code = a.finish()?;
    /// assert_eq!(code.insns()[1].imm, 1);       // the call skips one instruction, exit
    /// assert_eq!(code.funcs()[1].start, InsnIx(3));
    /// # Ok::<(), AsmError>(())
    /// ```
    #[track_caller]
    pub fn func(&mut self, name: impl Into<String>) -> Func {
        let (name, declared) = (name.into(), Location::caller());
        if self.funcs.iter().any(|f| f.name == name) {
            self.errors.push(AsmError::Duplicate { at: declared, function: name.clone() });
        }
        let ix = self.funcs.len() as u32;
        self.funcs.push(FuncDecl { name, declared, begun: None, stack: 0 });
        Func { owner: self.id, ix }
    }

    /// Starts the instructions of a function; they end where the next one begins.
    #[track_caller]
    pub fn begin(&mut self, func: Func) -> &mut Asm {
        let at = Location::caller();
        let slot = self.position().0;
        let own = func.owner == self.id;
        match self.funcs.get_mut(func.ix as usize) {
            Some(decl) if own => match decl.begun {
                None => {
                    decl.begun = Some(Bound { slot, func: func.ix, place: at });
                    self.current = func.ix as usize;
                }
                Some(first) => self.errors.push(AsmError::Rebound { at, first: first.place }),
            },
            _ => self.errors.push(AsmError::Foreign { at }),
        }
        self
    }

    /// Inlined into each method, where the kind of instruction is known and most of this falls away.
    #[inline(always)]
    fn emit(&mut self, insn: Insn, at: CallSite) -> &mut Asm {
        if insn.written() == Some(R10) {
            self.errors.push(AsmError::FramePointer { at });
        }
        if let Insn::Alu { width, op, src: Source::Imm(imm), .. } = insn {
            self.check_constant(width, op, imm, at);
        }
        let (first, second) = insn.encode().into_slots();
        self.slots.push(first);
        self.places.push(at);
        if let Some(second) = second {
            self.slots.push(second);
            self.places.push(at);
        }
        self
    }

    /// Writes an instruction whose distance `finish` fills in.
    #[inline]
    fn emit_to(&mut self, insn: Insn, to: Goal, at: CallSite) -> &mut Asm {
        self.fixes.push(Fix { slot: self.position().0, func: self.current as u32, to });
        self.emit(insn, at)
    }

    /// Writes an instruction that the loader completes.
    fn emit_ref(&mut self, insn: Insn, kind: RefKind, at: CallSite) -> &mut Asm {
        let ix = self.position();
        self.refs.push(CodeRef { at: ix, kind });
        self.emit(insn, at)
    }

    /// The two constants that the verifier refuses: too wide a shift, and a division by zero.
    #[inline]
    fn check_constant(&mut self, width: Width, op: AluOp, imm: i32, at: CallSite) {
        let bits = if width == Width::W64 { 64 } else { 32 };
        match op {
            AluOp::Lsh | AluOp::Rsh | AluOp::Arsh if imm < 0 || imm >= bits => {
                self.errors.push(AsmError::Shift { at, width: bits as u32, by: imm });
            }
            AluOp::Div | AluOp::Mod | AluOp::Sdiv | AluOp::Smod if imm == 0 => {
                self.errors.push(AsmError::DivisionByZero { at });
            }
            _ => {}
        }
    }
}
