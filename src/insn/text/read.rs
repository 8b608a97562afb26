//! The lines of a text, one by one: directives, labels, instructions.

use super::cursor::{Cursor, Parse};
use super::error::{Fault, TextError, did_you_mean};
use super::insn;
use super::lex::{Kind, Token, lex};
use super::parsed::Parsed;
use super::types::{TextType, TypeDef};
use super::{TextCore, TextData, TextExtern, TextMap, data, map, type_read};
use crate::bytes::Endian;
use crate::insn::{InsnIx, RawInsn};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A text, read but not resolved.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    pub(super) license: Option<String>,
    pub(super) version: Option<u32>,
    pub(super) endian: Option<Endian>,
    pub(super) types: Vec<TypeDef>,
    pub(super) maps: Vec<TextMap>,
    pub(super) data: Vec<TextData>,
    pub(super) externs: Vec<TextExtern>,
    pub(super) globals: HashSet<String>,
    pub(super) weak: HashSet<String>,
    pub(super) hidden: HashSet<String>,
    pub(super) protos: HashMap<String, TextType>,
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
    /// Of the next instruction.
    Core(TextCore),
}

/// More mistakes than this are not told.
pub(super) const MAX_ERRORS: usize = 50;

/// Directives of compilers that say nothing to us.
const IGNORED: &[&str] =
    &[".type", ".size", ".p2align", ".align", ".file", ".loc", ".ident", ".addrsig", ".addrsig_sym"];

/// The directives that mean something.
#[rustfmt::skip]
const DIRECTIVES: &[&str] = &[
    ".section", ".text", ".data", ".rodata", ".bss", ".globl", ".weak", ".hidden", ".func", ".map", ".slot",
    ".var", ".bytes", ".space", ".int", ".float", ".typedef", ".struct", ".union", ".enum", ".fwd", ".ksym",
    ".kconfig", ".core", ".license", ".version", ".endian", ".equ", ".8byte",
];

pub(super) fn read<'a>(file: &str, text: &'a str) -> (Draft<'a>, Vec<TextError>) {
    let mut reader = Reader {
        draft: Draft::default(),
        names: HashMap::new(),
        map_names: HashSet::new(),
        section: ".text".into(),
    };
    let mut errors = Vec::new();
    for (number, source) in whole_lines(text) {
        if let Err(fault) = reader.line(number, source) {
            errors.push(fault.at_line(file, number, source));
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
    }
    (reader.draft, errors)
}

/// The lines of a text with their numbers, from 1; a directive with an open brace goes on until that is
/// closed, or the text ends.
fn whole_lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut rest = text;
    let mut next = 1u32;
    std::iter::from_fn(move || {
        let number = next;
        let mut end = 0usize;
        let mut open = 0i64;
        let mut lines = rest.split_inclusive('\n');
        let first = lines.next()?;
        let directive = first.trim_start().starts_with('.');
        for line in std::iter::once(first).chain(lines) {
            end = end.saturating_add(line.len());
            next = next.saturating_add(1);
            open = open.saturating_add(braces(line));
            if !directive || open <= 0 {
                break;
            }
        }
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        Some((number, line.strip_suffix('\n').map_or(line, |l| l.strip_suffix('\r').unwrap_or(l))))
    })
}

/// How many braces a line opens and does not close; those of texts and comments do not count.
fn braces(line: &str) -> i64 {
    let mut open = 0i64;
    let mut quoted = false;
    let mut escaped = false;
    for c in line.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            ';' => break,
            '{' => open = open.saturating_add(1),
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    open
}

struct Reader<'a> {
    draft: Draft<'a>,
    /// The numbers of `.equ`.
    names: HashMap<String, i64>,
    map_names: HashSet<String>,
    /// The section that the reader is in.
    section: String,
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
        self.enter(number, source, start..end, name);
        Ok(())
    }

    fn enter(&mut self, number: u32, source: &'a str, at: Range<usize>, section: &str) {
        self.section = section.to_string();
        self.push(number, source, at, What::Section(section.to_string()));
    }

    /// What a variable belongs to.
    fn data(&mut self, c: &Cursor<'_>, at: Range<usize>) -> Parse<&mut TextData> {
        if !data::is_data(&self.section) {
            let what = format!("section `{}` has no variables", self.section);
            return c.fault_at(at, what);
        }
        let known = self.draft.data.iter().position(|d| d.section == self.section);
        let ix = known.unwrap_or(self.draft.data.len());
        if known.is_none() {
            self.draft.data.push(TextData { section: self.section.clone(), ..TextData::default() });
        }
        match self.draft.data.get_mut(ix) {
            Some(data) => Ok(data),
            None => c.fault("a section is expected here"),
        }
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
            ".text" | ".data" | ".rodata" | ".bss" => self.enter(number, source, c.since(pos), word),
            ".globl" | ".global" | ".weak" | ".hidden" => {
                c.form(".globl name");
                let set = match word {
                    ".weak" => &mut self.draft.weak,
                    ".hidden" => &mut self.draft.hidden,
                    _ => &mut self.draft.globals,
                };
                set.insert(c.name()?);
            }
            ".var" | ".bytes" | ".space" => data::directive(c, word, self.data(c, at)?)?,
            ".core" => {
                c.form(".core byte_off struct task_struct \"0:3\"");
                let (kind, ty, access) = (c.name()?, type_read::parse(c)?, c.name()?);
                let core = TextCore { at: InsnIx(0), kind, ty, access };
                self.push(number, source, c.since(pos), What::Core(core));
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
            _ if self.of_object(number, word, c)? => {}
            _ => {
                let help = did_you_mean(word, DIRECTIVES.iter().copied());
                return Err(Fault::new(at, format!("unknown directive `{word}`"), help));
            }
        }
        Ok(None)
    }

    /// A directive that says what the object has, wherever it stands; false if it is none.
    fn of_object(&mut self, number: u32, word: &str, c: &mut Cursor<'_>) -> Parse<bool> {
        let pos = c.pos().saturating_sub(1);
        match word {
            ".license" => {
                c.form(".license \"GPL\"");
                self.draft.license = Some(c.name()?);
            }
            ".version" => self.draft.version = Some(c.fit("32 bits")?),
            ".endian" => {
                c.form(".endian big");
                self.draft.endian = match (c.eat_word("big"), c.eat_word("little")) {
                    (true, _) => Some(Endian::Big),
                    (_, true) => Some(Endian::Little),
                    _ => return c.expected("`big` or `little`"),
                };
            }
            ".func" => {
                c.form(".func name: fn(ctx: *struct xdp_md) -> int");
                let name = c.name()?;
                c.expect(":")?;
                let start = c.pos();
                let proto = type_read::parse(c)?;
                if !matches!(proto, TextType::Func(..)) {
                    return c.fault_at(c.since(start), "a function has a type that starts with `fn`");
                }
                self.draft.protos.insert(name, proto);
            }
            ".map" => {
                let map = map::map(c, number)?;
                if !self.map_names.insert(map.name.clone()) {
                    return c.fault_at(c.since(pos), format!("there is a map `{}` already", map.name));
                }
                self.draft.maps.push(map);
            }
            ".ksym" | ".kconfig" => self.draft.externs.push(map::extern_(c, word == ".kconfig")?),
            ".slot" => map::slot(c, &mut self.draft.maps)?,
            _ => match type_read::definition(c, word)? {
                Some(def) => self.draft.types.push(def),
                None => return Ok(false),
            },
        }
        Ok(true)
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
