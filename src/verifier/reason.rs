//! From a message to its cause: which rule, and whose history. `phrases` says it.

use super::code::CodeLines;
use super::path::Path;
use super::pattern::{self, Holes};
use super::rules::{self, Follow, Rule};
use super::trace::{Event, EventKind, Tracer, callee};
use super::value::{RegValue, StateSlot};
use crate::insn::{Callee, Insn, Reg, Source};

/// A program that was refused, and all that is known about it.
pub(super) struct Case<'c, 'a> {
    pub(super) code: &'c CodeLines<'a>,
    pub(super) path: &'c Path<'a>,
    pub(super) missing: Option<&'c str>,
}

/// What was found out.
#[derive(Default)]
pub(super) struct Found {
    pub(super) rule: Option<&'static Rule>,
    pub(super) title: String,
    pub(super) at: Option<u32>,
    pub(super) state: String,
    pub(super) events: Vec<Event>,
    pub(super) notes: Vec<String>,
    pub(super) help: Vec<String>,
}

/// What a message says, and what it is about.
pub(super) struct Subject<'a> {
    pub(super) holes: Holes<'a>,
    /// The instruction at fault, and its place on the path.
    pub(super) at: Option<u32>,
    pub(super) step: usize,
    pub(super) insn: Option<Insn>,
    /// The register at fault.
    pub(super) reg: Option<u8>,
    pub(super) value: Option<RegValue<'a>>,
    pub(super) call: Option<&'a str>,
}

