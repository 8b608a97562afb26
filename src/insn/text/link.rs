//! From lines to functions: which labels start one, and what each name means.

use super::error::{Fault, TextError, TextErrors, did_you_mean};
use super::parsed::{Goal, Parsed};
use super::read::{Draft, Line, MAX_ERRORS, What};
use super::{TextCore, TextFunction, TextProgram};
use crate::insn::code::{Code, CodeFunc, CodeRef, Lines, RefKind, TextLine};
use crate::insn::{Callee, Imm64, Insn, InsnIx, RawInsn};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The functions of a draft, and everything that was wrong with it.
pub(super) fn resolve(
    file: &str,
    draft: Draft<'_>,
    mut errors: Vec<TextError>,
) -> Result<TextProgram, TextErrors> {
    // A line that could not be read may have been the label or the exit that seems to be missing.
    let whole = errors.is_empty();
    let names = Names::of(&draft);
    let parts = split(&draft.lines, &names);
    let mut functions = Vec::new();
    let mut seen = HashSet::new();
    for part in &parts {
        if errors.len() >= MAX_ERRORS {
            break;
        }
        let mut fail = |line: &Line<'_>, fault: Fault| {
            errors.push(fault.at_line(file, line.number, line.source));
        };
        if !seen.insert(part.name.as_str()) {
            let what = format!("there is a function `{}` already", part.name);
            fail(part.first, Fault::new(part.first.at.clone(), what, ""));
        }
        let code = assemble(file, part, &names, &mut fail);
        if whole {
            check_end(part, &code, &mut fail);
        }
        let (name, section) = (part.name.clone(), part.section.clone());
        functions.push(TextFunction {
            global: draft.globals.contains(&name),
            weak: draft.weak.contains(&name),
            hidden: draft.hidden.contains(&name),
            proto: draft.protos.get(&name).cloned(),
            core: core_places(part),
            line: part.first.number,
            name,
            section,
            code,
        });
    }
    if functions.is_empty() && errors.is_empty() {
        errors.push(Fault::new(0..0, "the text has no instruction", "").at_line(file, 1, ""));
    }
    match errors.is_empty() {
        true => {
            let Draft { license, version, endian, types, maps, data, externs, .. } = draft;
            Ok(TextProgram { license, version, endian, types, maps, data, externs, functions })
        }
        false => {
            errors.sort_by_key(|e| (e.line, e.col));
            Err(TextErrors(errors))
        }
    }
}

/// What the names of a text stand for.
struct Names<'d> {
    maps: HashSet<&'d str>,
    /// The labels that start a function because something names them as one.
    functions: HashSet<&'d str>,
}

impl<'d> Names<'d> {
    fn of(draft: &'d Draft<'_>) -> Names<'d> {
        let declared = draft.maps.iter().map(|m| m.name.as_str());
        let maps: HashSet<&str> = declared.chain(draft.data.iter().map(|d| d.section.as_str())).collect();
        let labels = draft.lines.iter().filter_map(|l| match &l.what {
            What::Label(name) => Some(name.as_str()),
            _ => None,
        });
        let labels: HashSet<&str> = labels.collect();
        let named = draft.lines.iter().filter_map(|l| match &l.what {
            What::Insn(Parsed { goal: Some((goal, _)), .. }) => match goal {
                Goal::Call(name) | Goal::Address(name) => Some(name.as_str()),
                Goal::Wide(name) if !maps.contains(name.as_str()) => Some(name.as_str()),
                _ => None,
            },
            _ => None,
        });
        let globals = draft.globals.iter().chain(&draft.weak).chain(&draft.hidden).chain(draft.protos.keys());
        let functions =
            named.chain(globals.map(String::as_str)).filter(|name| labels.contains(name)).collect();
        Names { maps, functions }
    }
}

/// The lines of one function.
struct Part<'l, 'a> {
    name: String,
    section: String,
    /// Its label, or its first instruction.
    first: &'l Line<'a>,
    lines: Vec<&'l Line<'a>>,
}

