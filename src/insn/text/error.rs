//! Mistakes in a text: where, what, and what to write instead.

use std::fmt;
use std::ops::Range;

/// A mistake in one line of assembly. `Display` shows the line and points at the place:
///
/// ```
/// let errors = rawbpf::insn::text::assemble("prog.s", "    r0 = 0\n    exti\n").unwrap_err();
/// assert_eq!(
///     errors.to_string(),
///     "\
/// prog.s:2:5: unknown instruction `exti`
///   |
/// 2 |     exti
///   |     ^^^^ did you mean `exit`?
/// ",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The file's name, as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column of the first character that is wrong, from 1.
    pub col: u32,
    /// How many characters are wrong.
    pub width: u32,
    /// What is wrong.
    pub what: String,
    /// What would be right; may be empty.
    pub help: String,
    /// The line itself.
    pub source: String,
}

impl std::error::Error for TextError {}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TextError { file, line, col, width, what, help, source } = self;
        writeln!(f, "{file}:{line}:{col}: {what}")?;
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {source}")?;
        // Tabs stay tabs, so that the arrow stands under its character.
        let before = source.chars().take((*col as usize).saturating_sub(1));
        let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let arrows = "^".repeat((*width).max(1) as usize);
        writeln!(f, "{}", format!("{margin} | {indent}{arrows} {help}").trim_end())
    }
}

/// All mistakes of a text, in the order of its lines; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextErrors(pub Vec<TextError>);

impl std::error::Error for TextErrors {}

impl fmt::Display for TextErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|e| write!(f, "{e}"))
    }
}

/// A mistake within a line that is known elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    /// The wrong bytes of the line.
    pub(super) at: Range<usize>,
    pub(super) what: String,
    pub(super) help: String,
}

impl Fault {
    pub(super) fn new(at: Range<usize>, what: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { at, what: what.into(), help: help.into() }
    }

    /// The same mistake with its file and line.
    pub(super) fn at_line(self, file: &str, line: u32, source: &str) -> TextError {
        // Of several lines, the one that has the start.
        let before = source.get(..self.at.start).unwrap_or(source);
        let first = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let line = line.saturating_add(before.matches('\n').count() as u32);
        let source = source.get(first..).and_then(|s| s.lines().next()).unwrap_or_default();
        let chars = |to: usize| source.get(..to).map_or(source.chars().count(), |s| s.chars().count());
        let [start, end] = [self.at.start, self.at.end].map(|at| chars(at.saturating_sub(first)));
        let width = end.saturating_sub(start) as u32;
        let (file, source) = (file.to_string(), source.to_string());
        TextError { file, line, col: start as u32 + 1, width, what: self.what, help: self.help, source }
    }
}

/// "did you mean `x`?", if one of the candidates is near the word; else nothing.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let limit = (word.chars().count() / 3).max(1);
    let near = candidates.into_iter().map(|c| (distance(word, c, limit), c)).min();
    match near {
        Some((edits, name)) if edits <= limit => format!("did you mean `{name}`?"),
        _ => String::new(),
    }
}

/// How many characters have to be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    if a.len().abs_diff(b.len()) > limit {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i.saturating_add(1)];
        for (j, cb) in b.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX);
            let change = get(&last, j).saturating_add(usize::from(ca != cb));
            let insert = get(&row, j).saturating_add(1);
            let remove = get(&last, j.saturating_add(1)).saturating_add(1);
            let swapped = i > 0
                && j > 0
                && a.get(i.wrapping_sub(1)) == Some(cb)
                && b.get(j.wrapping_sub(1)) == Some(ca);
            let swap = match swapped {
                true => get(&before, j.wrapping_sub(1)).saturating_add(1),
                false => usize::MAX,
            };
            row.push(change.min(insert).min(remove).min(swap));
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}
