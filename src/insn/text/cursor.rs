//! Reading a line's tokens one after the other, and saying what was expected.

use super::error::Fault;
use super::lex::{Kind, Token};
use crate::insn::{Mem, Reg, Size, Source, Width, layouts, net};
use std::ops::Range;

pub(super) type Parse<T> = Result<T, Fault>;

/// The tokens of a line, and how far they have been read.
pub(super) struct Cursor<'a> {
    tokens: &'a [Token<'a>],
    pos: usize,
    /// Numbers that the text has given names (`.equ`).
    names: &'a dyn Fn(&str) -> Option<i64>,
    /// An instruction of the form that is being read, for errors to show.
    form: &'static str,
}

/// A register by either name.
#[derive(Clone, Copy)]
pub(super) struct AnyReg {
    pub(super) reg: Reg,
    pub(super) width: Width,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: &'a [Token<'a>], names: &'a dyn Fn(&str) -> Option<i64>) -> Cursor<'a> {
        Cursor { tokens, pos: 0, names, form: "" }
    }

    /// Says what a correct line of this kind looks like.
    pub(super) fn form(&mut self, form: &'static str) {
        self.form = form;
    }

    pub(super) fn peek(&self) -> Option<&'a Kind<'a>> {
        self.tokens.get(self.pos).map(|t| &t.kind)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&'a Kind<'a>> {
        self.tokens.get(self.pos.saturating_add(ahead)).map(|t| &t.kind)
    }

    pub(super) fn skip(&mut self) {
        self.pos = self.pos.saturating_add(1);
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    /// Back to a token that was read before.
    pub(super) fn back(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Where the next token is; the end of the line if there is none.
    pub(super) fn here(&self) -> Range<usize> {
        match (self.tokens.get(self.pos), self.tokens.last()) {
            (Some(token), _) => token.at.clone(),
            (None, Some(last)) => last.at.end..last.at.end.saturating_add(1),
            (None, None) => 0..1,
        }
    }

    /// From the start of a token that was read to the end of the last one.
    pub(super) fn since(&self, pos: usize) -> Range<usize> {
        let start = self.tokens.get(pos).map_or(0, |t| t.at.start);
        let end = self.tokens.get(self.pos.saturating_sub(1)).map_or(start, |t| t.at.end);
        start..end.max(start)
    }

    pub(super) fn fault<T>(&self, what: impl Into<String>) -> Parse<T> {
        self.fault_at(self.here(), what)
    }

    pub(super) fn fault_at<T>(&self, at: Range<usize>, what: impl Into<String>) -> Parse<T> {
        let help = match self.form {
            "" => String::new(),
            form => format!("the form is `{form}`"),
        };
        Err(Fault::new(at, what, help))
    }

    /// A fault that says what stands here instead of what is expected.
    pub(super) fn expected<T>(&self, what: &str) -> Parse<T> {
        match self.peek() {
            None => self.fault(format!("{what} is expected here, but the line ends")),
            Some(_) => self.fault(format!("{what} is expected here")),
        }
    }

    pub(super) fn at_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Kind::Sign(s)) if *s == sign)
    }

    /// Reads a sign if it is there.
    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let there = self.at_sign(sign);
        if there {
            self.skip();
        }
        there
    }

    /// Reads a word if it is there.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Kind::Word(w)) if *w == word);
        if there {
            self.skip();
        }
        there
    }

    pub(super) fn expect(&mut self, sign: &str) -> Parse<()> {
        match self.eat(sign) {
            true => Ok(()),
            false => self.expected(&format!("`{sign}`")),
        }
    }

    pub(super) fn end(&self) -> Parse<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fault("the instruction is complete before this"),
        }
    }

    /// A register by either name, if it is there.
    pub(super) fn maybe_reg(&mut self) -> Option<AnyReg> {
        let found = match self.peek()? {
            Kind::Word(word) => register(word)?,
            _ => return None,
        };
        self.skip();
        Some(found)
    }

    pub(super) fn any_reg(&mut self) -> Parse<AnyReg> {
        match (self.maybe_reg(), self.peek()) {
            (Some(reg), _) => Ok(reg),
            (None, Some(Kind::Word(word))) if looks_like_register(word) => {
                Err(Fault::new(self.here(), format!("there is no register `{word}`"), REGISTERS))
            }
            (None, _) => self.expected("a register"),
        }
    }

    /// A register that has to go by its 64-bit name.
    pub(super) fn reg(&mut self) -> Parse<Reg> {
        let at = self.here();
        match self.any_reg()? {
            AnyReg { reg, width: Width::W64 } => Ok(reg),
            AnyReg { reg, .. } => {
                Err(Fault::new(at, "a 64-bit register is expected here", format!("write `{reg}`")))
            }
        }
    }

    /// A register that has to go by the name of a width.
    pub(super) fn reg_of(&mut self, width: Width) -> Parse<Reg> {
        let at = self.here();
        let found = self.any_reg()?;
        if found.width == width {
            return Ok(found.reg);
        }
        let letter = if width == Width::W64 { 'r' } else { 'w' };
        let name = format!("write `{letter}{}`", found.reg.number());
        Err(Fault::new(at, "both registers have to be of one width", name))
    }

    /// A number with its sign, or a name that stands for one.
    pub(super) fn number(&mut self) -> Parse<i128> {
        let start = self.pos;
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        let value = match self.peek() {
            Some(Kind::Number(n)) => i128::from(*n),
            Some(Kind::Word(word)) => match self.constant(word) {
                Some(value) => i128::from(value),
                None => {
                    self.pos = start;
                    return self.expected("a number");
                }
            },
            _ => {
                self.pos = start;
                return self.expected("a number");
            }
        };
        self.skip();
        Ok(if negative { value.saturating_neg() } else { value })
    }

    /// A number by name: one of the text's own, of [`net`], or a field's offset (`xdp_md.data_end`).
    fn constant(&self, word: &str) -> Option<i64> {
        let of_field = || {
            let (name, member) = word.split_once('.')?;
            let layout = layouts::layout(name)?;
            match member {
                "sizeof" => Some(i64::from(layout.bytes)),
                _ => layout.fields.iter().find(|f| f.0 == member).map(|f| i64::from(f.1)),
            }
        };
        (self.names)(word).or_else(|| net::number(word).map(i64::from)).or_else(of_field)
    }

    /// A number that has to fit a type.
    pub(super) fn fit<T: TryFrom<i128>>(&mut self, range: &str) -> Parse<T> {
        let start = self.pos;
        let value = self.number()?;
        let what = format!("{value} does not fit here, which takes {range}");
        T::try_from(value).or_else(|_| self.fault_at(self.since(start), what))
    }

    /// A 32-bit immediate. Hexadecimal ones may give the bits of a negative number where `bits` says so,
    /// as the verifier prints the operands of jumps.
    pub(super) fn imm32(&mut self, bits: bool) -> Parse<i32> {
        let start = self.pos;
        let value = self.number()?;
        match (i32::try_from(value), u32::try_from(value)) {
            (Ok(imm), _) => Ok(imm),
            (_, Ok(imm)) if bits => Ok(imm as i32),
            _ => Err(Fault::new(
                self.since(start),
                format!("{value} does not fit a signed 32-bit immediate"),
                "load it into a register first: `r1 = NUMBER ll`",
            )),
        }
    }

    /// The second operand: a register of the width, or a number.
    pub(super) fn operand(&mut self, width: Width, bits: bool) -> Parse<Source> {
        match self.peek() {
            Some(Kind::Word(word)) if looks_like_register(word) => self.reg_of(width).map(Source::Reg),
            Some(Kind::Word(word)) if self.constant(word).is_none() => {
                self.expected("a register or a number")
            }
            Some(_) => self.imm32(bits || width == Width::W32).map(Source::Imm),
            None => self.expected("a register or a number"),
        }
    }

    /// `r1 + 8`, `r10 -4`, `r1`.
    pub(super) fn address(&mut self) -> Parse<Mem> {
        let base = self.reg()?;
        match self.at_sign("+") || self.at_sign("-") {
            true => Ok(Mem { base, off: self.fit("a 16-bit offset, -32768 to 32767")? }),
            false => Ok(Mem { base, off: 0 }),
        }
    }

    /// `u32 *)` and the like, after `*(` or `((`.
    pub(super) fn pointer_type(&mut self) -> Parse<(Size, bool)> {
        let found = match self.peek() {
            Some(Kind::Word(word)) => c_type(word),
            _ => None,
        };
        let Some(found) = found else { return self.expected("one of u8, u16, u32, u64, s8, s16, s32") };
        self.skip();
        self.expect("*")?;
        self.expect(")")?;
        Ok(found)
    }

    /// `(u32 *)(r1 + 4)`.
    pub(super) fn typed_address(&mut self) -> Parse<(Size, bool, Mem)> {
        self.expect("(")?;
        let (size, signed) = self.pointer_type()?;
        self.expect("(")?;
        let mem = self.address()?;
        self.expect(")")?;
        Ok((size, signed, mem))
    }

    /// A name, plain or in quotes.
    pub(super) fn name(&mut self) -> Parse<String> {
        let name = match self.peek() {
            Some(Kind::Word(word)) if !looks_like_register(word) => (*word).to_string(),
            Some(Kind::Text(text)) => text.clone(),
            _ => return self.expected("a name"),
        };
        self.skip();
        Ok(name)
    }
}

