//! Where a register's value comes from: back along the path, through moves, spills and calls, to the instruction
//! that made it, with what changed and tested it in between.

use super::code::CodeLines;
use super::path::{Path, PathStep};
use super::value::StateSlot;
use crate::insn::{AluOp, Callee, Insn, Mem, R10, Reg, Size, Source, Width};

/// Something that happened to a value on the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The instruction.
    pub at: u32,
    /// Its place on the path.
    pub(super) step: usize,
    /// What kind of event it is.
    pub kind: EventKind,
    /// In plain words.
    pub text: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The value was made: returned by a call, read from memory, set.
    Made,
    /// It was computed with.
    Changed,
    /// A jump compared it.
    Tested,
    /// A 32-bit move kept half of a pointer.
    Cut,
    /// A call made it unreadable, as calls do with r1 to r5.
    Clobbered,
    /// A call that changes the packet took away pointers into it.
    Moved,
    /// A call gave back what it points to.
    Released,
    /// A lock was taken, or a region entered, that is still held.
    Held,
    /// The path jumped away.
    Jumped,
}

impl EventKind {
    /// As a word, for JSON.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Made => "made",
            EventKind::Changed => "changed",
            EventKind::Tested => "tested",
            EventKind::Cut => "cut",
            EventKind::Clobbered => "clobbered",
            EventKind::Moved => "moved",
            EventKind::Released => "released",
            EventKind::Held => "held",
            EventKind::Jumped => "jumped",
        }
    }
}

/// Helpers after which pointers into the packet are no longer known.
static MOVES_PACKET: &[&str] = &[
    "bpf_skb_store_bytes",
    "bpf_skb_vlan_push",
    "bpf_skb_vlan_pop",
    "bpf_skb_change_proto",
    "bpf_skb_change_head",
    "bpf_skb_change_tail",
    "bpf_skb_pull_data",
    "bpf_clone_redirect",
    "bpf_l3_csum_replace",
    "bpf_l4_csum_replace",
    "bpf_skb_adjust_room",
    "bpf_xdp_adjust_head",
    "bpf_xdp_adjust_tail",
    "bpf_xdp_adjust_meta",
    "bpf_msg_pull_data",
    "bpf_msg_push_data",
    "bpf_msg_pop_data",
    "bpf_lwt_push_encap",
    "bpf_lwt_seg6_store_bytes",
    "bpf_lwt_seg6_adjust_srh",
    "bpf_lwt_seg6_action",
    "bpf_sk_skb_pull_data",
];

/// Parts of the names of functions that give something back.
static RELEASES: &[&str] = &["_release", "_submit", "_discard", "_put", "_drop", "_unref"];

/// The name of what a `call` line calls, without the number behind it.
pub(super) fn callee<'a>(step: &PathStep<'a>) -> Option<&'a str> {
    let name = step.text.strip_prefix("call ")?.split(['#', ' ']).next()?;
    (!name.starts_with("pc")).then_some(name)
}

/// Follows values back.
pub(super) struct Tracer<'t, 'a> {
    pub(super) path: &'t Path<'a>,
    pub(super) code: &'t CodeLines<'a>,
    pub(super) events: Vec<Event>,
    /// The message says that the register is a number, whatever it was when the log last spoke of it.
    pub(super) number: bool,
    /// What may be NULL matters.
    pub(super) null: bool,
}

/// Where a value stands while it is followed.
#[derive(Clone, Copy)]
struct At {
    slot: StateSlot,
    frame: u32,
}

impl Tracer<'_, '_> {
    /// Follows a slot back from before a step. `depth` bounds how many operands are followed as well.
    pub(super) fn follow(&mut self, step: usize, slot: StateSlot, depth: u32) {
        /// Events beyond that fit on no screen.
        const MANY: usize = 24;
        let frame = self.path.steps.get(step).map_or(0, |s| s.frame);
        let mut at = At { slot, frame };
        let pointer = self.is_pointer(step, at);
        let mut lost =
            self.number || self.path.value_at(step, frame, slot).is_some_and(|v| v.kind() == "scalar");
        for n in (0..step).rev() {
            if self.events.len() >= MANY {
                return;
            }
            let Some(s) = self.path.steps.get(n) else { return };
            if s.frame > at.frame {
                // Calls are passed by, but for what they return.
                match (at.slot, s.text.starts_with("exit")) {
                    (StateSlot::Reg(0), true) => at.frame = s.frame,
                    (StateSlot::Reg(1..=5), _) => return,
                    _ => continue,
                }
                continue;
            }
            if s.frame < at.frame {
                // The function's beginning: arguments come from the caller.
                if !matches!(at.slot, StateSlot::Reg(1..=5)) || !s.text.starts_with("call pc") {
                    return;
                }
                at.frame = s.frame;
                continue;
            }
            let Some(insn) = self.code.insn(s.at) else { continue };
            if lost && matches!(insn, Insn::Call(_)) && self.taken_away(n, at) {
                lost = false;
            }
            match self.effect(n, insn, at, pointer, depth) {
                Some(next) => at = next,
                None => return,
            }
        }
    }

