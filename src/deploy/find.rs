//! Which program, map or link is meant: one grammar, in every place where one is named.
//!
//! ```text
//!   NAME   name NAME        the full name, or the 15 letters that the kernel keeps; of a link, the name of its pin
//!   LOAD/NAME               the one that is deployed under the name LOAD
//!   id N   id:N             the kernel's number
//!   tag HEX   tag:HEX       programs: the hash of their instructions
//!   /PATH  pinned PATH      a pin
//! ```

use std::path::PathBuf;
use std::str::FromStr;

use super::error::Result;
use super::store::{PinPart, Store};

/// What the words of a selector say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The kernel's number.
    Id(u32),
    /// A hash of instructions.
    Tag([u8; 8]),
    /// A pin.
    Path(String),
    /// A name.
    Name(String),
    /// A name, of what is deployed under another.
    In {
        /// What it is deployed under.
        load: String,
        /// Its name.
        name: String,
    },
}

impl Selector {
    /// Reads all words; `None` if they are no selector.
    pub fn read(words: &[String]) -> Option<Selector> {
        match words {
            [word, n] if word == "id" => n.parse().ok().map(Selector::Id),
            [word, hex] if word == "tag" => tag(hex).map(Selector::Tag),
            [word, path] if word == "pinned" => Some(Selector::Path(path.clone())),
            [word, name] if word == "name" => Some(Selector::Name(name.clone())),
            [word] => word.parse().ok(),
            _ => None,
        }
    }

    /// Splits words into those of a selector and the rest.
    pub fn split(words: &[String]) -> (&[String], &[String]) {
        let two = matches!(words.first().map(String::as_str), Some("id" | "pinned" | "name" | "tag"));
        words.split_at(words.len().min(if two { 2 } else { 1 }))
    }
}

/// One word.
impl FromStr for Selector {
    type Err = String;

    fn from_str(word: &str) -> std::result::Result<Selector, String> {
        let wrong =
            || format!("`{word}` is not NAME, LOAD/NAME, id:N, tag:HEX, or a path that begins with /");
        if let Some(n) = word.strip_prefix("id:").or_else(|| word.strip_prefix("id ")) {
            return n.trim().parse().map(Selector::Id).map_err(|_| wrong());
        }
        if let Some(hex) = word.strip_prefix("tag:").or_else(|| word.strip_prefix("tag ")) {
            return tag(hex.trim()).map(Selector::Tag).ok_or_else(wrong);
        }
        match word.split_once('/') {
            Some(("", _)) => Ok(Selector::Path(word.into())),
            Some((load, name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Selector::In { load: load.into(), name: name.into() })
            }
            Some(_) => Err(wrong()),
            None if word.is_empty() => Err(wrong()),
            None => Ok(Selector::Name(word.into())),
        }
    }
}

fn tag(hex: &str) -> Option<[u8; 8]> {
    let number = u64::from_str_radix(hex, 16).ok()?;
    (hex.len() == 16).then(|| number.to_be_bytes())
}

/// The pins of this name in a part of what is deployed: under one name, or under all.
pub fn pinned(store: &Store, part: PinPart, load: Option<&str>, name: &str) -> Result<Vec<PathBuf>> {
    let entries = match load {
        Some(load) => vec![store.existing(load)?],
        None => store.entries()?,
    };
    let wanted = name.replace('.', "_");
    let mut out = Vec::new();
    for entry in entries {
        out.extend(entry.pins(part)?.into_iter().filter(|(pin, _)| *pin == wanted).map(|(_, path)| path));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let read = |text| Selector::read(&words(text)).map(|s| format!("{s:?}"));
        assert_eq!(read("id 7").as_deref(), Some("Id(7)"));
        assert_eq!(read("id:7").as_deref(), Some("Id(7)"));
        assert_eq!(read("id seven"), None);
        assert_eq!(read("id:seven"), None);
        assert_eq!(read("/sys/fs/bpf/a").as_deref(), Some("Path(\"/sys/fs/bpf/a\")"));
        assert_eq!(read("pinned a").as_deref(), Some("Path(\"a\")"));
        assert_eq!(read("name id").as_deref(), Some("Name(\"id\")"));
        assert_eq!(read("count").as_deref(), Some("Name(\"count\")"));
        assert_eq!(read("load/count").as_deref(), Some("In { load: \"load\", name: \"count\" }"));
        assert_eq!(read("load/"), None);
        assert_eq!(read("count me"), None);
        assert_eq!(read("tag 00000000000000ff").as_deref(), Some("Tag([0, 0, 0, 0, 0, 0, 0, 255])"));
        assert_eq!(read("tag:00000000000000ff").as_deref(), Some("Tag([0, 0, 0, 0, 0, 0, 0, 255])"));
        assert_eq!(read("tag ff"), None);
        let all = words("tag 00000000000000ff rest");
        assert_eq!(Selector::split(&all).1, ["rest"]);
    }
}
