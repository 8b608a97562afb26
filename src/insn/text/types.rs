//! Types in a text: of map elements, variables and functions, as BTF knows them.
//!
//! C writes a type around its name (`int (*f[3])(long)`); here it is written from left to right, as it is
//! read: `f: [3]*fn(long) -> int`.

use super::cursor::{Cursor, Parse};
use super::lex::Kind;
use crate::insn::disasm::Name;
use std::fmt::{self, Write};

/// A type, written from left to right, as it is read: `f: [3]*fn(long) -> int`.
///
/// | type | meaning |
/// | --- | --- |
/// | `int`, `unsigned char`, `__u32` | an integer, or what `.typedef`, `.int` and `.float` named |
/// | `u8` .. `u64`, `s8` .. `s64`, `bool` | integers without a declaration, as C's of this size |
/// | `struct key`, `union u`, `enum e` | what `.struct`, `.union`, `.enum` or `.fwd` named |
/// | `*T`, `[4]T` | a pointer, an array |
/// | `const T`, `volatile T`, `restrict T`, `tag("kptr") T` | a type with a qualifier, or a tag |
/// | `fn(ctx: *struct xdp_md) -> int` | a function; `...` stands for more arguments |
/// | `struct 8 { a: u32 @0, b: u32 bit 32:3 }` | without a name: bytes in all, and where each member is |
/// | `enum 4 { NO = 0, YES = 1 }` | likewise |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Type {
    Void,
    /// An integer, a floating-point number or a typedef, by its name.
    Named(String),
    /// `struct NAME` and its like.
    Tagged(Tag, String),
    Ptr(Box<Type>),
    Array(u32, Box<Type>),
    Const(Box<Type>),
    Volatile(Box<Type>),
    Restrict(Box<Type>),
    /// `tag("text") T`: `__attribute__((btf_type_tag("text")))`.
    TypeTag(String, Box<Type>),
    /// What a function takes, by name (which may be empty), and what it returns. A last argument of type
    /// `void` without a name stands for `...`.
    Func(Vec<(String, Type)>, Box<Type>),
    /// A struct or union without a name.
    Composite(Tag, Composite),
    /// An enumeration without a name.
    Enum(Enum),
}

/// What a name of C is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Tag {
    Struct,
    Union,
    Enum,
}

/// The body of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Composite {
    /// Its size in bytes.
    pub bytes: u32,
    /// Its members.
    pub members: Vec<Member>,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its name; may be empty.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Where it starts, in bits.
    pub bit: u32,
    /// How many bits a bitfield has; 0 for a member that is none.
    pub bits: u32,
}

/// The body of an enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Enum {
    /// Its size in bytes.
    pub bytes: u32,
    /// Whether its values are signed.
    pub signed: bool,
    /// Name and value of each.
    pub values: Vec<(String, i128)>,
}

/// How an integer is to be read; unsigned, if by none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Encoding {
    /// A signed number.
    pub signed: bool,
    /// A character.
    pub char: bool,
    /// A truth value.
    pub bool: bool,
}

/// A named type: `.struct key 8 { .. }` and its like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeDef {
    /// Its name.
    pub name: String,
    /// What it is.
    pub def: Definition,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Definition {
    /// `.int NAME BYTES ENCODING`
    Int(u32, Encoding),
    /// `.float NAME BYTES`
    Float(u32),
    /// `.typedef NAME = T`
    Typedef(Type),
    /// `.struct NAME BYTES { .. }`, `.union ..`
    Composite(Tag, Composite),
    /// `.enum NAME BYTES { .. }`
    Enum(Enum),
    /// `.fwd struct NAME`
    Forward(Tag),
}

/// The words that C's names of numbers are put together from.
const C_WORDS: &[&str] = &[
    "unsigned", "signed", "char", "short", "int", "long", "__int128", "float", "double", "half", "_Float16",
];

/// The words that begin a type and are no name.
const KEYWORDS: &[&str] = &["void", "struct", "union", "enum", "const", "volatile", "restrict", "tag", "fn"];

