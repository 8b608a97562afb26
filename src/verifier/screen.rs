//! The screen: a diagnosis in the manner of compilers.
//!
//! ```text
//!   error[null-pointer]: r0 may be NULL where it is used
//!     --> count.bpf.c:13:9, function `rejected`
//!      |
//!   11 |     __u64 *count = bpf_map_lookup_elem(&counts, &key);
//!      |                    ------------------- bpf_map_lookup_elem returns r0: a map's value of 8 bytes or NULL
//!   12 |
//!   13 |     *count += 1;
//!      |            ^^ r0 is a map's value of 8 bytes or NULL
//!      |
//!      = instruction 7: r1 = *(u64 *)(r0 + 0)
//!      = rule: a pointer that may be NULL must be compared with NULL on the way to its use
//!      = help: test it before its first use: if (!pointer) return 0;
//!      = kernel: R0 invalid mem access 'map_value_or_null'
//! ```

use std::fmt;
use std::path::Path;

use super::diagnosis::{CodePlace, Diagnosis};

/// Prints a [`Diagnosis`] on one screen.
#[derive(Debug, Clone, Copy)]
pub struct Screen<'d> {
    diagnosis: &'d Diagnosis,
    color: bool,
    log: Option<&'d Path>,
}

/// A piece of a source line with something to say about it.
struct Mark<'d> {
    place: &'d CodePlace,
    text: String,
    /// The fault itself, not what led to it.
    fault: bool,
}

const RED: &str = "1;31";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

impl<'d> Screen<'d> {
    /// Without colour, and without a log file.
    pub fn new(diagnosis: &'d Diagnosis) -> Screen<'d> {
        Screen { diagnosis, color: false, log: None }
    }

    /// In colour, for a terminal.
    pub fn color(self, color: bool) -> Screen<'d> {
        Screen { color, ..self }
    }

