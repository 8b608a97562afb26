//! Reading types, and the directives that name them.

use super::cursor::{Cursor, Parse};
use super::lex::Kind;
use super::types::{C_WORDS, Definition, Encoding, Enum, Tag, TextComposite, TextMember, TextType, TypeDef};

/// Types inside of types, at most.
const DEPTH: u32 = 32;

/// Reads a type.
pub(super) fn parse(c: &mut Cursor<'_>) -> Parse<TextType> {
    nested(c, 0)
}

fn nested(c: &mut Cursor<'_>, depth: u32) -> Parse<TextType> {
    let inner = depth.saturating_add(1);
    if depth > DEPTH {
        return c.fault("types are nested too deep here");
    }
    let boxed = |c: &mut Cursor<'_>| nested(c, inner).map(Box::new);
    if c.eat("*") {
        return Ok(TextType::Ptr(boxed(c)?));
    }
    if c.eat("[") {
        let len = c.fit("a number of elements")?;
        c.expect("]")?;
        return Ok(TextType::Array(len, boxed(c)?));
    }
    let Some(Kind::Word(word)) = c.peek() else {
        return match c.peek() {
            Some(Kind::Text(_)) => c.name().map(TextType::Named),
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
        _ => return type_name(c).map(TextType::Named),
    }
    Ok(match *word {
        "void" => TextType::Void,
        "const" => {
            c.skip();
            TextType::Const(boxed(c)?)
        }
        "volatile" => {
            c.skip();
            TextType::Volatile(boxed(c)?)
        }
        "restrict" => {
            c.skip();
            TextType::Restrict(boxed(c)?)
        }
        "tag" => {
            c.skip();
            c.expect("(")?;
            let text = c.name()?;
            c.expect(")")?;
            TextType::TypeTag(text, boxed(c)?)
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
fn tagged(c: &mut Cursor<'_>, tag: Tag, depth: u32) -> Parse<TextType> {
    match (c.peek(), tag) {
        (Some(Kind::Number(_)), Tag::Enum) => enumeration(c).map(TextType::Enum),
        (Some(Kind::Number(_)), _) => composite(c, depth).map(|body| TextType::Composite(tag, body)),
        _ => Ok(TextType::Tagged(tag, c.name()?)),
    }
}

/// `fn(a: int, long) -> int`
fn function(c: &mut Cursor<'_>, depth: u32) -> Parse<TextType> {
    c.skip();
    c.expect("(")?;
    let mut params = Vec::new();
    while !c.at_sign(")") {
        if c.eat_word("...") {
            params.push((String::new(), TextType::Void));
        } else {
            params.push((member_name(c), nested(c, depth)?));
        }
        if !c.eat(",") {
            break;
        }
    }
    c.expect(")")?;
    c.expect("->")?;
    Ok(TextType::Func(params, Box::new(nested(c, depth)?)))
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
fn composite(c: &mut Cursor<'_>, depth: u32) -> Parse<TextComposite> {
    c.form("struct 8 { a: u32 @0, b: u32 @4 }");
    let mut body = TextComposite { bytes: c.fit("a size in bytes")?, members: Vec::new() };
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
        body.members.push(TextMember { name, ty, bit, bits });
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
