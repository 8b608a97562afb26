//! From what was found out to what is said: title, notes and help.

use super::reason::{Case, Found, Subject};
use super::rules::Rule;
use super::trace::{Event, EventKind, callee, slot_name};
use super::value::{RegValue, StateSlot};
use crate::insn::{Callee, Helper, Insn, R10, Source};
use crate::uapi::MapType;

impl<'a> Case<'_, 'a> {
    pub(super) fn words(
        &self,
        rule: Option<&'static Rule>,
        subject: Subject<'_>,
        events: Vec<Event>,
    ) -> Found {
        let mut found = Found { rule, at: subject.at, ..Found::default() };
        /// Where the register at fault is not what matters.
        static SILENT: &[&str] = &[
            "context-field",
            "division",
            "dynptr-unset",
            "frame-pointer",
            "kernel-lacks",
            "lock-call",
            "lock-held",
            "lock-touched",
            "loop-endless",
            "misaligned",
            "no-result",
            "not-released",
            "packet-end",
            "preempt-held",
            "rcu-held",
            "register-clobbered",
            "shift",
            "stack-bounds",
            "too-complex",
            "used-after-release",
        ];
        match (subject.reg, subject.value) {
            _ if rule.is_some_and(|r| SILENT.contains(&r.id)) => {}
            (Some(reg), _) if rule.is_some_and(|r| r.id == "packet-moved") => {
                found.state = format!("r{reg} points nowhere now");
            }
            (Some(reg), Some(value)) => found.state = format!("r{reg} is {value}"),
            _ => {}
        }
        match rule {
            Some(rule) => {
                found.title = self.fill(rule.title, &subject);
                found.help = rule.help.iter().map(|h| self.fill(h, &subject)).collect();
                self.add(rule.id, &subject, &events, &mut found);
            }
            None => {
                found.title = match self.path.messages.last() {
                    Some(message) => format!("the verifier refuses the program: {message}"),
                    None => "the kernel refuses the program, and does not say why".into(),
                };
            }
        }
        found.events = shown(events);
        found
    }

    /// Puts words where names in braces stand.
    fn fill(&self, text: &str, subject: &Subject<'_>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            out.push_str(before);
            out.push_str(&self.word(name, subject));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn word(&self, name: &str, subject: &Subject<'_>) -> String {
        let number = |name| subject.holes.number::<i64>(name);
        let reg = |n: Option<u8>| n.map_or("a register".into(), |n| slot_name(StateSlot::Reg(n)));
        match name {
            "reg" => reg(subject.reg),
            "what" => subject.value.map_or("what it is".into(), |v| v.to_string()),
            "call" => subject.call.unwrap_or("this function").into(),
            "span" => match (number("off"), number("size")) {
                (Some(off), Some(1)) => format!("byte {off}"),
                (Some(off), Some(size)) => {
                    format!("bytes {off} to {}", off.saturating_add(size).saturating_sub(1))
                }
                _ => "more".into(),
            },
            "verb" => match subject.insn {
                Some(Insn::Store { .. } | Insn::Atomic { .. }) => "write".into(),
                _ => "read".into(),
            },
            "map_type" => subject.holes.number("n").map_or("such".into(), |n| MapType(n).to_string()),
            "function_end" => match subject.at {
                Some(at) => format!("function `{}` ends without a return", self.code.function(at)),
                None => "a function ends without a return".into(),
            },
            "allowed" => self.path.messages.iter().find_map(|m| allowed(m)).unwrap_or("another value".into()),
            "off" => {
                number("off").map_or("?".into(), |n| if n < 0 { format!(" - {}", -n) } else { n.to_string() })
            }
            other => subject.holes.get(other).unwrap_or("?").into(),
        }
    }

    /// What a rule says beyond its row.
    fn add(&self, id: &str, subject: &Subject<'_>, events: &[Event], found: &mut Found) {
        let help = |found: &mut Found, text: &str| found.help.push(text.into());
        match id {
            "kernel-lacks" => {
                if let Some(missing) = self.missing {
                    let (what, test) = missing.split_once(". If ").unwrap_or((missing, ""));
                    found.notes.push(what.into());
                    if !test.is_empty() {
                        found.help.push(format!("if {test}"));
                    }
                }
            }
            "helper-unknown" => self.unknown_helper(subject, found),
            "packet-bounds" => self.packet_notes(subject, found),
            "offset-unbounded" => offset_help(self.operand(subject), found),
            "memory-bounds" => memory_help(subject, events, found),
            "stack-bounds" => stack_help(subject, found),
            "stack-size" => found.notes.push(self.stack_sizes()),
            "not-released" => {
                let from = events.first().and_then(|e| self.path.steps.get(e.step)).and_then(callee);
                if let Some(text) = from.and_then(releaser) {
                    found.help = vec![text];
                }
            }
            "null-pointer" if self.returned_by_lookup(events) => {
                help(found, "also for an array: a lookup gives NULL for a key that is not there");
            }
            _ => {}
        }
    }

    fn returned_by_lookup(&self, events: &[Event]) -> bool {
        events.iter().any(|e| e.kind == EventKind::Made && e.text.starts_with("bpf_map_lookup_elem"))
    }

    fn unknown_helper(&self, subject: &Subject<'_>, found: &mut Found) {
        let called = subject.insn.and_then(|i| match i {
            Insn::Call(Callee::Helper(helper)) => Some(helper),
            _ => None,
        });
        let helper = subject.holes.number("func").map(Helper).or(called);
        if let Some((helper, name)) = helper.and_then(|h| Some((h, h.name()?))) {
            found.title = format!("the program calls {name}, which this kernel does not have");
            if let Some(since) = helper.since() {
                found.notes.push(format!("{name} came with Linux {since}"));
            }
        }
    }

    fn packet_notes(&self, subject: &Subject<'_>, found: &mut Found) {
        let (Some(off), Some(size)) =
            (subject.holes.number::<i64>("off"), subject.holes.number::<i64>("size"))
        else {
            return;
        };
        let Some(value) = subject.value else { return };
        let known = value.number("r").unwrap_or(0);
        if !value.is_variable() {
            let needed = off.saturating_add(size);
            found.notes.push(format!("{needed} bytes must be there; known to be there: {known}"));
        } else if value.range().umax > 0xffff {
            found.notes.push("a comparison counts only while the variable part is at most 65535".into());
            found.help = vec!["bound the offset before it is added: if (offset > 1000) return ...;".into()];
        } else {
            found.notes.push(
                "the pointer has a part that is known at run time only: a comparison counts for pointers made \
                 from the same sum"
                    .into(),
            );
        }
    }

    /// The number that is added, or the offset that it became.
    fn operand(&self, subject: &Subject<'a>) -> Option<RegValue<'a>> {
        match subject.insn {
            Some(Insn::Alu { src: Source::Reg(src), .. }) => {
                self.path.value_before(subject.step, StateSlot::Reg(src.number()))
            }
            _ => subject.value,
        }
    }

    /// How much stack each function uses.
    fn stack_sizes(&self) -> String {
        let mut out = Vec::new();
        for (i, (first, name)) in self.code.functions.iter().enumerate() {
            let end = self.code.functions.get(i + 1).map_or(self.code.insns.len() as u32, |f| f.0);
            let depth = (*first..end).filter_map(|at| self.code.insn(at)).filter_map(stack_depth).max();
            if let Some(depth) = depth {
                out.push(format!("{name} {}", depth.next_multiple_of(8)));
            }
        }
        format!("bytes of stack that each uses: {}", out.join(", "))
    }
}

/// How far below r10 an instruction reaches.
fn stack_depth(insn: Insn) -> Option<u32> {
    let below = match insn {
        Insn::Load { src, .. } if src.base == R10 => i32::from(src.off),
        Insn::Store { dst, .. } if dst.base == R10 => i32::from(dst.off),
        // `r2 = r10; r2 += -40`: the addition alone is seen.
        Insn::Alu { op: crate::insn::AluOp::Add, src: Source::Imm(imm), .. } if (-512..0).contains(&imm) => {
            imm
        }
        _ => return None,
    };
    below.checked_neg().and_then(|n| u32::try_from(n).ok())
}

fn offset_help(operand: Option<RegValue<'_>>, found: &mut Found) {
    let range = operand.map(RegValue::range);
    let below = range.is_some_and(|r| r.may_be_negative());
    found.help.push(if below {
        "make the index unsigned, or test that it is not negative as well: if (i < 0 || i >= N) return 0;"
            .into()
    } else {
        "compare the index before it is used: if (i >= N) return 0;".into()
    });
    found
        .help
        .push("what is tested must be what is added: not another copy, and not read again in between".into());
}

fn memory_help(subject: &Subject<'_>, events: &[Event], found: &mut Found) {
    let changed = events.iter().any(|e| e.kind == EventKind::Changed);
    let variable = subject.value.is_some_and(RegValue::is_variable);
    found.help.push(if changed || variable {
        "lower the bound of the index: at most the number of elements less one".into()
    } else {
        "what is read is larger than the value: make the map's value type as large as the type that is read"
            .into()
    });
}

fn stack_help(subject: &Subject<'_>, found: &mut Found) {
    let size = subject.holes.get("size").unwrap_or("?");
    match subject.call {
        Some(call) => {
            let there =
                subject.holes.number::<i64>("off").map_or("less".into(), |n| n.unsigned_abs().to_string());
            found.title =
                format!("{call} uses up to {size} bytes of a variable, and at most {there} are there");
            found.help.push(format!(
                "pass the address of a variable with {size} bytes, or a smaller size; for maps it is their key's or \
                 value's size that counts"
            ));
        }
        None => found.help.push("keep large variables in a per-CPU array map of one element".into()),
    }
}

/// `[0, 1]`, `(0x0; 0x1)`: what would be allowed, in words.
fn allowed(message: &str) -> Option<String> {
    let (_, range) = message.split_once("should have been in ")?;
    let range = range.trim_matches(|c| "[]() ".contains(c));
    let (least, most) = range.split_once([',', ';'])?;
    let number = |text: &str| {
        let text = text.trim();
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |h| i64::from_str_radix(h, 16).ok())
    };
    let (least, most) = (number(least)?, number(most)?);
    Some(match most.checked_sub(least)? {
        0 => least.to_string(),
        1 => format!("{least} or {most}"),
        _ => format!("{least} to {most}"),
    })
}

