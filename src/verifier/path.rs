//! The way that the verifier took to the instruction that it refuses, read from the log.
//!
//! At log level 1 the log is that way: when the verifier gives up a branch that went well, it takes the branch's
//! lines back. At level 2 nothing is taken back, and `from 3 to 9:` says that it returned to the jump at 3; what
//! came after that jump is then no part of the way, and is dropped here. Both are read by the same rule.

use super::line::Line;
use super::value::{RegState, RegValue, StateSlot};

/// An instruction on the way.
#[derive(Debug, Clone)]
#[doc(alias = "Step")]
pub struct PathStep<'a> {
    /// Its number in the program.
    pub at: u32,
    /// As the log writes it.
    pub text: &'a str,
    /// How deep in calls.
    pub frame: u32,
    /// What the log says right before it.
    before: Vec<RegState<'a>>,
    /// What the log says of it.
    after: RegState<'a>,
    /// The verifier has been back at this jump for its other branch.
    taken_twice: bool,
}

/// A whole log, by its parts.
#[derive(Debug, Clone, Default)]
pub struct Path<'a> {
    /// The way, in order.
    pub steps: Vec<PathStep<'a>>,
    /// What is said after the last instruction, besides states and sources: what is wrong.
    pub messages: Vec<&'a str>,
    /// What Linux 7.3 says under `Reason:`, line by line.
    pub reason: Vec<&'a str>,
    /// How many instructions were looked at.
    pub processed: Option<u64>,
    /// The last source line of the log, for programs whose lines are not known otherwise.
    pub source: Option<(&'a str, Option<(&'a str, u32)>)>,
}

/// What says nothing about the fault, by its first letters.
static NOISE: &[&str] = &[
    "arg#",
    "func '",
    "func#",
    "Validating ",
    "last_idx ",
    "mark_precise:",
    "regs=",
    "parent ",
    "propagating ",
    "cur state:",
    "old state:",
    "verification time",
    "stack depth ",
    "btf_vmlinux is malformed",
    "Func#",
    "Live regs before insn:",
    "insn_history",
];

impl<'a> Path<'a> {
    /// Reads a log, of a long one the end. What is no known line is a message; nothing is an error.
    pub fn parse(log: &'a str) -> Path<'a> {
        let mut reader = Reader { path: Path::default(), frame: 0, states: Vec::new(), part: Part::Log };
        for line in tail(log).lines() {
            reader.line(line);
        }
        reader.path
    }

    /// What is known of a slot before the step of this number, in its frame.
    pub fn value_before(&self, step: usize, slot: StateSlot) -> Option<RegValue<'a>> {
        let frame = self.steps.get(step).map_or(0, |s| s.frame);
        self.value_at(step, frame, slot)
    }

    /// What is known of a slot of a frame before the step of this number.
    pub fn value_at(&self, step: usize, frame: u32, slot: StateSlot) -> Option<RegValue<'a>> {
        /// How far a value is looked for: beyond that it is not worth the time.
        const FAR: usize = 4096;
        let of = |state: &RegState<'a>| {
            (state.frame.unwrap_or(0) == frame)
                .then(|| state.values.iter().find(|(s, _)| *s == slot).map(|(_, v)| *v))
                .flatten()
        };
        let before = |n: usize| self.steps.get(n).and_then(|s| s.before.iter().rev().find_map(of));
        before(step).or_else(|| {
            let first = step.saturating_sub(FAR);
            (first..step)
                .rev()
                .find_map(|n| self.steps.get(n).and_then(|s| of(&s.after)).or_else(|| before(n)))
        })
    }

    /// What the log says of a slot at this step itself.
    pub fn value_after(&self, step: usize, slot: StateSlot) -> Option<RegValue<'a>> {
        let s = self.steps.get(step)?;
        let next = self.steps.get(step.saturating_add(1)).filter(|n| n.frame == s.frame);
        let of = |state: &RegState<'a>| state.values.iter().find(|(s, _)| *s == slot).map(|(_, v)| *v);
        of(&s.after).or_else(|| next.and_then(|n| n.before.iter().rev().find_map(of)))
    }
}

