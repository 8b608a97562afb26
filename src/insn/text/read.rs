//! The lines of a text, one by one: directives, labels, instructions.

use super::TextMap;
use super::cursor::{Cursor, Parse};
use super::error::{Fault, TextError, did_you_mean};
use super::insn::{self, Parsed};
use super::lex::{Kind, Token, lex};
use crate::bytes::Endian;
use crate::insn::RawInsn;
use crate::uapi::MapType;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A text, read but not resolved.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    pub(super) license: Option<String>,
    pub(super) maps: Vec<TextMap>,
    pub(super) globals: HashSet<String>,
    pub(super) lines: Vec<Line<'a>>,
}

/// What a line says that has its place in the code.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: u32,
    pub(super) source: &'a str,
    /// The bytes of the line that say it.
    pub(super) at: Range<usize>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Section(String),
    Label(String),
    Insn(Parsed),
    Raw(RawInsn),
}

/// More mistakes than this are not told.
pub(super) const MAX_ERRORS: usize = 50;

/// Directives of compilers that say nothing to us.
const IGNORED: &[&str] =
    &[".type", ".size", ".p2align", ".align", ".file", ".loc", ".ident", ".addrsig", ".addrsig_sym"];

/// The directives that mean something.
const DIRECTIVES: &[&str] = &[".section", ".text", ".globl", ".map", ".license", ".equ", ".8byte"];

pub(super) fn read<'a>(file: &str, text: &'a str) -> (Draft<'a>, Vec<TextError>) {
    let mut reader = Reader { draft: Draft::default(), names: HashMap::new(), map_names: HashSet::new() };
    let mut errors = Vec::new();
    for (source, number) in text.lines().zip(1u32..) {
        if let Err(fault) = reader.line(number, source) {
            errors.push(fault.at_line(file, number, source));
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
    }
    (reader.draft, errors)
}

struct Reader<'a> {
    draft: Draft<'a>,
    /// The numbers of `.equ`.
    names: HashMap<String, i64>,
    map_names: HashSet<String>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, number: u32, source: &'a str) -> Parse<()> {
        let word = source.split_whitespace().next().unwrap_or_default();
        if IGNORED.contains(&word) || word.starts_with(".cfi_") {
            return Ok(());
        }
        if word == ".section" {
            return self.section(number, source);
        }
        let (start, opcode) = log_prefix(source);
        let tokens = lex(source, start)?;
        let mut tokens = tokens.as_slice();
        while let Some((name, rest)) = label(tokens) {
            self.push(number, source, name.at.clone(), What::Label(text_of(name)));
            tokens = rest;
        }
        let Some(first) = tokens.first() else { return Ok(()) };
        match &first.kind {
            Kind::Word(word) if word.starts_with('.') => self.directive(number, source, word, tokens),
            _ => {
                let names = &self.names;
                let lookup = |name: &str| names.get(name).copied();
                let mut cursor = Cursor::new(tokens, &lookup);
                let parsed = insn::parse(&mut cursor, opcode)?;
                let at = cursor.since(0);
                self.push(number, source, at, What::Insn(parsed));
                Ok(())
            }
        }
    }

    fn push(&mut self, number: u32, source: &'a str, at: Range<usize>, what: What) {
        self.draft.lines.push(Line { number, source, at, what });
    }

    /// `.section "xdp"`; what a compiler puts behind the name, flags and a type, says nothing to us. A
    /// plain name may have slashes: `.section tracepoint/syscalls/sys_enter_openat`.
    fn section(&mut self, number: u32, source: &'a str) -> Parse<()> {
        let after = source.find(".section").unwrap_or(0).saturating_add(".section".len());
        let rest = source.get(after..).unwrap_or_default();
        let start = after.saturating_add(rest.len().saturating_sub(rest.trim_start().len()));
        let rest = rest.trim_start();
        let plain = rest.split([',', ';', ' ', '\t']).next().unwrap_or_default();
        let (name, end) = match rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
            Some((quoted, _)) => (quoted, start.saturating_add(quoted.len()).saturating_add(2)),
            None => (plain, start.saturating_add(plain.len())),
        };
        if name.is_empty() || plain == "\"" {
            let what = "the name of a section is expected here";
            return Err(Fault::new(start..end, what, "the form is `.section \"xdp\"`"));
        }
        self.push(number, source, start..end, What::Section(name.to_string()));
        Ok(())
    }

    fn directive(&mut self, number: u32, source: &'a str, word: &str, tokens: &[Token<'_>]) -> Parse<()> {
        // The names are read while the draft is written to, and put back.
        let names = std::mem::take(&mut self.names);
        let lookup = |name: &str| names.get(name).copied();
        let mut c = Cursor::new(tokens, &lookup);
        let done = self.meaning(number, source, word, &mut c).and_then(|new| c.end().map(|()| new));
        self.names = names;
        self.names.extend(done?);
        Ok(())
    }

    /// What a directive says; a name and its number if it is `.equ`.
    fn meaning(
        &mut self,
        number: u32,
        source: &'a str,
        word: &str,
        c: &mut Cursor<'_>,
    ) -> Parse<Option<(String, i64)>> {
        let (at, pos) = (c.here(), c.pos());
        c.skip();
        match word {
            ".text" => self.push(number, source, c.since(pos), What::Section(".text".into())),
            ".globl" | ".global" => {
                c.form(".globl name");
                self.draft.globals.insert(c.name()?);
            }
            ".license" => {
                c.form(".license \"GPL\"");
                self.draft.license = Some(c.name()?);
            }
            ".equ" | ".set" => {
                c.form(".equ NAME, 5");
                let name = c.name()?;
                c.expect(",")?;
                return Ok(Some((name, c.fit("64 bits")?)));
            }
            ".8byte" | ".quad" => {
                c.form(".8byte 0x95");
                self.slots(number, source, c)?;
            }
            ".map" => {
                let map = map(c, number)?;
                if !self.map_names.insert(map.name.clone()) {
                    return c.fault_at(c.since(pos), format!("there is a map `{}` already", map.name));
                }
                self.draft.maps.push(map);
            }
            _ => {
                let help = did_you_mean(word, DIRECTIVES.iter().copied());
                return Err(Fault::new(at, format!("unknown directive `{word}`"), help));
            }
        }
        Ok(None)
    }

    /// Slots as numbers, with commas between them.
    fn slots(&mut self, number: u32, source: &'a str, c: &mut Cursor<'_>) -> Parse<()> {
        loop {
            let start = c.pos();
            let value: u64 = c.fit("64 bits without a sign")?;
            let slot = RawInsn::from_bytes(value.to_le_bytes(), Endian::Little);
            self.push(number, source, c.since(start), What::Raw(slot));
            if !c.eat(",") {
                return Ok(());
            }
        }
    }
}