/// What gives back what a function hands out.
fn releaser(name: &str) -> Option<String> {
    static PAIRS: &[(&str, &str)] = &[
        ("bpf_ringbuf_reserve_dynptr", "bpf_ringbuf_submit_dynptr() or bpf_ringbuf_discard_dynptr()"),
        ("bpf_ringbuf_reserve", "bpf_ringbuf_submit() or bpf_ringbuf_discard()"),
        ("bpf_sk_lookup", "bpf_sk_release()"),
        ("bpf_skc_lookup", "bpf_sk_release()"),
        ("bpf_task_", "bpf_task_release()"),
        ("bpf_cgroup_", "bpf_cgroup_release()"),
        ("bpf_cpumask_", "bpf_cpumask_release()"),
        ("bpf_obj_new", "bpf_obj_drop()"),
    ];
    let by = match name.strip_suffix("_new").filter(|n| n.starts_with("bpf_iter_")) {
        Some(iter) => format!("{iter}_destroy()"),
        None => PAIRS.iter().find(|(from, _)| name.starts_with(from))?.1.into(),
    };
    Some(format!("call {by} on this path as well"))
}

/// As many events as fit: the first, and the last ones.
fn shown(mut events: Vec<Event>) -> Vec<Event> {
    const MOST: usize = 5;
    if events.len() > MOST {
        let cut = events.len() - MOST;
        events.drain(1..=cut);
    }
    events
}