/// Which part of the log a line is in.
#[derive(PartialEq)]
enum Part {
    Log,
    /// Linux 7.3's explanation; true under `Reason:`.
    Explained(bool),
}

struct Reader<'a> {
    path: Path<'a>,
    frame: u32,
    states: Vec<RegState<'a>>,
    part: Part,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) {
        let parsed = Line::parse(line);
        if let Part::Explained(reason) = self.part {
            match parsed {
                Line::Head(head) => return self.part = Part::Explained(head == "Reason:"),
                Line::Empty => return self.part = Part::Explained(false),
                _ if line.starts_with(' ') => {
                    if reason {
                        self.path.reason.push(line.trim());
                    }
                    return;
                }
                _ => self.part = Part::Log,
            }
        }
        match parsed {
            Line::Insn { at, text, after } => self.insn(at, text, after),
            Line::State { from, state, .. } => {
                if let Some(from) = from {
                    self.back_to(from);
                }
                self.frame = state.frame.unwrap_or(0);
                self.states.push(state);
            }
            Line::Source { text, place } => self.path.source = Some((text, place)),
            Line::Stats { processed } => self.path.processed = Some(processed),
            Line::Head(_) => self.part = Part::Explained(false),
            Line::Message(text) if !NOISE.iter().any(|n| text.starts_with(n)) => {
                self.path.messages.push(text);
            }
            Line::Message(_) | Line::Frames | Line::Empty => {}
        }
    }

    fn insn(&mut self, at: u32, text: &'a str, after: RegState<'a>) {
        let frame = self.frame;
        let told = (!after.is_empty()).then(|| after.frame.unwrap_or(0));
        self.frame = match told {
            Some(frame) => frame,
            None if text.starts_with("call pc") => frame.saturating_add(1),
            None if text.starts_with("exit") => frame.saturating_sub(1),
            None => frame,
        };
        self.path.messages.clear();
        let before = std::mem::take(&mut self.states);
        // A call's own line already speaks of the callee; it stands in the caller.
        self.path.steps.push(PathStep { at, text, frame, before, after, taken_twice: false });
    }

    /// The verifier is back at a jump.
    fn back_to(&mut self, from: u32) {
        let jump = self.path.steps.iter().rposition(|s| s.at == from && !s.taken_twice);
        if let Some(jump) = jump {
            self.path.steps.truncate(jump.saturating_add(1));
            if let Some(step) = self.path.steps.last_mut() {
                step.taken_twice = true;
            }
        }
        self.states.clear();
        self.path.messages.clear();
    }
}

impl<'a> Path<'a> {
    /// Takes over what a log of level 2 says of the same program: older kernels say at level 1 only where they
    /// went, not what they knew. The steps of this path are found there from the end.
    pub fn enrich(&mut self, detail: Path<'a>) {
        let mut rest = detail.steps;
        for step in self.steps.iter_mut().rev() {
            while let Some(other) = rest.pop() {
                if other.at == step.at && other.frame == step.frame {
                    step.before = other.before;
                    break;
                }
            }
        }
    }

    /// True if the log says nothing of registers after instructions: a kernel before 5.18.
    pub fn is_terse(&self) -> bool {
        self.steps.iter().all(|s| s.after.is_empty())
    }
}

/// Longer logs are read from their end; a way to a fault that is longer than this fits on no screen.
const LONGEST: usize = 4 << 20;

/// The end of a long text, from the beginning of a line.
fn tail(log: &str) -> &str {
    let Some(start) = log.len().checked_sub(LONGEST) else { return log };
    let start = (start..log.len()).find(|i| log.is_char_boundary(*i)).unwrap_or(log.len());
    let rest = log.get(start..).unwrap_or("");
    rest.split_once('\n').map_or(rest, |(_, rest)| rest)
}