/// `.map NAME type=hash key=4 value=8 max_entries=1024 flags=1 pin=by_name`.
fn map(c: &mut Cursor<'_>, line: u32) -> Parse<TextMap> {
    c.form(".map name type=hash key=4 value=8 max_entries=1024");
    let (name, kind) = (c.name()?, MapType(0));
    let mut map = TextMap { name, kind, key: 0, value: 0, max_entries: 0, flags: 0, pinned: false, line };
    while let Some(Kind::Word(attribute)) = c.peek() {
        let start = c.pos();
        c.skip();
        c.expect("=")?;
        match *attribute {
            "type" => map.kind = map_type(c)?,
            "key" => map.key = bytes(c)?,
            "value" => map.value = bytes(c)?,
            "max_entries" => map.max_entries = c.fit("32 bits")?,
            "flags" | "map_flags" => map.flags = c.fit("32 bits")?,
            "pin" => {
                if !c.eat_word("by_name") {
                    return c.expected("`by_name`");
                }
                map.pinned = true;
            }
            other => {
                let known = ["type", "key", "value", "max_entries", "flags", "pin"];
                let help = did_you_mean(other, known);
                return Err(Fault::new(c.since(start), format!("a map has no `{other}`"), help));
            }
        }
    }
    let needs_entries = !matches!(
        map.kind,
        MapType::SkStorage
            | MapType::TaskStorage
            | MapType::InodeStorage
            | MapType::CgrpStorage
            | MapType::CgroupStorage
            | MapType::PercpuCgroupStorage
    );
    match map.kind {
        MapType(0) => c.expected("`type=`"),
        _ if needs_entries && map.max_entries == 0 => c.expected("`max_entries=`"),
        _ => Ok(map),
    }
}

fn map_type(c: &mut Cursor<'_>) -> Parse<MapType> {
    let at = c.here();
    if let Some(Kind::Number(_)) = c.peek() {
        return Ok(MapType(c.fit("the number of a map type")?));
    }
    let name = c.name()?;
    MapType::from_name(&name).ok_or_else(|| {
        let help = did_you_mean(&name, MapType::ALL.iter().filter_map(|t| t.name()));
        Fault::new(at, format!("unknown map type `{name}`"), help)
    })
}

/// A size in bytes: a number, or an integer type of that size.
fn bytes(c: &mut Cursor<'_>) -> Parse<u32> {
    for (name, size) in [("u8", 1), ("u16", 2), ("u32", 4), ("u64", 8)] {
        if c.eat_word(name) {
            return Ok(size);
        }
    }
    c.fit("a size in bytes")
}

/// `NAME:`, and what follows it.
fn label<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(&'t Token<'a>, &'t [Token<'a>])> {
    match tokens {
        [name, Token { kind: Kind::Sign(":"), .. }, rest @ ..]
            if matches!(name.kind, Kind::Word(_) | Kind::Text(_)) =>
        {
            Some((name, rest))
        }
        _ => None,
    }
}

fn text_of(token: &Token<'_>) -> String {
    match &token.kind {
        Kind::Word(word) => (*word).to_string(),
        Kind::Text(text) => text.clone(),
        _ => String::new(),
    }
}

/// What a log or a listing puts before an instruction: its place and a colon, its opcode or its bytes in
/// parentheses. Gives how many bytes of the line that is, and the opcode.
fn log_prefix(line: &str) -> (usize, Option<u8>) {
    let mut rest = line.trim_start();
    if let Some((digits, after)) = rest.split_once(':') {
        if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            rest = after.trim_start();
        }
    }
    let hex = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_hexdigit() || b == b' ');
    let mut opcode = None;
    if let Some((inside, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
        if hex(inside) {
            opcode = inside.split(' ').next().and_then(|b| u8::from_str_radix(b, 16).ok());
            rest = after;
        }
    }
    (line.len().saturating_sub(rest.len()), opcode)
}
