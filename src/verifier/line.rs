//! One line of a verifier log, as data. Nothing here fails: a line that is none of the known ones is a
//! message.

use super::value::RegState;

/// What a line of the log is.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// `12: (61) r0 = *(u32 *)(r1 +4)  ; R0_w=scalar() R1=ctx()`: an instruction that the verifier looks at.
    Insn {
        /// Its number in the program.
        at: u32,
        /// As the kernel writes it.
        text: &'a str,
        /// What the verifier knows after it (Linux 5.18; before, the line ends with the instruction).
        after: RegState<'a>,
    },
    /// `7: R0=inv(id=0) R10=fp0` and `from 3 to 9: R1=ctx()`: what the verifier knows before an instruction.
    State {
        /// The conditional jump that a new path starts from.
        from: Option<u32>,
        /// The instruction that comes next, if the line says so.
        at: Option<u32>,
        /// What is known.
        state: RegState<'a>,
    },
    /// `; return *count; @ prog.bpf.c:12`: the source of the instructions that follow.
    Source {
        /// The text of the line.
        text: &'a str,
        /// File and line (Linux 6.9).
        place: Option<(&'a str, u32)>,
    },
    /// `caller:` and `callee:`, in front of the states of both.
    Frames,
    /// The last line, with what the verification cost.
    Stats {
        /// Instructions that were looked at.
        processed: u64,
    },
    /// A headline of Linux 7.3's own explanation (`Verification failed: ...`), or of a part of it (`Reason:`).
    Head(&'a str),
    /// Anything else: most of all, what is wrong.
    Message(&'a str),
    /// Nothing.
    Empty,
}

impl<'a> Line<'a> {
    /// Reads one line.
    pub fn parse(line: &'a str) -> Line<'a> {
        let line = line.trim_end();
        let text = line.trim_start();
        if text.is_empty() {
            return Line::Empty;
        }
        if let Some(source) = text.strip_prefix("; ") {
            return source_line(source);
        }
        if let Some(rest) = text.strip_prefix("processed ") {
            if let Some(processed) = rest.split(' ').next().and_then(|n| n.parse().ok()) {
                return Line::Stats { processed };
            }
        }
        if text == "caller:" || text == "callee:" {
            return Line::Frames;
        }
        if let Some(rest) = text.strip_prefix("from ") {
            if let Some(line) = branch(rest) {
                return line;
            }
        }
        if text.starts_with("Verification failed: ")
            || ["Reason:", "At:", "Causal path:", "Suggestion:"].contains(&text)
        {
            return Line::Head(text);
        }
        numbered(text).or_else(|| bare_state(text)).unwrap_or(Line::Message(text))
    }
}

/// `text @ file:line`.
fn source_line(source: &str) -> Line<'_> {
    let place = source.rsplit_once(" @ ").and_then(|(text, place)| {
        let (file, line) = place.rsplit_once(':')?;
        Some((text, (file, line.parse().ok()?)))
    });
    match place {
        Some((text, place)) => Line::Source { text, place: Some(place) },
        None => Line::Source { text: source, place: None },
    }
}

/// `3 to 9: R1=ctx()`, `3 to 9 (speculative execution): ...`.
fn branch(rest: &str) -> Option<Line<'_>> {
    let (from, rest) = rest.split_once(" to ")?;
    let (to, state) = rest.split_once(':')?;
    let at = to.split(' ').next()?.parse().ok()?;
    Some(Line::State { from: Some(from.parse().ok()?), at: Some(at), state: RegState::parse(state) })
}

/// `12: ` and an instruction or a state.
fn numbered(text: &str) -> Option<Line<'_>> {
    let (number, rest) = text.split_once(':')?;
    let at: u32 = number.parse().ok()?;
    let rest = rest.trim_start();
    let Some((_, insn)) =
        rest.strip_prefix('(').and_then(|r| r.split_once(") ")).filter(|(op, _)| is_opcode(op))
    else {
        return Some(Line::State { from: None, at: Some(at), state: RegState::parse(rest) });
    };
    let (insn, after) = match insn.split_once(';') {
        Some((insn, after)) => (insn, RegState::parse(after)),
        // A jump that was followed ends with where it led to: `goto pc+1 4: R0=0`.
        None => match [": R", ": frame"].iter().filter_map(|s| insn.find(s)).min() {
            Some(colon) => {
                let (insn, after) = insn.split_at_checked(colon)?;
                let insn = insn.trim_end_matches(|c: char| c.is_ascii_digit());
                (insn, RegState::parse(after.get(1..).unwrap_or("")))
            }
            None => (insn, RegState::default()),
        },
    };
    Some(Line::Insn { at, text: insn.trim_end(), after })
}

fn is_opcode(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// ` R1=ctx() R10=fp0` and ` frame1: R1=...` without a number in front, as at a call.
fn bare_state(text: &str) -> Option<Line<'_>> {
    let state = RegState::parse(text);
    let starts = text.starts_with("frame") || text.starts_with('R') || text.starts_with("fp-");
    (starts && !state.is_empty()).then_some(Line::State { from: None, at: None, state })
}
