//! What people type for a value, before its type is known.
//!
//! ```text
//!   5   -3   0xff   true   V_DROP   'x'   NULL   10.0.0.1   fe80::1   52:54:00:12:34:56   10.0.0.0/8
//!   "text"   [1, 2, 3]   [1, ..]   {pkts: 5, last: {at: 7}}   {.pkts = 5}   {"pkts": 5}   {a.b[2]: 1}
//! ```
//!
//! Names may be quoted and lists may end with a comma, so that JSON and C initializers are understood.

/// A value as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A number, a name or an address: whatever needs no quotes.
    Word(String),
    /// Text in double quotes.
    Text(Vec<u8>),
    /// A list in brackets.
    List {
        /// The elements.
        items: Vec<Literal>,
        /// Ends with `..`: the elements that follow are zero.
        rest: bool,
    },
    /// Members in braces, each with a path as in [`Btf::field`](crate::btf::Btf::field).
    Fields(Vec<(String, Literal)>),
}

/// A text that is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at} of the value: expected {expected}, found {found}")]
pub struct SyntaxError {
    /// Where, in bytes from the start of the text.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
    /// What is there.
    pub found: String,
}

/// How deep lists and structs may be nested in a text.
const MAX_DEPTH: usize = 64;

impl Literal {
    /// Reads a value as people type it.
    ///
    /// ```
    /// use rawbpf::btf::Literal;
    /// let value = Literal::parse("{pkts: 5, names: ['a', 0]}")?;
    /// assert_eq!(value, Literal::parse("{ .pkts = 5, .names = [97, 0], }")?);
    /// # Ok::<(), rawbpf::btf::SyntaxError>(())
    /// ```
    ///
    /// # Errors
    /// Where the text stops being a value, and what was expected there.
    pub fn parse(text: &str) -> Result<Literal, SyntaxError> {
        let mut p = Parser { text, at: 0 };
        let out = p.value(0)?;
        p.space();
        if p.rest().is_empty() { Ok(out) } else { Err(p.wrong("the end of the value")) }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at = self.at.saturating_add(rest.len().saturating_sub(rest.trim_start().len()));
    }

    /// Steps over `c`, and the space before it, if that is what comes next.
    fn take(&mut self, c: char) -> bool {
        self.space();
        let found = self.peek() == Some(c);
        if found {
            self.at = self.at.saturating_add(c.len_utf8());
        }
        found
    }

    fn wrong(&self, expected: &'static str) -> SyntaxError {
        let found = match self.rest().chars().take(12).collect::<String>() {
            s if s.is_empty() => "the end of the text".to_string(),
            s => format!("`{s}`"),
        };
        SyntaxError { at: self.at, expected, found }
    }