    fn is_pointer(&self, step: usize, at: At) -> bool {
        self.path.value_at(step, at.frame, at.slot).is_some_and(|v| v.kind() != "scalar")
    }

    fn push(&mut self, step: usize, kind: EventKind, text: String) {
        let at = self.path.steps.get(step).map_or(0, |s| s.at);
        if !self.events.iter().any(|e| e.step == step && e.kind == kind) {
            self.events.push(Event { at, step, kind, text });
        }
    }

    /// `: a number from 0 to 255`, if the log says so.
    fn known(&self, step: usize, slot: StateSlot) -> String {
        self.path.value_after(step, slot).map_or(String::new(), |v| format!(": {v}"))
    }

    /// A call after which a pointer that the register held is a number: who took it away?
    fn taken_away(&mut self, n: usize, at: At) -> bool {
        let Some(name) = self.path.steps.get(n).and_then(callee) else { return false };
        let before = self.path.value_at(n, at.frame, at.slot);
        let Some(before) = before.filter(|v| v.kind() != "scalar") else { return false };
        let name_of = slot_name(at.slot);
        if before.kind().starts_with("pkt") && MOVES_PACKET.contains(&name) {
            let text = format!("{name} may move the packet, and {name_of} no longer points into it");
            self.push(n, EventKind::Moved, text);
            return true;
        }
        if RELEASES.iter().any(|r| name.contains(r)) {
            let text = format!("{name} gives back what {name_of} points to");
            self.push(n, EventKind::Released, text);
            return true;
        }
        false
    }

    /// What an instruction does with the slot; where its value was before, or `None` where it was made.
    fn effect(&mut self, n: usize, insn: Insn, at: At, pointer: bool, depth: u32) -> Option<At> {
        let StateSlot::Reg(number) = at.slot else { return self.stored(n, insn, at) };
        let reg = Reg::new(number)?;
        if let Insn::JumpIf { dst, src, .. } = insn {
            if dst == reg || src == Source::Reg(reg) {
                self.tested(n, at.slot, pointer);
            }
            return Some(at);
        }
        if let Insn::Call(callee) = insn {
            return self.called(n, callee, at);
        }
        if insn.written() != Some(reg) {
            return Some(at);
        }
        self.written(n, insn, at, depth)
    }

    fn tested(&mut self, n: usize, slot: StateSlot, pointer: bool) {
        // What a test says of a pointer shows in its kind; what it says of a number are its bounds.
        let after = self.path.value_after(n, slot);
        if let Some(after) = after.filter(|v| !pointer && v.kind() == "scalar" && v.constant().is_none()) {
            self.push(n, EventKind::Tested, format!("after this test {} is {after}", slot_name(slot)));
        }
    }

    fn called(&mut self, n: usize, callee: Callee, at: At) -> Option<At> {
        match at.slot {
            StateSlot::Reg(0) => {
                if !matches!(callee, Callee::Local { .. }) {
                    let name = self.path.steps.get(n).and_then(self::callee).unwrap_or("this call");
                    let known = self.known(n, at.slot);
                    // For a constant key, newer kernels know that an array has it.
                    let known = known.strip_suffix(" or NULL").filter(|_| !self.null).unwrap_or(&known);
                    self.push(n, EventKind::Made, format!("{name} returns r0{known}"));
                }
                None
            }
            StateSlot::Reg(r @ 1..=5) => {
                self.push(n, EventKind::Clobbered, format!("after a call r{r} cannot be read"));
                None
            }
            _ => Some(at),
        }
    }