/// Types inside of types, at most.
const DEPTH: u32 = 32;

impl Tag {
    const ALL: [Tag; 3] = [Tag::Struct, Tag::Union, Tag::Enum];

    fn word(self) -> &'static str {
        match self {
            Tag::Struct => "struct",
            Tag::Union => "union",
            Tag::Enum => "enum",
        }
    }
}

impl Encoding {
    /// An unsigned number.
    pub const UNSIGNED: Encoding = Encoding { signed: false, char: false, bool: false };
    /// A signed number.
    pub const SIGNED: Encoding = Encoding { signed: true, ..Encoding::UNSIGNED };
    /// A truth value.
    pub const BOOL: Encoding = Encoding { bool: true, ..Encoding::UNSIGNED };
}

/// Reads a type.
pub(super) fn parse(c: &mut Cursor<'_>) -> Parse<Type> {
    nested(c, 0)
}

fn nested(c: &mut Cursor<'_>, depth: u32) -> Parse<Type> {
    let inner = depth.saturating_add(1);
    if depth > DEPTH {
        return c.fault("types are nested too deep here");
    }
    let boxed = |c: &mut Cursor<'_>| nested(c, inner).map(Box::new);
    if c.eat("*") {
        return Ok(Type::Ptr(boxed(c)?));
    }
    if c.eat("[") {
        let len = c.fit("a number of elements")?;
        c.expect("]")?;
        return Ok(Type::Array(len, boxed(c)?));
    }
    let Some(Kind::Word(word)) = c.peek() else {
        return match c.peek() {
            Some(Kind::Text(_)) => c.name().map(Type::Named),
            _ => c.expected("a type"),
        };
    };
    if let Some(tag) = Tag::ALL.into_iter().find(|tag| tag.word() == *word) {
        c.skip();
        return tagged(c, tag, inner);
    }
    match *word {
        "void" => c.skip(),
        "const" | "volatile" | "restrict" | "tag" | "fn" => {}
        _ => return type_name(c).map(Type::Named),
    }
    Ok(match *word {
        "void" => Type::Void,
        "const" => {
            c.skip();
            Type::Const(boxed(c)?)
        }
        "volatile" => {
            c.skip();
            Type::Volatile(boxed(c)?)
        }
        "restrict" => {
            c.skip();
            Type::Restrict(boxed(c)?)
        }
        "tag" => {
            c.skip();
            c.expect("(")?;
            let text = c.name()?;
            c.expect(")")?;
            Type::TypeTag(text, boxed(c)?)
        }
        _ => function(c, inner)?,
    })
}

/// A name of one word, of several of C's, or in quotes.
fn type_name(c: &mut Cursor<'_>) -> Parse<String> {
    let mut name = c.name()?;
    while C_WORDS.contains(&name.rsplit(' ').next().unwrap_or_default()) {
        match c.peek() {
            Some(Kind::Word(next)) if C_WORDS.contains(next) => {
                name.push(' ');
                name.push_str(next);
                c.skip();
            }
            _ => break,
        }
    }
    Ok(name)
}

/// What stands behind `struct`, `union` or `enum`: a name, or a body.
fn tagged(c: &mut Cursor<'_>, tag: Tag, depth: u32) -> Parse<Type> {
    match (c.peek(), tag) {
        (Some(Kind::Number(_)), Tag::Enum) => enumeration(c).map(Type::Enum),
        (Some(Kind::Number(_)), _) => composite(c, depth).map(|body| Type::Composite(tag, body)),
        _ => Ok(Type::Tagged(tag, c.name()?)),
    }
}

/// `fn(a: int, long) -> int`
fn function(c: &mut Cursor<'_>, depth: u32) -> Parse<Type> {
    c.skip();
    c.expect("(")?;
    let mut params = Vec::new();
    while !c.at_sign(")") {
        if c.eat_word("...") {
            params.push((String::new(), Type::Void));
        } else {
            params.push((member_name(c), nested(c, depth)?));
        }
        if !c.eat(",") {
            break;
        }
    }
    c.expect(")")?;
    c.expect("->")?;
    Ok(Type::Func(params, Box::new(nested(c, depth)?)))
}