    fn value(&mut self, depth: usize) -> Result<Literal, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(self.wrong("no deeper nesting"));
        }
        self.space();
        match self.peek() {
            Some('{') => self.fields(depth),
            Some('[') => self.list(depth),
            Some('"') => self.quoted('"').map(Literal::Text),
            Some('\'') => match *self.quoted('\'')? {
                [byte] => Ok(Literal::Word(byte.to_string())),
                _ => Err(self.wrong("one character between single quotes before this")),
            },
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Literal, SyntaxError> {
        let rest = self.rest();
        let end = |c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}' | '[' | ']' | '"' | '\'');
        let word = rest.get(..rest.find(end).unwrap_or(rest.len())).unwrap_or_default();
        if word.is_empty() {
            return Err(self.wrong("a value"));
        }
        self.at = self.at.saturating_add(word.len());
        Ok(Literal::Word(word.to_string()))
    }

    fn list(&mut self, depth: usize) -> Result<Literal, SyntaxError> {
        let (mut items, mut rest) = (Vec::new(), false);
        self.take('[');
        while !self.take(']') {
            if self.rest().starts_with("..") {
                self.at = self.at.saturating_add(2);
                rest = true;
                if !self.take(']') {
                    return Err(self.wrong("`]` after `..`"));
                }
                break;
            }
            items.push(self.value(depth.saturating_add(1))?);
            if !self.take(',') {
                if self.take(']') {
                    break;
                }
                return Err(self.wrong("`,` or `]`"));
            }
        }
        Ok(Literal::List { items, rest })
    }

    fn fields(&mut self, depth: usize) -> Result<Literal, SyntaxError> {
        let mut out = Vec::new();
        self.take('{');
        while !self.take('}') {
            let name = self.field_name()?;
            if !self.take(':') && !self.take('=') {
                return Err(self.wrong("`:` or `=` after the name of a member"));
            }
            out.push((name, self.value(depth.saturating_add(1))?));
            if !self.take(',') {
                if self.take('}') {
                    break;
                }
                return Err(self.wrong("`,` or `}`"));
            }
        }
        Ok(Literal::Fields(out))
    }

    fn field_name(&mut self) -> Result<String, SyntaxError> {
        self.space();
        if self.peek() == Some('"') {
            return Ok(String::from_utf8_lossy(&self.quoted('"')?).into_owned());
        }
        self.take('.');
        let rest = self.rest();
        let end = |c: char| c.is_whitespace() || matches!(c, ':' | '=' | ',' | '{' | '}' | '"');
        let name = rest.get(..rest.find(end).unwrap_or(rest.len())).unwrap_or_default();
        if name.is_empty() {
            return Err(self.wrong("the name of a member"));
        }
        self.at = self.at.saturating_add(name.len());
        Ok(name.to_string())
    }

    /// Text between quotes, with the escapes of C, JSON and Rust.
    fn quoted(&mut self, quote: char) -> Result<Vec<u8>, SyntaxError> {
        self.take(quote);
        let mut out = Vec::new();
        let put = |out: &mut Vec<u8>, c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        loop {
            let Some(c) = self.peek() else { return Err(self.wrong("a closing quote")) };
            self.at = self.at.saturating_add(c.len_utf8());
            match c {
                c if c == quote => return Ok(out),
                '\\' => match self.escape()? {
                    Escape::Byte(byte) => out.push(byte),
                    Escape::Char(c) => put(&mut out, c),
                },
                c => put(&mut out, c),
            }
        }
    }

    fn escape(&mut self) -> Result<Escape, SyntaxError> {
        const EXPECTED: &str = r#"one of \n \t \r \0 \\ \" \' \xHH \u{..} \uHHHH"#;
        let Some(c) = self.peek() else { return Err(self.wrong(EXPECTED)) };
        self.at = self.at.saturating_add(c.len_utf8());
        Ok(match c {
            'n' => Escape::Byte(b'\n'),
            't' => Escape::Byte(b'\t'),
            'r' => Escape::Byte(b'\r'),
            '0' => Escape::Byte(0),
            '\\' | '"' | '\'' | '/' => Escape::Char(c),
            'x' => Escape::Byte(self.hex(2)? as u8),
            'u' if self.peek() == Some('{') => {
                self.take('{');
                let digits = self.rest().find('}').unwrap_or(0);
                let code = self.hex(digits)?;
                self.take('}');
                Escape::Char(char::from_u32(code).ok_or_else(|| self.wrong("a character before this"))?)
            }
            'u' => {
                let code = self.hex(4)?;
                Escape::Char(char::from_u32(code).ok_or_else(|| self.wrong("a character before this"))?)
            }
            _ => return Err(self.wrong(EXPECTED)),
        })
    }

    fn hex(&mut self, digits: usize) -> Result<u32, SyntaxError> {
        let text = self.rest().get(..digits).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = text.and_then(|t| u32::from_str_radix(t, 16).ok());
        let number = number.ok_or_else(|| self.wrong("hexadecimal digits"))?;
        self.at = self.at.saturating_add(digits);
        Ok(number)
    }
}

enum Escape {
    Byte(u8),
    Char(char),
}
