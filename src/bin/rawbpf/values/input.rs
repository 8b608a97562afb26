//! Keys and values from what people type and from JSON: by their BTF types, or without.

use std::net::IpAddr;

use rawbpf::btf::{Btf, BtfKind, Kind, Literal, TypeId, encode, encode_into};
use rawbpf::bytes::Endian;
use serde_json::Value as Json;

use crate::ui::error::CliError;

/// How a key or a value is to be read.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// `key` or `value`, for messages.
    pub(crate) what: &'static str,
    /// Bytes.
    pub(crate) size: usize,
    /// Its type, if the map has one.
    pub(crate) ty: Option<(&'a Btf, TypeId)>,
}

impl Shape<'_> {
    fn wrong(&self, text: impl Into<String>) -> CliError {
        CliError::Value { what: self.what, problem: text.into() }
    }

    /// Takes the words of one key or value off the front: `hex` and as many bytes as it has, or one word.
    pub(crate) fn take(&self, words: &mut &[String]) -> Result<Vec<u8>, CliError> {
        match words {
            [hex, rest @ ..] if hex == "hex" => {
                let mut bytes = Vec::new();
                let mut rest = rest;
                while let (true, [word, more @ ..]) = (bytes.len() < self.size, rest) {
                    bytes.extend(
                        hex_digits(word).ok_or_else(|| self.wrong(format!("`{word}` is no byte in hex")))?,
                    );
                    rest = more;
                }
                *words = rest;
                self.sized(bytes)
            }
            [word, rest @ ..] => {
                *words = rest;
                self.parse(word)
            }
            [] => Err(self.wrong("it is missing")),
        }
    }

    fn sized(&self, bytes: Vec<u8>) -> Result<Vec<u8>, CliError> {
        if bytes.len() == self.size {
            return Ok(bytes);
        }
        Err(self.wrong(format!("it has {} byte(s), and the map's has {}", bytes.len(), self.size)))
    }

    /// Reads one word by the type, or, if there is none, by the size.
    pub(crate) fn parse(&self, text: &str) -> Result<Vec<u8>, CliError> {
        let literal = Literal::parse(text).map_err(|e| self.wrong(e.to_string()))?;
        match self.ty {
            Some((btf, ty)) => self.sized(encode(btf, ty, &literal).map_err(|e| self.wrong(causes(&e)))?),
            None => self.untyped(text, &literal),
        }
    }

    /// Changes the members that are named in older bytes.
    pub(crate) fn merge(&self, text: &str, old: &mut [u8]) -> Result<(), CliError> {
        let (btf, ty) =
            self.ty.ok_or_else(|| self.wrong("the map has no types, so there are no members to merge"))?;
        let literal = Literal::parse(text).map_err(|e| self.wrong(e.to_string()))?;
        encode_into(btf, ty, &literal, old).map_err(|e| self.wrong(causes(&e)))
    }

    fn untyped(&self, text: &str, literal: &Literal) -> Result<Vec<u8>, CliError> {
        let help = || {
            let n = self.size;
            let number = if [1, 2, 4, 8].contains(&n) { "a number, or " } else { "" };
            self.wrong(format!("the map has no types: write {number}its {n} byte(s) as `hex 01 02 ..`"))
        };
        match literal {
            Literal::Text(text) if text.len() <= self.size => {
                let mut bytes = text.clone();
                bytes.resize(self.size, 0);
                Ok(bytes)
            }
            Literal::Word(word) => match number(word, self.size).or_else(|| address(word, self.size)) {
                Some(bytes) => Ok(bytes),
                None => hex_digits(text).filter(|b| b.len() == self.size && text.len() > 2).ok_or_else(help),
            },
            _ => Err(help()),
        }
    }

    /// Reads what `map export` wrote.
    pub(crate) fn of_json(&self, json: &Json) -> Result<Vec<u8>, CliError> {
        match (self.ty, json) {
            (Some((btf, ty)), json) => {
                let literal = literal(btf, ty, json);
                self.sized(encode(btf, ty, &literal).map_err(|e| self.wrong(causes(&e)))?)
            }
            (None, Json::String(text)) => {
                let digits: String = text.split_whitespace().collect();
                self.sized(
                    hex_digits(&digits).ok_or_else(|| self.wrong(format!("`{text}` are no bytes in hex")))?,
                )
            }
            (None, json) => self.parse(&json.to_string()),
        }
    }
}

/// An error and what it comes from.
fn causes(e: &dyn std::error::Error) -> String {
    match e.source() {
        Some(source) => format!("{e}: {}", causes(source)),
        None => e.to_string(),
    }
}

