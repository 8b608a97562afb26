//! A line of assembly as tokens.

use super::error::Fault;
use std::ops::Range;

/// A word, number, string or sign of a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    /// Its bytes in the line.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'a> {
    /// A register, a keyword or a name.
    Word(&'a str),
    /// A number without its sign.
    Number(u64),
    /// What stood in quotes.
    Text(String),
    /// One of [`SIGNS`].
    Sign(&'static str),
}

/// The signs, longer ones before those that they start with.
const SIGNS: &[&str] = &[
    "<<=", ">>=", "->", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "==", "!=", "<=", ">=", "<", ">",
    "=", "&", "(", ")", "[", "]", "{", "}", "@", "*", "+", "-", ",", ":", "#",
];

/// Splits a line from a byte on into tokens, up to its comment.
pub(super) fn lex(line: &str, from: usize) -> Result<Vec<Token<'_>>, Fault> {
    let mut tokens = Vec::new();
    let mut at = from;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        at = at.saturating_add(rest.len().saturating_sub(trimmed.len()));
        let after_space = rest.len() != trimmed.len() || at == 0;
        if trimmed.is_empty() {
            return Ok(tokens);
        }
        if is_comment(trimmed, after_space) {
            // A directive may have more lines.
            let Some(end) = trimmed.find('\n') else { return Ok(tokens) };
            at = at.saturating_add(end);
            continue;
        }
        let (kind, len) = token(trimmed).map_err(|(what, len)| {
            let help = "a word, a number, a \"text\" or a sign is expected here";
            Fault::new(at..at.saturating_add(len), what, help)
        })?;
        let end = at.saturating_add(len);
        tokens.push(Token { kind, at: at..end });
        at = end;
    }
}

/// `;`, `//`, and `#` after a space: the verifier writes `bpf_map_lookup_elem#1` without one.
fn is_comment(rest: &str, after_space: bool) -> bool {
    rest.starts_with(';') || rest.starts_with("//") || (after_space && rest.starts_with('#'))
}

/// The token at the start, and its length; or what is wrong, and with how many bytes.
fn token(rest: &str) -> Result<(Kind<'_>, usize), (String, usize)> {
    let first = rest.chars().next().unwrap_or(' ');
    if first == '"' {
        return quoted(rest);
    }
    if first.is_ascii_digit() {
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let digits = rest.get(..len).unwrap_or_default();
        let number = number(digits).ok_or_else(|| (format!("`{digits}` is no 64-bit number"), len))?;
        return Ok((Kind::Number(number), len));
    }
    if is_name_start(first) {
        let len = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        return Ok((Kind::Word(rest.get(..len).unwrap_or_default()), len));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok((Kind::Sign(sign), sign.len())),
        None => Err((format!("unexpected character `{}`", first.escape_debug()), first.len_utf8())),
    }
}

/// Decimal, or hexadecimal after `0x`.
fn number(digits: &str) -> Option<u64> {
    match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

/// What stands in quotes, with the escapes of Rust and C.
fn quoted(rest: &str) -> Result<(Kind<'static>, usize), (String, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Kind::Text(text), at.saturating_add(1))),
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, '0')) => text.push('\0'),
                Some((_, 'u')) => text.push(unicode(&mut chars).ok_or(bad_escape(at))?),
                Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                _ => return Err(bad_escape(at)),
            },
            c => text.push(c),
        }
    }
    Err(("this text has no closing quote".into(), rest.len()))
}

fn bad_escape(at: usize) -> (String, usize) {
    ("this escape is not known".into(), at.saturating_add(1))
}

/// The character of `{1f600}`, after `\u`.
fn unicode(chars: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    chars.next().filter(|(_, c)| *c == '{')?;
    let digits: String = chars.map(|(_, c)| c).take_while(|c| *c != '}').take(7).collect();
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

pub(super) fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '$')
}

pub(super) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')
}
