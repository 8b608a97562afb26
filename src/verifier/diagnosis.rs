//! The log and the program, joined: what was refused, where, by which rule, and how it came to that.

use super::code::{CodeLines, LineAt};
use super::path::Path;
use super::reason::{Case, Found};
use super::rules::Rule;
use super::trace::EventKind;
use crate::insn::{Callee, Insn};

/// Why the verifier refused a program.
///
/// `Display` prints the screen, without colour and without the place of the log; [`Screen`](super::Screen) does
/// both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The program.
    pub program: String,
    /// The section it stands in.
    pub section: String,
    /// The rule that was broken; `None` for a message that no row of [`RULES`](super::RULES) knows.
    pub rule: Option<&'static Rule>,
    /// What was done, in a line.
    pub title: String,
    /// Where, if the source is known.
    pub place: Option<CodePlace>,
    /// The instruction: its number in the program, and its text.
    pub insn: Option<(u32, String)>,
    /// What the register at fault holds there; empty if that does not matter.
    pub state: String,
    /// What happened before, in the order of the path.
    pub history: Vec<Happened>,
    /// Source lines around, by file, as far as the program's line records have them.
    pub around: Vec<(String, u32, String)>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What usually mends it.
    pub help: Vec<String>,
    /// What the kernel said.
    pub message: Vec<String>,
    /// How many instructions the verifier looked at.
    pub processed: Option<u64>,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "Place")]
pub struct CodePlace {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 if it is not known.
    pub column: u32,
    /// The text of the line.
    pub text: String,
    /// The function.
    pub function: String,
}

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// What kind of event.
    pub kind: EventKind,
    /// The instruction.
    pub insn: u32,
    /// Where, if the source is known.
    pub place: Option<CodePlace>,
    /// In plain words.
    pub text: String,
}

impl Diagnosis {
    /// Explains a log.
    ///
    /// `detail` is the same program's log at level 2: kernels before 5.18 say only there what registers hold.
    /// `missing` is what the program needs and this kernel lacks, if the verifier came upon it.
    pub fn new(code: &CodeLines<'_>, log: &str, detail: Option<&str>, missing: Option<&str>) -> Diagnosis {
        let mut path = Path::parse(log);
        if let Some(detail) = detail {
            path.enrich(Path::parse(detail));
        }
        let case = Case { code, path: &path, missing };
        let found = case.solve();
        case.told(found)
    }
}

impl Case<'_, '_> {
    fn place(&self, at: u32) -> Option<CodePlace> {
        self.code.line(at).map(|line| owned(self.code, line))
    }

    fn told(&self, found: Found) -> Diagnosis {
        let place = found.at.and_then(|at| self.place(at)).or_else(|| self.logged_place());
        let history = found.events.into_iter().map(|e| Happened {
            kind: e.kind,
            insn: e.at,
            place: self.place(e.at),
            text: e.text,
        });
        let insn = found.at.and_then(|at| Some((at, self.text_of(at)?)));
        Diagnosis {
            program: self.code.program.into(),
            section: self.code.section.into(),
            rule: found.rule,
            title: found.title,
            around: place.as_ref().map(|p| around(self.code, p)).unwrap_or_default(),
            place,
            insn,
            state: found.state,
            history: history.collect(),
            notes: found.notes,
            help: found.help,
            message: self.path.messages.iter().take(4).map(|m| m.to_string()).collect(),
            processed: self.path.processed,
        }
    }

    /// An instruction's text: ours, or the log's.
    fn text_of(&self, at: u32) -> Option<String> {
        let logged = self.path.steps.iter().rev().find(|s| s.at == at).map(|s| s.text);
        match (logged, self.code.insn(at)) {
            // A kernel function's name is in the log alone.
            (Some(text), _) if text.starts_with("call bpf_") => text.split('#').next().map(String::from),
            (_, Some(Insn::Call(callee))) => Some(self.call(at, callee)),
            (_, Some(insn)) => Some(insn.to_string()),
            (text, None) => text.map(String::from),
        }
    }

    fn call(&self, at: u32, callee: Callee) -> String {
        match callee {
            Callee::Helper(helper) if self.missing.is_none() => format!("call {helper}"),
            Callee::Local { off } => {
                let to = at.checked_add(1).and_then(|next| next.checked_add_signed(off));
                to.map_or("call".into(), |to| format!("call {}", self.code.function(to)))
            }
            // What is missing has no name here.
            _ => "call".into(),
        }
    }

    /// Without line records the log's last source line has to do.
    fn logged_place(&self) -> Option<CodePlace> {
        let (text, place) = self.path.source.filter(|_| self.code.lines.is_empty())?;
        let (file, line) = place?;
        let function = self.code.program.to_string();
        Some(CodePlace { file: file.into(), line, column: 0, text: text.into(), function })
    }
}

fn owned(code: &CodeLines<'_>, line: LineAt<'_>) -> CodePlace {
    CodePlace {
        file: line.file.into(),
        line: line.line,
        column: line.column,
        text: line.text.into(),
        function: code.function(line.at).into(),
    }
}

/// The lines next to a place.
fn around(code: &CodeLines<'_>, place: &CodePlace) -> Vec<(String, u32, String)> {
    let first = place.line.saturating_sub(2).max(1);
    let lines = first..=place.line.saturating_add(2);
    let text = |n: u32| Some((place.file.clone(), n, code.text_of(&place.file, n)?.to_string()));
    lines.filter(|n| *n != place.line).filter_map(text).collect()
}