/// Pairs of hex digits.
fn hex_digits(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    if text.is_empty() || text.len() % 2 == 1 && text.len() > 1 {
        return None;
    }
    let pairs: Vec<&[u8]> = text.as_bytes().chunks(2).collect();
    pairs.into_iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A number of 1, 2, 4 or 8 bytes, in the machine's byte order.
fn number(word: &str, size: usize) -> Option<Vec<u8>> {
    if ![1, 2, 4, 8].contains(&size) {
        return None;
    }
    let (digits, radix) = match word.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (word, 10),
    };
    let bits = size as u32 * 8;
    let value = i128::from_str_radix(digits, radix).ok()?;
    let fits = value < 1 << bits && value >= -(1 << (bits - 1));
    let bytes = value.to_le_bytes();
    let mut bytes = bytes.get(..size).filter(|_| fits)?.to_vec();
    if Endian::NATIVE == Endian::Big {
        bytes.reverse();
    }
    Some(bytes)
}

/// An address of this size, or with its prefix length before it (the key of an LPM trie).
fn address(word: &str, size: usize) -> Option<Vec<u8>> {
    if let Some((addr, bits)) = word.split_once('/') {
        let bits: u32 = bits.parse().ok()?;
        let addr = address(addr, size.checked_sub(4)?)?;
        return (bits as usize <= addr.len() * 8).then(|| [bits.to_ne_bytes().to_vec(), addr].concat());
    }
    let bytes = match word.parse::<IpAddr>() {
        Ok(IpAddr::V4(addr)) => addr.octets().to_vec(),
        Ok(IpAddr::V6(addr)) => addr.octets().to_vec(),
        Err(_) => word.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect::<Option<Vec<u8>>>()?,
    };
    (bytes.len() == size).then_some(bytes)
}

/// JSON as a value of a type. Strings are what the type makes of them: text for `char` arrays, bytes in hex for
/// byte arrays, names, addresses and large numbers for the rest.
///
/// What does not fit is left for the encoder to refuse, which knows the member and what it takes.
fn literal(btf: &Btf, ty: TypeId, json: &Json) -> Literal {
    let Ok(of) = btf.resolve(ty) else { return untyped(json) };
    match (json, of.kind) {
        (Json::Object(fields), Kind::Struct(_) | Kind::Union(_)) => {
            members(btf, fields, |name| btf.field(ty, name).ok().map(|field| field.ty))
        }
        (Json::Object(fields), Kind::Datasec(vars)) => members(btf, fields, |name| {
            vars.iter().map(|v| v.ty).find(|v| btf.ty(*v).is_ok_and(|t| t.name == name))
        }),
        (Json::Array(items), Kind::Array(array)) => {
            let items = items.iter().map(|item| literal(btf, array.elem, item)).collect();
            Literal::List { items, rest: false }
        }
        (Json::String(text), Kind::Array(array)) if is_bytes(btf, array.elem) => {
            let digits: String = text.split_whitespace().collect();
            match hex_digits(&digits) {
                Some(bytes) => Literal::List {
                    items: bytes.iter().map(|b| Literal::Word(b.to_string())).collect(),
                    rest: false,
                },
                None => Literal::Word(text.clone()),
            }
        }
        (Json::String(text), Kind::Array(_)) => Literal::Text(text.clone().into_bytes()),
        (Json::String(text), _) => Literal::parse(text).unwrap_or_else(|_| Literal::Word(text.clone())),
        (json, _) => untyped(json),
    }
}

fn members(
    btf: &Btf,
    fields: &serde_json::Map<String, Json>,
    find: impl Fn(&str) -> Option<TypeId>,
) -> Literal {
    let value = |name: &str, json| find(name).map_or_else(|| untyped(json), |ty| literal(btf, ty, json));
    Literal::Fields(fields.iter().map(|(name, json)| (name.clone(), value(name, json))).collect())
}

/// JSON where the type wants something else, or is not known.
fn untyped(json: &Json) -> Literal {
    match json {
        Json::Array(items) => Literal::List { items: items.iter().map(untyped).collect(), rest: false },
        Json::Object(fields) => {
            Literal::Fields(fields.iter().map(|(name, value)| (name.clone(), untyped(value))).collect())
        }
        Json::String(text) => Literal::Word(text.clone()),
        other => Literal::Word(other.to_string()),
    }
}

/// True for `unsigned char` and its kin, which are shown as bytes.
fn is_bytes(btf: &Btf, elem: TypeId) -> bool {
    let Ok(ty) = btf.resolve(elem) else { return false };
    ty.tag() == BtfKind::Int && matches!(ty.kind, Kind::Int(int) if int.size == 1 && int.encoding.0 == 0)
}
