//! Global variables: what stands in a text behind `.section ".data"`, `.rodata` or `.bss`.
//!
//! ```text
//! .section ".rodata"
//! .var limit: u32 = 100                a number of that size
//! .var static fmt: [16]char = "%d\n"   its bytes, and zeros up to its end
//! .var mac: [6]u8 = { 2, 0, 0, 0, 0, 1 }
//! .var table: [16]u64 @64              zeros, and where in the section it is, in bytes
//! .bytes @192 = "no variable"          contents that have no name
//! .space 256                           the section is this long
//! ```

use super::cursor::{Cursor, Parse};
use super::lex::Kind;
use super::type_read;
use super::{Init, TextData, TextVar};
use crate::insn::disasm::Name;
use std::fmt;

/// Whether a section holds variables, by its name.
pub(super) fn is_data(section: &str) -> bool {
    [".data", ".rodata", ".bss"]
        .iter()
        .any(|base| section.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Reads what follows `.var`, `.bytes` or `.space` into a section.
pub(super) fn directive(c: &mut Cursor<'_>, word: &str, section: &mut TextData) -> Parse<()> {
    match word {
        ".space" => {
            c.form(".space 256");
            section.bytes = c.fit("a length in bytes")?;
        }
        ".bytes" => {
            c.form(".bytes @192 = \"text\"");
            let at = place(c)?;
            c.expect("=")?;
            let init = init(c)?;
            section.variables.push(TextVar { name: String::new(), ty: None, local: false, at, init });
        }
        _ => {
            c.form(".var limit: u32 = 100");
            // `static` is a name, too.
            let local = !matches!(c.peek_at(1), Some(Kind::Sign(":"))) && c.eat_word("static");
            let name = c.name()?;
            c.expect(":")?;
            let ty = Some(type_read::parse(c)?);
            let at = place(c)?;
            let init = if c.eat("=") { init(c)? } else { Init::Zero };
            section.variables.push(TextVar { name, ty, local, at, init });
        }
    }
    Ok(())
}

/// `@64`, if it is there.
fn place(c: &mut Cursor<'_>) -> Parse<Option<u32>> {
    match c.eat("@") {
        true => c.fit("an offset in bytes").map(Some),
        false => Ok(None),
    }
}

fn init(c: &mut Cursor<'_>) -> Parse<Init> {
    if let Some(Kind::Text(text)) = c.peek() {
        c.skip();
        return Ok(Init::Bytes(text.clone().into_bytes()));
    }
    if !c.eat("{") {
        return c.number().map(Init::Number);
    }
    let mut bytes = Vec::new();
    while !c.eat("}") {
        bytes.push(c.fit("a byte, 0 to 255")?);
        if !c.eat(",") {
            c.expect("}")?;
            break;
        }
    }
    Ok(Init::Bytes(bytes))
}

impl fmt::Display for TextVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TextVar { name, ty, local, at, init } = self;
        match ty {
            Some(ty) => write!(f, ".var {}{}: {ty}", if *local { "static " } else { "" }, Name(name))?,
            None => f.write_str(".bytes")?,
        }
        at.map_or(Ok(()), |at| write!(f, " @{at}"))?;
        match init {
            Init::Zero => writeln!(f),
            Init::Number(number) => writeln!(f, " = {number}"),
            Init::Bytes(bytes) => write_bytes(f, bytes),
        }
    }
}

/// Bytes as text if they are some, else as numbers; zeros at the end go without saying.
fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let len = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last.saturating_add(1));
    let bytes = bytes.get(..len).unwrap_or(bytes);
    let printable = |b: &u8| b.is_ascii_graphic() || b" \n\t\r".contains(b);
    if !bytes.is_empty() && bytes.iter().all(printable) {
        return writeln!(f, " = \"{}\"", String::from_utf8_lossy(bytes).escape_default());
    }
    f.write_str(" = {")?;
    for (ix, byte) in bytes.iter().enumerate() {
        write!(f, "{}{byte}", if ix == 0 { " " } else { ", " })?;
    }
    f.write_str(" }\n")
}
