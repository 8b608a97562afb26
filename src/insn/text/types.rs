//! Types in a text: of map elements, variables and functions, as BTF knows them.
//!
//! C writes a type around its name (`int (*f[3])(long)`); here it is written from left to right, as it is
//! read: `f: [3]*fn(long) -> int`.

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
#[doc(alias = "Type")]
pub enum TextType {
    Void,
    /// An integer, a floating-point number or a typedef, by its name.
    Named(String),
    /// `struct NAME` and its like.
    Tagged(Tag, String),
    Ptr(Box<TextType>),
    Array(u32, Box<TextType>),
    Const(Box<TextType>),
    Volatile(Box<TextType>),
    Restrict(Box<TextType>),
    /// `tag("text") T`: `__attribute__((btf_type_tag("text")))`.
    TypeTag(String, Box<TextType>),
    /// What a function takes, by name (which may be empty), and what it returns. A last argument of type
    /// `void` without a name stands for `...`.
    Func(Vec<(String, TextType)>, Box<TextType>),
    /// A struct or union without a name.
    Composite(Tag, TextComposite),
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
#[doc(alias = "Composite")]
pub struct TextComposite {
    /// Its size in bytes.
    pub bytes: u32,
    /// Its members.
    pub members: Vec<TextMember>,
}

/// A member of a struct or union.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "Member")]
pub struct TextMember {
    /// Its name; may be empty.
    pub name: String,
    /// Its type.
    pub ty: TextType,
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
    Typedef(TextType),
    /// `.struct NAME BYTES { .. }`, `.union ..`
    Composite(Tag, TextComposite),
    /// `.enum NAME BYTES { .. }`
    Enum(Enum),
    /// `.fwd struct NAME`
    Forward(Tag),
}

/// The words that C's names of numbers are put together from.
pub(super) const C_WORDS: &[&str] = &[
    "unsigned", "signed", "char", "short", "int", "long", "__int128", "float", "double", "half", "_Float16",
];

/// The words that begin a type and are no name.
const KEYWORDS: &[&str] = &["void", "struct", "union", "enum", "const", "volatile", "restrict", "tag", "fn"];

impl Tag {
    pub(super) const ALL: [Tag; 3] = [Tag::Struct, Tag::Union, Tag::Enum];

    pub(super) fn word(self) -> &'static str {
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

impl fmt::Display for TextType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextType::Void => f.write_str("void"),
            TextType::Named(name) => write!(f, "{}", TypeName(name)),
            TextType::Tagged(tag, name) => write!(f, "{} {}", tag.word(), Name(name)),
            TextType::Ptr(to) => write!(f, "*{to}"),
            TextType::Array(len, elem) => write!(f, "[{len}]{elem}"),
            TextType::Const(ty) => write!(f, "const {ty}"),
            TextType::Volatile(ty) => write!(f, "volatile {ty}"),
            TextType::Restrict(ty) => write!(f, "restrict {ty}"),
            TextType::TypeTag(text, ty) => write!(f, "tag(\"{}\") {ty}", text.escape_default()),
            TextType::Func(params, returns) => {
                f.write_str("fn(")?;
                for (ix, (name, ty)) in params.iter().enumerate() {
                    f.write_str(if ix == 0 { "" } else { ", " })?;
                    match (name.as_str(), ty) {
                        ("", TextType::Void) => f.write_str("...")?,
                        ("", ty) => write!(f, "{ty}")?,
                        (name, ty) => write!(f, "{}: {ty}", Name(name))?,
                    }
                }
                write!(f, ") -> {returns}")
            }
            TextType::Composite(tag, body) => {
                write!(f, "{} ", tag.word())?;
                body.write(f, " ")
            }
            TextType::Enum(body) => {
                f.write_str("enum ")?;
                body.write(f, " ")
            }
        }
    }
}

impl TextComposite {
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
