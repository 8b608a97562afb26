//! A [`Value`] as text: on one line, or with `{:#}` one member a line.

use super::{Literal, Value};
use std::fmt::{self, Write};

/// From this many elements on, a tail of zeros is shown as `..`.
const LONG: usize = 9;

impl Value<'_> {
    /// Whether every byte that it was read from is 0.
    pub fn is_zero(&self) -> bool {
        match self {
            Value::Int(0) | Value::Uint(0) | Value::Bool(false) | Value::Char(0) | Value::Ptr(0) => true,
            Value::Enum { value, .. } => *value == 0,
            Value::Text(text) => text.is_empty(),
            Value::Float(f) => f.to_bits() == 0,
            Value::Addr(addr) => addr.is_unspecified(),
            Value::Struct(members) | Value::Vars(members) => members.iter().all(|(_, v)| v.is_zero()),
            Value::Array(list) => list.iter().all(Value::is_zero),
            Value::Bytes(bytes) => bytes.iter().all(|b| *b == 0),
            _ => false,
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, level: usize) -> fmt::Result {
        match self {
            Value::Int(n) => write!(f, "{n}"),
            Value::Uint(n) => write!(f, "{n}"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Char(c) => match c {
                b' '..=b'~' => write!(f, "'{}'", char::from(*c).escape_default()),
                c => write!(f, "{c}"),
            },
            Value::Enum { name: Some(name), .. } => write!(f, "{name}"),
            Value::Enum { value, .. } => write!(f, "{value}"),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Ptr(p) => write!(f, "{p:#x}"),
            Value::Float(n) => write!(f, "{n:?}"),
            Value::Addr(addr) => write!(f, "{addr}"),
            Value::Struct(members) | Value::Vars(members) => {
                let show = |f: &mut fmt::Formatter<'_>, at: usize| match members.get(at) {
                    Some((name, value)) => {
                        if !name.is_empty() {
                            write!(f, "{name}: ")?;
                        }
                        value.show(f, level.saturating_add(1))
                    }
                    None => Ok(()),
                };
                list(f, ['{', '}'], level, members.len(), false, show)
            }
            Value::Array(values) => {
                let tail = values.iter().rev().take_while(|v| v.is_zero()).count();
                let show = |f: &mut fmt::Formatter<'_>, at: usize| match values.get(at) {
                    Some(value) => value.show(f, level.saturating_add(1)),
                    None => Ok(()),
                };
                let (len, cut) = cut(values.len(), tail);
                list(f, ['[', ']'], level, len, cut, show)
            }
            Value::Bytes(bytes) => {
                let tail = bytes.iter().rev().take_while(|b| **b == 0).count();
                let (len, cut) = cut(bytes.len(), tail);
                f.write_char('[')?;
                for (nth, byte) in bytes.iter().take(len).enumerate() {
                    write!(f, "{}{byte:#04x}", if nth > 0 { ", " } else { "" })?;
                }
                f.write_str(if cut { ", ..]" } else { "]" })
            }
        }
    }
}

/// How many of `len` elements are shown, of which the last `tail` are zeros, and whether `..` follows.
fn cut(len: usize, tail: usize) -> (usize, bool) {
    if len < LONG || tail < 3 { (len, false) } else { (len.saturating_sub(tail).max(1), true) }
}

fn list(
    f: &mut fmt::Formatter<'_>,
    [open, close]: [char; 2],
    level: usize,
    len: usize,
    cut: bool,
    show: impl Fn(&mut fmt::Formatter<'_>, usize) -> fmt::Result,
) -> fmt::Result {
    let lines = f.alternate() && len > 0;
    let newline = |f: &mut fmt::Formatter<'_>, level: usize| {
        f.write_char('\n')?;
        (0..level).try_for_each(|_| f.write_str("  "))
    };
    f.write_char(open)?;
    for nth in 0..len {
        match (nth, lines) {
            (_, true) => newline(f, level.saturating_add(1))?,
            (0, false) => {}
            (_, false) => f.write_char(' ')?,
        }
        show(f, nth)?;
        if nth.saturating_add(1) < len || cut || lines {
            f.write_char(',')?;
        }
    }
    if cut {
        f.write_str(" ..")?;
    }
    if lines {
        newline(f, level)?;
    }
    f.write_char(close)
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, 0)
    }
}

impl From<&Value<'_>> for Literal {
    /// What [`encode`](super::encode) makes the value's bytes of.
    fn from(value: &Value<'_>) -> Literal {
        match value {
            Value::Text(text) => Literal::Text(text.clone().into_bytes()),
            Value::Char(c) => Literal::Word(c.to_string()),
            Value::Enum { value, .. } => Literal::Word(value.to_string()),
            Value::Struct(members) | Value::Vars(members) => {
                Literal::Fields(members.iter().map(|(name, v)| (name.to_string(), v.into())).collect())
            }
            Value::Array(values) => {
                Literal::List { items: values.iter().map(Literal::from).collect(), rest: false }
            }
            Value::Bytes(bytes) => {
                let items = bytes.iter().map(|b| Literal::Word(b.to_string())).collect();
                Literal::List { items, rest: false }
            }
            plain => Literal::Word(plain.to_string()),
        }
    }
}