/// `NAME:`, if it is there.
fn member_name(c: &mut Cursor<'_>) -> String {
    let name = match (c.peek(), c.peek_at(1)) {
        (Some(Kind::Word(name)), Some(Kind::Sign(":"))) => (*name).to_string(),
        (Some(Kind::Text(name)), Some(Kind::Sign(":"))) => name.clone(),
        _ => return String::new(),
    };
    c.skip();
    c.skip();
    name
}

/// `8 { a: u32 @0, b: u32 bit 32:3 }`
fn composite(c: &mut Cursor<'_>, depth: u32) -> Parse<Composite> {
    c.form("struct 8 { a: u32 @0, b: u32 @4 }");
    let mut body = Composite { bytes: c.fit("a size in bytes")?, members: Vec::new() };
    c.expect("{")?;
    while !c.eat("}") {
        let name = member_name(c);
        let ty = nested(c, depth)?;
        let (bit, bits) = match c.eat_word("bit") {
            true => {
                let bit = c.fit("an offset in bits")?;
                c.expect(":")?;
                (bit, c.fit::<u8>("a number of bits")?.into())
            }
            false => {
                c.expect("@")?;
                (c.fit::<u32>("an offset in bytes")?.saturating_mul(8), 0)
            }
        };
        body.members.push(Member { name, ty, bit, bits });
        if !c.eat(",") {
            c.expect("}")?;
            break;
        }
    }
    Ok(body)
}

/// `4 { NO = 0, YES = 1 }`
fn enumeration(c: &mut Cursor<'_>) -> Parse<Enum> {
    c.form("enum 4 { NO = 0, YES = 1 }");
    let mut body = Enum { bytes: c.fit("a size in bytes")?, ..Enum::default() };
    body.signed = c.eat_word("signed");
    c.expect("{")?;
    while !c.eat("}") {
        let name = c.name()?;
        c.expect("=")?;
        body.values.push((name, c.number()?));
        if !c.eat(",") {
            c.expect("}")?;
            break;
        }
    }
    Ok(body)
}

/// Reads what follows a directive that names a type; `None` if the directive is another.
pub(super) fn definition(c: &mut Cursor<'_>, directive: &str) -> Parse<Option<TypeDef>> {
    let (name, def) = match directive {
        ".int" | ".float" => {
            c.form(".int unsigned int 4");
            let name = type_name(c)?;
            let bytes = c.fit("a size in bytes")?;
            match directive {
                ".float" => (name, Definition::Float(bytes)),
                _ => {
                    let [signed, char, bool] = ["signed", "char", "bool"].map(|word| c.eat_word(word));
                    (name, Definition::Int(bytes, Encoding { signed, char, bool }))
                }
            }
        }
        ".typedef" => {
            c.form(".typedef __u32 = unsigned int");
            let name = type_name(c)?;
            c.expect("=")?;
            (name, Definition::Typedef(parse(c)?))
        }
        ".struct" => (c.name()?, Definition::Composite(Tag::Struct, composite(c, 0)?)),
        ".union" => (c.name()?, Definition::Composite(Tag::Union, composite(c, 0)?)),
        ".enum" => (c.name()?, Definition::Enum(enumeration(c)?)),
        ".fwd" => {
            c.form(".fwd struct task_struct");
            let tag = match (c.eat_word("struct"), c.eat_word("union")) {
                (true, _) => Tag::Struct,
                (_, true) => Tag::Union,
                _ => return c.expected("`struct` or `union`"),
            };
            (c.name()?, Definition::Forward(tag))
        }
        _ => return Ok(None),
    };
    Ok(Some(TypeDef { name, def }))
}

/// The name of an integer or typedef, in quotes where it would be read as something else.
struct TypeName<'a>(&'a str);