const REGISTERS: &str = "registers are r0 to r10, and w0 to w10 for their lower 32 bits";

fn register(word: &str) -> Option<AnyReg> {
    Reg::ALL.into_iter().find_map(|reg| {
        let (full, low) = crate::insn::reg::names(reg.number());
        match word {
            w if w == full => Some(AnyReg { reg, width: Width::W64 }),
            w if w == low => Some(AnyReg { reg, width: Width::W32 }),
            _ => None,
        }
    })
}

/// `r` or `w` and digits: nothing that is a name.
pub(super) fn looks_like_register(word: &str) -> bool {
    let digits = word.strip_prefix(['r', 'w']).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The size of a C type, and whether it is signed.
fn c_type(word: &str) -> Option<(Size, bool)> {
    Some(match word {
        "u8" => (Size::B, false),
        "u16" => (Size::H, false),
        "u32" => (Size::W, false),
        "u64" => (Size::DW, false),
        "s8" => (Size::B, true),
        "s16" => (Size::H, true),
        "s32" => (Size::W, true),
        _ => return None,
    })
}

/// Whether a name can stand in a text without quotes.
pub(in crate::insn) fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(super::lex::is_name_start)
        && chars.all(super::lex::is_name)
        && !looks_like_register(name)
        && name != "pc"
}