    fn written(&mut self, n: usize, insn: Insn, at: At, depth: u32) -> Option<At> {
        let name = slot_name(at.slot);
        let known = self.known(n, at.slot);
        let keep = |reg: Reg| Some(At { slot: StateSlot::Reg(reg.number()), ..at });
        match insn {
            Insn::Alu { op: AluOp::Mov, width, src: Source::Reg(src), .. } => {
                let was = self.path.value_at(n, at.frame, StateSlot::Reg(src.number()));
                if width == Width::W32 && was.is_some_and(|v| v.kind() != "scalar") {
                    let text = format!("a 32-bit copy of {src}: half of a pointer is a number");
                    self.push(n, EventKind::Cut, text);
                }
                keep(src)
            }
            Insn::Alu { op: AluOp::Mov, src: Source::Imm(value), .. } => {
                self.push(n, EventKind::Made, format!("{name} is set to {value}"));
                None
            }
            Insn::Alu { op, src, .. } => {
                self.changed(n, insn, at, op, src, depth);
                Some(at)
            }
            Insn::Load { size, src, .. } => match stack_slot(src, size) {
                Some(slot) => Some(At { slot, ..at }),
                None => {
                    let of = self.path.value_at(n, at.frame, StateSlot::Reg(src.base.number()));
                    let of = of.map_or("memory".into(), |v| base_words(v.kind(), &v.to_string()));
                    self.push(n, EventKind::Made, format!("{name} is read from {of}{known}"));
                    None
                }
            },
            Insn::LoadImm64 { .. } => {
                self.push(n, EventKind::Made, format!("{name} is set here{known}"));
                None
            }
            Insn::MovSx { src, .. } => keep(src),
            Insn::Neg { .. } | Insn::Swap { .. } => Some(at),
            _ => {
                self.push(n, EventKind::Made, format!("{name} is made here{known}"));
                None
            }
        }
    }

    fn changed(&mut self, n: usize, insn: Insn, at: At, op: AluOp, src: Source, depth: u32) {
        let known = self.known(n, at.slot);
        let pointer = self.is_pointer(n, at);
        match src {
            Source::Reg(src) => {
                let other = StateSlot::Reg(src.number());
                let constant = self.path.value_at(n, at.frame, other).is_some_and(|v| v.constant().is_some());
                let what = self.path.value_at(n, at.frame, other);
                let text = match what.filter(|_| pointer && op == AluOp::Add) {
                    Some(what) => format!("{src} is added: {what}"),
                    None => format!("`{insn}`{known}"),
                };
                self.push(n, EventKind::Changed, text);
                if depth > 0 && pointer && !constant {
                    self.follow(n, other, depth - 1);
                }
            }
            // A pointer and a number that is known: its offset says it all.
            Source::Imm(_) if pointer || op == AluOp::Add || op == AluOp::Sub => {}
            Source::Imm(_) if matches!(op, AluOp::And | AluOp::Mod | AluOp::Rsh | AluOp::Lsh) => {
                self.push(n, EventKind::Changed, format!("`{insn}`{known}"));
            }
            Source::Imm(_) => {}
        }
    }

    /// What an instruction does with a stack slot that is followed.
    fn stored(&mut self, n: usize, insn: Insn, at: At) -> Option<At> {
        let Insn::Store { size, dst, src } = insn else { return Some(at) };
        if stack_slot(dst, size) != Some(at.slot) {
            return Some(at);
        }
        match src {
            Source::Reg(src) => Some(At { slot: StateSlot::Reg(src.number()), ..at }),
            Source::Imm(value) => {
                self.push(n, EventKind::Made, format!("the stack gets {value} here"));
                None
            }
        }
    }
}

/// The eight bytes of the stack that an operand is in.
fn stack_slot(mem: Mem, _size: Size) -> Option<StateSlot> {
    let below = i32::from(mem.off).checked_neg().filter(|off| *off > 0)?;
    (mem.base == R10).then(|| StateSlot::Stack(below.unsigned_abs().div_ceil(8).saturating_mul(8)))
}

/// `r6`, or a place on the stack.
pub(super) fn slot_name(slot: StateSlot) -> String {
    match slot {
        StateSlot::Reg(n) => format!("r{n}"),
        StateSlot::Stack(n) => format!("the stack at r10 - {n}"),
    }
}

/// What is read from, without the offset.
fn base_words(kind: &str, words: &str) -> String {
    match kind {
        "ctx" => "the context".into(),
        "pkt" => "the packet".into(),
        "scalar" => "what is no memory".into(),
        _ => words.split(" + ").next().unwrap_or(words).into(),
    }
}