impl<'a> Case<'_, 'a> {
    pub(super) fn solve(&self) -> Found {
        let reason = self.path.reason.join(" ");
        // The borrowed messages, and 7.3's reason, whose lines are one sentence.
        let rule = self.rule(&reason);
        let reason_number = |name| rule.as_ref().and_then(|(_, h)| h.number::<u32>(name));
        let (insn_hole, rule_row) = (reason_number("insn"), rule.as_ref().map(|(r, _)| *r));
        let holes = rule_row.and_then(|r| self.holes(r)).unwrap_or_default();
        let subject = self.subject(rule_row, holes, insn_hole);
        let events = match rule_row {
            Some(rule) => self.history(rule.follow, &subject, insn_hole),
            None => self.trace(&subject, subject.reg.map(StateSlot::Reg)),
        };
        let rule = self.refine(rule_row, &subject, &events);
        self.words(rule, subject, events)
    }

    /// The first row that fits a line.
    fn rule<'r>(&'r self, reason: &'r str) -> Option<(&'static Rule, Holes<'r>)> {
        let lines = || self.path.messages.iter().copied().chain(std::iter::once(reason));
        let fits = |rule: &'static Rule| {
            let mut patterns = rule.messages.iter();
            patterns.find_map(|p| lines().find_map(|line| pattern::matches(p, line))).map(|h| (rule, h))
        };
        rules::all().find_map(fits)
    }

    fn holes(&self, rule: &'static Rule) -> Option<Holes<'a>> {
        let lines = || self.path.messages.iter().copied();
        rule.messages.iter().find_map(|p| lines().find_map(|line| pattern::matches(p, line)))
    }

    fn subject(&self, rule: Option<&'static Rule>, holes: Holes<'a>, at: Option<u32>) -> Subject<'a> {
        let step = self.path.steps.len().saturating_sub(1);
        let last = self.path.steps.last().map(|s| s.at);
        let at = match rule.map(|r| r.id) {
            Some("unreachable" | "jump-out") => at,
            Some("loop-endless") if last.is_none() => at,
            Some("no-exit") => self.falls_through(),
            Some("too-complex") => self.loop_head().map(|(head, _)| head).or(last),
            Some("call-recursion") if last.is_none() => self.recursive_call(),
            Some("stack-size") => None,
            _ => last,
        };
        let insn = at.and_then(|at| self.code.insn(at));
        let reg = self.register(&holes, insn);
        // Before Linux 6.2 the message is of the memory, and its size is in the next register.
        let next = rule.is_some_and(|r| r.id == "size-zero") && holes.get("vs").is_some();
        let reg = if next { reg.and_then(|r| r.checked_add(1)) } else { reg };
        let value = reg.and_then(|r| self.path.value_before(step, StateSlot::Reg(r)));
        // Registers that a call made useless are not spoken of in the log.
        let stale = rule.is_some_and(|r| r.id == "not-a-pointer");
        let value = value.filter(|v| !stale || v.kind() == "scalar");
        let call = self.path.steps.last().filter(|s| Some(s.at) == at).and_then(callee);
        Subject { holes, at, step, insn, reg, value, call }
    }

    /// The register that the messages name, or that the instruction reaches memory through.
    fn register(&self, holes: &Holes<'_>, insn: Option<Insn>) -> Option<u8> {
        let named = |m: &&str| {
            let digits = m.strip_prefix('R')?.split(' ').next()?;
            digits.parse().ok().filter(|n| *n <= 10)
        };
        let base = match insn {
            Some(Insn::Load { src, .. } | Insn::LoadSx { src, .. }) => Some(src.base),
            Some(Insn::Store { dst, .. } | Insn::Atomic { dst, .. }) => Some(dst.base),
            Some(Insn::Alu { dst, .. }) => Some(dst),
            Some(Insn::Exit) => Reg::new(0),
            _ => None,
        };
        let hole = holes.number("reg").filter(|n| *n <= 10);
        // `trusted arg0`: arguments are counted from r1.
        let arg = || holes.get("n").and_then(|n| n.parse::<u8>().ok()).filter(|n| *n < 5).map(|n| n + 1);
        let arg = if self.path.messages.iter().any(|m| m.contains("trusted arg")) { arg() } else { None };
        hole.or(arg).or_else(|| self.path.messages.iter().find_map(named)).or_else(|| base.map(Reg::number))
    }

    fn trace(&self, subject: &Subject<'_>, slot: Option<StateSlot>) -> Vec<Event> {
        let number = subject.value.is_none_or(|v| v.kind() == "scalar");
        let null = subject.value.is_some_and(RegValue::may_be_null);
        let mut tracer = Tracer { path: self.path, code: self.code, events: Vec::new(), number, null };
        if let Some(slot) = slot.filter(|s| *s != StateSlot::Reg(10)) {
            tracer.follow(subject.step, slot, 1);
        }
        self.ordered(tracer.events)
    }

    fn ordered(&self, mut events: Vec<Event>) -> Vec<Event> {
        events.sort_by_key(|e| e.step);
        events
    }

    fn history(&self, follow: Follow, subject: &Subject<'_>, insn: Option<u32>) -> Vec<Event> {
        let reg = subject.reg.map(StateSlot::Reg);
        match follow {
            Follow::Nothing => Vec::new(),
            Follow::Size => self.size_history(subject),
            Follow::Reg => self.trace(subject, reg),
            Follow::Result => self.trace(subject, Some(StateSlot::Reg(0))),
            Follow::Operand => match subject.insn {
                Some(Insn::Alu { src: Source::Reg(src), .. }) => {
                    self.trace(subject, Some(StateSlot::Reg(src.number())))
                }
                _ => self.trace(subject, reg),
            },
            Follow::Packet => {
                let mut events = self.trace(subject, reg);
                events.extend(self.packet_test(subject));
                self.ordered(events)
            }
            Follow::Acquired => self.acquired(insn),
            Follow::Held(name) => self.held(name),
            Follow::Loop => self.looped(insn),
        }
    }

    /// What is known of the size that goes with the memory in a register: it is in the next one.
    fn size_history(&self, subject: &Subject<'_>) -> Vec<Event> {
        let (Some(reg), Some(_)) = (subject.reg, subject.call) else { return Vec::new() };
        let size = StateSlot::Reg(reg.saturating_add(1));
        let most = self.path.value_before(subject.step, size).map(|v| v.range().umax);
        if most.is_some() && most == subject.holes.number("size") {
            self.trace(subject, Some(size))
        } else {
            Vec::new()
        }
    }

    /// The last comparison with the end of the packet, and what it says of the pointer.
    fn packet_test(&self, subject: &Subject<'_>) -> Option<Event> {
        let reg = subject.reg?;
        let is_test = |n: usize| {
            let s = self.path.steps.get(n)?;
            let Insn::JumpIf { dst, src: Source::Reg(src), .. } = self.code.insn(s.at)? else { return None };
            let kind = |r: Reg| self.path.value_before(n, StateSlot::Reg(r.number())).map(|v| v.kind());
            [dst, src].into_iter().any(|r| kind(r) == Some("pkt_end")).then_some((n, s.at))
        };
        let (step, at) = (0..subject.step).rev().find_map(is_test)?;
        let known = subject.value.and_then(|v| v.number("r")).unwrap_or(0);
        let text = match known {
            0 => format!("this comparison with data_end says nothing of r{reg} on this path"),
            _ if subject.value.is_some_and(RegValue::is_variable) => {
                "after this comparison the bytes before its pointer are known to be there".into()
            }
            n => format!("after this comparison {n} bytes are known to be there"),
        };
        Some(Event { at, step, kind: EventKind::Tested, text })
    }

    /// Jumps that were taken after a step: the way out.
    fn way_out(&self, from: usize) -> Vec<Event> {
        let taken = |n: usize| {
            let (s, next) = (self.path.steps.get(n)?, self.path.steps.get(n + 1)?);
            let jump = matches!(self.code.insn(s.at)?, Insn::JumpIf { .. });
            if !jump || next.at == s.at.saturating_add(1) || next.frame != s.frame {
                return None;
            }
            let to = self.code.line(next.at).map(|l| format!("line {}", l.line));
            let to = to.unwrap_or(format!("instruction {}", next.at));
            Some(Event {
                at: s.at,
                step: n,
                kind: EventKind::Jumped,
                text: format!("on this path: on to {to}"),
            })
        };
        (from..self.path.steps.len()).rev().find_map(taken).into_iter().collect()
    }

    fn acquired(&self, insn: Option<u32>) -> Vec<Event> {
        let Some(insn) = insn else { return Vec::new() };
        let Some(step) = self.path.steps.iter().rposition(|s| s.at == insn) else { return Vec::new() };
        let name = self.path.steps.get(step).and_then(callee).unwrap_or("this call");
        let text = format!("{name} hands out what must be given back");
        let mut out = vec![Event { at: insn, step, kind: EventKind::Held, text }];
        out.extend(self.way_out(step));
        out
    }

    fn held(&self, name: &str) -> Vec<Event> {
        let before = self.path.steps.len().saturating_sub(1);
        let is = |n: &usize| {
            let called = self.path.steps.get(*n).and_then(callee);
            called.is_some_and(|c| c.contains(name) && !c.contains("unlock"))
        };
        let Some(step) = (0..before).rev().find(is) else { return Vec::new() };
        let called = self.path.steps.get(step).and_then(callee).unwrap_or(name);
        let at = self.path.steps.get(step).map_or(0, |s| s.at);
        let text = format!("{called} is still in force");
        let mut out = vec![Event { at, step, kind: EventKind::Held, text }];
        out.extend(self.way_out(step));
        out
    }

    /// The loop that the end of the path goes through: its first instruction, and the jump back.
    fn loop_head(&self) -> Option<(u32, u32)> {
        const LOOK: usize = 20_000;
        let steps = self.path.steps.get(self.path.steps.len().saturating_sub(LOOK)..)?;
        let mut counts: Vec<((u32, u32), u32)> = Vec::new();
        for pair in steps.windows(2) {
            let [from, to] = pair else { continue };
            if from.frame != to.frame || to.at > from.at {
                continue;
            }
            let room = counts.len() < 256;
            match counts.iter_mut().find(|(edge, _)| *edge == (to.at, from.at)) {
                Some((_, n)) => *n += 1,
                None if room => counts.push(((to.at, from.at), 1)),
                None => {}
            }
        }
        counts.iter().max_by_key(|(edge, n)| (*n, std::cmp::Reverse(edge.0))).map(|(edge, _)| *edge)
    }

    fn looped(&self, insn: Option<u32>) -> Vec<Event> {
        let Some(step) = self.path.steps.len().checked_sub(1) else { return Vec::new() };
        let head = insn.or(self.loop_head().map(|(_, back)| back));
        let event =
            |at| Event { at, step, kind: EventKind::Jumped, text: "the loop goes through here".into() };
        head.map(event).into_iter().collect()
    }

    /// `recursive call from a() to b()`: the call.
    fn recursive_call(&self) -> Option<u32> {
        const WHO: &str = "recursive call from {from}() to {to}()";
        let holes = self.path.messages.iter().find_map(|m| pattern::matches(WHO, m))?;
        let is = |at: &u32| match self.code.insn(*at) {
            Some(Insn::Call(Callee::Local { off })) => {
                let to = at.checked_add(1).and_then(|next| next.checked_add_signed(off));
                Some(self.code.function(*at)) == holes.get("from")
                    && to.map(|to| self.code.function(to)) == holes.get("to")
            }
            _ => false,
        };
        (0..self.code.insns.len() as u32).find(is)
    }

    /// The end of the first function that does not end with a jump or a return.
    fn falls_through(&self) -> Option<u32> {
        let ends = self.code.functions.iter().skip(1).map(|(first, _)| *first);
        let ends = ends.chain(std::iter::once(self.code.insns.len() as u32));
        ends.filter_map(|end| end.checked_sub(1)).find(|at| {
            !matches!(self.code.insn(*at), Some(Insn::Exit | Insn::Jump { .. } | Insn::JumpFar { .. }))
        })
    }

    /// What came before may tell more than the message.
    fn refine(
        &self,
        rule: Option<&'static Rule>,
        subject: &Subject<'_>,
        events: &[Event],
    ) -> Option<&'static Rule> {
        let has = |kind| events.iter().any(|e| e.kind == kind);
        let id = match rule.map(|r| r.id) {
            _ if self.missing.is_some() => "kernel-lacks",
            Some("not-a-pointer" | "argument-type" | "untrusted-pointer") if has(EventKind::Moved) => {
                "packet-moved"
            }
            Some("not-a-pointer" | "argument-type" | "untrusted-pointer") if has(EventKind::Released) => {
                "used-after-release"
            }
            Some("not-a-pointer" | "argument-type") if has(EventKind::Cut) => "pointer-cut",
            Some("context-moved") if matches!(subject.insn, Some(Insn::Call(_))) => "argument-copy",
            Some("loop-endless") if matches!(subject.insn, Some(Insn::Call(_))) => "call-recursion",
            Some("uninitialised-register") if has(EventKind::Clobbered) => "register-clobbered",
            Some("uninitialised-register") if matches!(subject.insn, Some(Insn::Exit)) => "no-result",
            _ => return rule,
        };
        rules::by_id(id)
    }
}