    /// Where the whole log can be read.
    pub fn log(self, log: Option<&'d Path>) -> Screen<'d> {
        Screen { log, ..self }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    /// What is marked, the fault last.
    fn marks(&self) -> Vec<Mark<'d>> {
        let d = self.diagnosis;
        let placed: Vec<_> = d.history.iter().filter_map(|h| Some((h.place.as_ref()?, &h.text))).collect();
        let many = placed.len() > 1;
        let numbered = |n: usize, text: &str| if many { format!("({n}) {text}") } else { text.into() };
        let mut out: Vec<Mark<'d>> = placed
            .into_iter()
            .zip(1..)
            .map(|((place, text), n)| Mark { place, text: numbered(n, text), fault: false })
            .collect();
        if let Some(place) = &d.place {
            out.push(Mark { place, text: d.state.clone(), fault: true });
        }
        out
    }

    fn source(&self, f: &mut fmt::Formatter<'_>, gutter: usize) -> fmt::Result {
        let marks = self.marks();
        let mut files: Vec<&str> = Vec::new();
        for mark in marks.iter().rev() {
            if !files.contains(&mark.place.file.as_str()) {
                files.push(&mark.place.file);
            }
        }
        for (i, file) in files.iter().enumerate() {
            if i > 0 {
                writeln!(f, "{:gutter$}{} {file}", "", self.paint(BLUE, ":::"))?;
            }
            writeln!(f, "{:gutter$} {}", "", self.paint(BLUE, "|"))?;
            self.file(f, gutter, file, &marks, i == 0)?;
        }
        if files.is_empty() { Ok(()) } else { writeln!(f, "{:gutter$} {}", "", self.paint(BLUE, "|")) }
    }

    fn file(
        &self,
        f: &mut fmt::Formatter<'_>,
        gutter: usize,
        file: &str,
        marks: &[Mark<'_>],
        main: bool,
    ) -> fmt::Result {
        let of = |m: &&Mark<'_>| m.place.file == file;
        let mut lines: Vec<(u32, &str)> =
            marks.iter().filter(of).map(|m| (m.place.line, m.place.text.as_str())).collect();
        if main {
            // What is next to the fault, if there is room.
            let room = usize::from(marks.len() < 4) * 4;
            let next = self.diagnosis.around.iter().filter(|(name, ..)| name == file);
            lines.extend(next.take(room).map(|(_, n, text)| (*n, text.as_str())));
        }
        lines.sort_by_key(|(n, _)| *n);
        lines.dedup_by_key(|(n, _)| *n);
        let mut last = None;
        for (n, text) in lines {
            match last.map(|last: u32| n.saturating_sub(last)) {
                None | Some(0 | 1) => {}
                Some(2) => writeln!(f, "{:>gutter$} {}", n.saturating_sub(1), self.paint(BLUE, "|"))?,
                Some(_) => writeln!(f, "{}", self.paint(BLUE, "..."))?,
            }
            last = Some(n);
            let number = self.paint(BLUE, &format!("{n:>gutter$} |"));
            writeln!(f, "{number} {}", spaces(text).trim_end())?;
            for mark in marks.iter().filter(of).filter(|m| m.place.line == n) {
                self.mark(f, gutter, mark)?;
            }
        }
        Ok(())
    }

    fn mark(&self, f: &mut fmt::Formatter<'_>, gutter: usize, mark: &Mark<'_>) -> fmt::Result {
        let (start, len) = span(&mark.place.text, mark.place.column);
        let (sign, color) = if mark.fault { ("^", RED) } else { ("-", BLUE) };
        let label = format!("{} {}", sign.repeat(len), mark.text);
        let bar = self.paint(BLUE, "|");
        writeln!(f, "{:gutter$} {bar} {:start$}{}", "", "", self.paint(color, label.trim_end()))
    }

    fn said(&self, f: &mut fmt::Formatter<'_>, gutter: usize, name: &str, text: &str) -> fmt::Result {
        let (sign, name) = (self.paint(BLUE, "="), self.paint(BOLD, name));
        writeln!(f, "{:gutter$} {sign} {name}: {text}", "")
    }
}

impl fmt::Display for Screen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = self.diagnosis;
        let head = match d.rule {
            Some(rule) => format!("error[{}]", rule.id),
            None => "error[verifier]".into(),
        };
        writeln!(f, "{}{}", self.paint(RED, &head), self.paint(BOLD, &format!(": {}", d.title)))?;
        let most = self.marks().iter().map(|m| m.place.line).max().unwrap_or(1);
        let gutter = most.saturating_add(2).to_string().len().max(2);
        let arrow = self.paint(BLUE, "-->");
        match &d.place {
            Some(p) => {
                let column = if p.column > 0 { format!(":{}", p.column) } else { String::new() };
                writeln!(
                    f,
                    "{:gutter$}{arrow} {}:{}{column}, function `{}`",
                    "", p.file, p.line, p.function
                )?;
            }
            None => writeln!(f, "{:gutter$}{arrow} program `{}`, section `{}`", "", d.program, d.section)?,
        }
        self.source(f, gutter)?;
        if let Some((at, text)) = &d.insn {
            self.said(f, gutter, &format!("instruction {at}"), text)?;
        }
        if d.place.is_none() && !d.state.is_empty() {
            self.said(f, gutter, "state", &d.state)?;
        }
        for h in d.history.iter().filter(|h| h.place.is_none()) {
            self.said(f, gutter, &format!("instruction {}", h.insn), &h.text)?;
        }
        if let Some(rule) = d.rule {
            self.said(f, gutter, "rule", rule.rule)?;
        }
        d.notes.iter().try_for_each(|note| self.said(f, gutter, "note", note))?;
        d.help.iter().try_for_each(|help| self.said(f, gutter, "help", help))?;
        if !d.message.is_empty() {
            self.said(f, gutter, "kernel", &d.message.join("; "))?;
        }
        match self.log {
            Some(log) => self.said(f, gutter, "log", &log.display().to_string()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Screen::new(self).fmt(f)
    }
}

/// How wide a tabulator is shown.
const TAB: usize = 4;

/// Tabulators as blanks; other control characters go.
fn spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.extend(std::iter::repeat_n(' ', TAB)),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// Where a column stands when it is shown, and how long the word there is. Compilers count bytes.
fn span(text: &str, column: u32) -> (usize, usize) {
    let start = (column as usize).saturating_sub(1);
    let start = if column == 0 || text.get(start..).is_none_or(str::is_empty) {
        text.len().saturating_sub(text.trim_start().len())
    } else {
        start
    };
    let (before, rest) = text.split_at_checked(start).unwrap_or(("", text));
    let shown = before.chars().map(|c| if c == '\t' { TAB } else { 1 }).sum();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let sign = |c: char| "+-*/%&|^<>=!".contains(c);
    let len = match rest.chars().next() {
        _ if column == 0 => rest.trim_end().chars().count(),
        Some(c) if word(c) => rest.chars().take_while(|c| word(*c)).count(),
        Some(c) if sign(c) => rest.chars().take_while(|c| sign(*c)).count(),
        _ => 1,
    };
    (shown, len.clamp(1, 100))
}