impl fmt::Display for TypeName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TypeName(name) = *self;
        if KEYWORDS.contains(&name) {
            return write!(f, "\"{name}\"");
        }
        match name.split(' ').all(|word| C_WORDS.contains(&word)) {
            true => f.write_str(name),
            false => write!(f, "{}", Name(name)),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Void => f.write_str("void"),
            Type::Named(name) => write!(f, "{}", TypeName(name)),
            Type::Tagged(tag, name) => write!(f, "{} {}", tag.word(), Name(name)),
            Type::Ptr(to) => write!(f, "*{to}"),
            Type::Array(len, elem) => write!(f, "[{len}]{elem}"),
            Type::Const(ty) => write!(f, "const {ty}"),
            Type::Volatile(ty) => write!(f, "volatile {ty}"),
            Type::Restrict(ty) => write!(f, "restrict {ty}"),
            Type::TypeTag(text, ty) => write!(f, "tag(\"{}\") {ty}", text.escape_default()),
            Type::Func(params, returns) => {
                f.write_str("fn(")?;
                for (ix, (name, ty)) in params.iter().enumerate() {
                    f.write_str(if ix == 0 { "" } else { ", " })?;
                    match (name.as_str(), ty) {
                        ("", Type::Void) => f.write_str("...")?,
                        ("", ty) => write!(f, "{ty}")?,
                        (name, ty) => write!(f, "{}: {ty}", Name(name))?,
                    }
                }
                write!(f, ") -> {returns}")
            }
            Type::Composite(tag, body) => {
                write!(f, "{} ", tag.word())?;
                body.write(f, " ")
            }
            Type::Enum(body) => {
                f.write_str("enum ")?;
                body.write(f, " ")
            }
        }
    }
}

impl Composite {
    /// Writes the body, each member behind `gap`.
    fn write(&self, f: &mut fmt::Formatter<'_>, gap: &str) -> fmt::Result {
        write!(f, "{} {{", self.bytes)?;
        for (ix, member) in self.members.iter().enumerate() {
            write!(f, "{}{gap}", if ix == 0 { "" } else { "," })?;
            if !member.name.is_empty() {
                write!(f, "{}: ", Name(&member.name))?;
            }
            match member.bits {
                0 if member.bit % 8 == 0 => write!(f, "{} @{}", member.ty, member.bit / 8)?,
                bits => write!(f, "{} bit {}:{bits}", member.ty, member.bit)?,
            }
        }
        f.write_str(gap.trim_end_matches(' '))?;
        f.write_str(if gap == " " { " }" } else { "}" })
    }
}

impl Enum {
    fn write(&self, f: &mut fmt::Formatter<'_>, gap: &str) -> fmt::Result {
        write!(f, "{}{} {{", self.bytes, if self.signed { " signed" } else { "" })?;
        for (ix, (name, value)) in self.values.iter().enumerate() {
            write!(f, "{}{gap}{} = {value}", if ix == 0 { "" } else { "," }, Name(name))?;
        }
        f.write_str(gap.trim_end_matches(' '))?;
        f.write_str(if gap == " " { " }" } else { "}" })
    }
}

impl fmt::Display for TypeDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LINE: &str = "\n    ";
        let TypeDef { name, def } = self;
        match def {
            Definition::Int(bytes, encoding) => {
                write!(f, ".int {} {bytes}", TypeName(name))?;
                let Encoding { signed, char, bool } = *encoding;
                let words = [(signed, " signed"), (char, " char"), (bool, " bool")];
                words.iter().filter(|(yes, _)| *yes).try_for_each(|(_, word)| f.write_str(word))?;
            }
            Definition::Float(bytes) => write!(f, ".float {} {bytes}", TypeName(name))?,
            Definition::Typedef(ty) => write!(f, ".typedef {} = {ty}", TypeName(name))?,
            Definition::Composite(tag, body) => {
                write!(f, ".{} {} ", tag.word(), Name(name))?;
                body.write(f, LINE)?;
            }
            Definition::Enum(body) => {
                write!(f, ".enum {} ", Name(name))?;
                body.write(f, LINE)?;
            }
            Definition::Forward(tag) => write!(f, ".fwd {} {}", tag.word(), Name(name))?,
        }
        f.write_char('\n')
    }
}