/// Gives each line to its function.
fn split<'l, 'a>(lines: &'l [Line<'a>], names: &Names<'_>) -> Vec<Part<'l, 'a>> {
    let mut parts: Vec<Part<'l, 'a>> = Vec::new();
    let mut section = ".text".to_string();
    // Whether the section has a function yet.
    let mut open = false;
    for line in lines {
        let name = match &line.what {
            What::Section(name) => {
                section.clone_from(name);
                open = false;
                continue;
            }
            What::Label(name) if !open || names.functions.contains(name.as_str()) => Some(name.clone()),
            _ if !open => Some("main".to_string()),
            _ => None,
        };
        if let Some(name) = name {
            parts.push(Part { name, section: section.clone(), first: line, lines: Vec::new() });
            open = true;
            if let What::Label(_) = line.what {
                continue;
            }
        }
        if let Some(part) = parts.last_mut() {
            part.lines.push(line);
        }
    }
    parts
}

/// Assembles one function.
fn assemble(
    file: &str,
    part: &Part<'_, '_>,
    names: &Names<'_>,
    fail: &mut dyn FnMut(&Line<'_>, Fault),
) -> Code {
    let labels = place_labels(part, fail);
    let mut out = Output { code: Code::default(), lines: Vec::new() };
    let mut wrong = 0;
    for line in part.lines.iter() {
        if wrong >= MAX_ERRORS {
            break;
        }
        match &line.what {
            What::Raw(slot) => out.slots(line, &[*slot]),
            What::Insn(parsed) => match out.resolve(parsed, &labels, names) {
                Ok(insn) => out.slots(line, &insn.encode()),
                Err(fault) => {
                    fail(line, fault);
                    wrong = wrong.saturating_add(1);
                }
            },
            What::Label(_) | What::Section(_) | What::Core(_) => {}
        }
    }
    out.code.funcs = vec![CodeFunc { name: part.name.clone(), start: InsnIx(0) }];
    out.code.lines = Lines::Text(file.to_string(), out.lines);
    out.code
}

/// A function has instructions, no label behind them, and does not run past the last one.
fn check_end(part: &Part<'_, '_>, code: &Code, fail: &mut dyn FnMut(&Line<'_>, Fault)) {
    let last = part.lines.iter().rposition(|line| size(line) > 0);
    let behind = part.lines.iter().skip(last.map_or(usize::MAX, |last| last.saturating_add(1)));
    for line in behind {
        if let What::Label(name) = &line.what {
            fail(line, Fault::new(line.at.clone(), format!("no instruction follows label `{name}`"), ""));
        }
    }
    match (last.and_then(|last| part.lines.get(last)), code.insns.last()) {
        (Some(line), Some(slot)) if slot.falls_through() => {
            let what = format!("function `{}` runs past its last instruction", part.name);
            fail(line, Fault::new(line.at.clone(), what, "end it with `exit` or a jump"));
        }
        (None, _) => {
            let what = format!("function `{}` has no instructions", part.name);
            fail(part.first, Fault::new(part.first.at.clone(), what, ""));
        }
        _ => {}
    }
}

/// Where each label of a function is, in slots from its start.
fn place_labels<'l>(part: &'l Part<'_, '_>, fail: &mut dyn FnMut(&Line<'_>, Fault)) -> HashMap<&'l str, u32> {
    // A function's own name is a label at its start.
    let mut labels: HashMap<&str, u32> = HashMap::from([(part.name.as_str(), 0)]);
    let mut at = 0u32;
    for line in &part.lines {
        if let What::Label(name) = &line.what {
            if labels.insert(name, at).is_some() {
                let what = format!("label `{name}` is already bound in this function");
                fail(line, Fault::new(line.at.clone(), what, "a label names one place"));
            }
        }
        at = at.saturating_add(size(line));
    }
    labels
}

/// The instructions that `.core` says something of.
fn core_places(part: &Part<'_, '_>) -> Vec<TextCore> {
    let mut at = 0u32;
    let mut out = Vec::new();
    for line in &part.lines {
        if let What::Core(core) = &line.what {
            out.push(TextCore { at: InsnIx(at), ..core.clone() });
        }
        at = at.saturating_add(size(line));
    }
    out
}

/// How many slots a line makes.
fn size(line: &Line<'_>) -> u32 {
    match &line.what {
        What::Insn(Parsed { insn: Insn::LoadImm64 { .. }, .. }) => 2,
        What::Insn(_) | What::Raw(_) => 1,
        What::Label(_) | What::Section(_) | What::Core(_) => 0,
    }
}

struct Output {
    code: Code,
    lines: Vec<TextLine>,
}

impl Output {
    fn slots(&mut self, line: &Line<'_>, slots: &[RawInsn]) {
        let at = InsnIx(self.code.insns.len() as u32);
        let col = line.source.get(..line.at.start).map_or(0, |s| s.chars().count()) as u32 + 1;
        let text = line.source.get(line.at.clone()).unwrap_or_default().to_string();
        self.lines.push(TextLine { at, line: line.number, col, text });
        self.code.insns.extend_from_slice(slots);
    }

    /// Puts in place what the instruction says by name, or notes it for the loader.
    fn resolve(
        &mut self,
        parsed: &Parsed,
        labels: &HashMap<&str, u32>,
        names: &Names<'_>,
    ) -> Result<Insn, Fault> {
        let Some((goal, at)) = &parsed.goal else { return Ok(parsed.insn) };
        let dst = parsed.insn.written();
        let lddw = |imm: Imm64| match dst {
            Some(dst) => Insn::LoadImm64 { dst, imm },
            None => parsed.insn,
        };
        let (insn, kind) = match goal {
            Goal::Label(name) => return self.jump(parsed.insn, name, at, labels),
            Goal::Call(name) if names.functions.contains(name.as_str()) => {
                (Insn::Call(Callee::Local { off: -1 }), RefKind::Func { name: name.clone() })
            }
            // A helper; it has its number already.
            Goal::Call(_) if matches!(parsed.insn, Insn::Call(Callee::Helper(_))) => return Ok(parsed.insn),
            Goal::Call(name) | Goal::Kfunc(name) => {
                let callee = Callee::Kfunc { btf_id: 0, fd_ix: 0 };
                (Insn::Call(callee), RefKind::Kfunc { name: name.clone() })
            }
            Goal::Extern(name) => (parsed.insn, RefKind::Func { name: name.clone() }),
            Goal::Wide(name)
                if !names.maps.contains(name.as_str()) && names.functions.contains(name.as_str()) =>
            {
                (lddw(Imm64::Func { off: -1 }), RefKind::FuncAddr { name: name.clone() })
            }
            Goal::Wide(name) => {
                self.known_map(name, at, names)?;
                (parsed.insn, RefKind::Map { name: name.clone() })
            }
            Goal::MapValue(name, off) => {
                self.known_map(name, at, names)?;
                (parsed.insn, RefKind::MapValue { name: name.clone(), off: *off })
            }
            Goal::Ksym(name) => (parsed.insn, RefKind::Ksym { name: name.clone() }),
            Goal::Address(name) if names.functions.contains(name.as_str()) => {
                (parsed.insn, RefKind::FuncAddr { name: name.clone() })
            }
            Goal::Address(name) => {
                let help = did_you_mean(name, names.functions.iter().copied());
                return Err(Fault::new(at.clone(), format!("there is no function `{name}`"), help));
            }
            Goal::ExternAddress(name) => (parsed.insn, RefKind::FuncAddr { name: name.clone() }),
        };
        self.code.refs.push(CodeRef { at: InsnIx(self.code.insns.len() as u32), kind });
        Ok(insn)
    }

    /// A text that declares maps has to declare all that it uses; one without any refers to maps that
    /// are declared elsewhere, as a listing does.
    fn known_map(&self, name: &str, at: &Range<usize>, names: &Names<'_>) -> Result<(), Fault> {
        if names.maps.is_empty() || names.maps.contains(name) {
            return Ok(());
        }
        let known = names.maps.iter().chain(&names.functions).copied();
        let help = did_you_mean(name, known);
        Err(Fault::new(at.clone(), format!("there is no map or function `{name}`"), help))
    }

    fn jump(
        &self,
        insn: Insn,
        name: &str,
        at: &Range<usize>,
        labels: &HashMap<&str, u32>,
    ) -> Result<Insn, Fault> {
        let Some(&to) = labels.get(name) else {
            let help = did_you_mean(name, labels.keys().copied());
            return Err(Fault::new(at.clone(), format!("this function has no label `{name}`"), help));
        };
        let delta = i64::from(to) - self.code.insns.len() as i64 - 1;
        let near = i16::try_from(delta).map_err(|_| {
            let what = format!("label `{name}` is {delta:+} instructions away, more than 16 bits");
            Fault::new(at.clone(), what, "`gotol` goes further (Linux 6.6)")
        });
        Ok(match insn {
            Insn::JumpFar { .. } => Insn::JumpFar { off: delta as i32 },
            Insn::MayGoto { .. } => Insn::MayGoto { off: near? },
            Insn::JumpIf { width, op, dst, src, .. } => Insn::JumpIf { width, op, dst, src, off: near? },
            _ => Insn::Jump { off: near? },
        })
    }
}
