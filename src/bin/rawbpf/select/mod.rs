//! Which program or map is meant: one grammar for both.
//!
//! ```text
//!   NAME   name NAME      the full name, or the 15 letters that the kernel keeps
//!   id N                  the kernel's number
//!   tag HEX               programs: the hash of their instructions
//!   /PATH  pinned PATH    a pin
//! ```

pub(crate) mod map;

use rawbpf::progs::{self, ProgInfo};
use rawbpf::sys::{self, Errno, ObjectKind};
use rawbpf::{Program, elf::section::distance};

use crate::ui::error::CliError;

/// How the help text calls it.
pub(crate) const PROG: &str = "Which program: NAME, `id N`, `tag HEX`, or the path of its pin";

/// What the words of a selector say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector<'a> {
    Id(u32),
    Tag([u8; 8]),
    Path(&'a str),
    Name(&'a str),
}

impl<'a> Selector<'a> {
    /// Reads all words; `None` if they are no selector.
    pub(crate) fn read(words: &'a [String]) -> Option<Selector<'a>> {
        match words {
            [word, n] if word == "id" => n.parse().ok().map(Selector::Id),
            [word, hex] if word == "tag" => tag(hex).map(Selector::Tag),
            [word, path] if word == "pinned" => Some(Selector::Path(path)),
            [word, name] if word == "name" => Some(Selector::Name(name)),
            [path] if path.starts_with('/') => Some(Selector::Path(path)),
            [name] => Some(Selector::Name(name)),
            _ => None,
        }
    }

    /// Splits words into those of a selector and the rest.
    pub(crate) fn split(words: &[String]) -> (&[String], &[String]) {
        let two = matches!(words.first().map(String::as_str), Some("id" | "pinned" | "name" | "tag"));
        words.split_at(words.len().min(if two { 2 } else { 1 }))
    }
}

fn tag(hex: &str) -> Option<[u8; 8]> {
    let number = u64::from_str_radix(hex, 16).ok()?;
    (hex.len() == 16).then(|| number.to_be_bytes())
}

/// A program that was found.
pub(crate) struct Found {
    pub(crate) program: Program,
    pub(crate) info: ProgInfo,
}

impl Found {
    fn new(program: Program) -> Result<Found, CliError> {
        let info = program.info().map_err(CliError::sys("ask about the program"))?;
        Ok(Found { program, info })
    }
}

/// All programs that the words name; an error if there is none.
pub(crate) fn programs(words: &[String]) -> Result<Vec<Found>, CliError> {
    let bad = || CliError::BadSelector { what: "program", words: words.join(" ") };
    let none = |wanted: String, near| CliError::NoSuch { what: "program", wanted, near };
    match Selector::read(words).ok_or_else(bad)? {
        Selector::Id(id) => {
            let program = Program::open_id(id).map_err(|e| match e.errno {
                Errno::ENOENT => none(format!("with id {id}"), String::new()),
                _ => CliError::sys(format!("open the program with id {id}"))(e),
            })?;
            Ok(vec![Found::new(program)?])
        }
        Selector::Path(path) => {
            let program = Program::open_pin(path).map_err(CliError::pin("program", path))?;
            Ok(vec![Found::new(program)?])
        }
        Selector::Tag(tag) => {
            let found = open(all()?.into_iter().filter(|p| p.tag == tag));
            let hex: String = tag.iter().map(|b| format!("{b:02x}")).collect();
            if found.is_empty() { Err(none(format!("with tag {hex}"), String::new())) } else { Ok(found) }
        }
        Selector::Name(name) => {
            let all = all()?;
            let full = all.iter().any(|p| p.name == name);
            let short: String = name.chars().take(15).collect();
            let near = near(name, all.iter().map(|p| p.name.as_str()));
            // A name that is cut is all that the kernel knows of a program without types.
            let found = open(all.into_iter().filter(|p| if full { p.name == name } else { p.name == short }));
            if found.is_empty() { Err(none(format!("`{name}`"), near)) } else { Ok(found) }
        }
    }
}

/// The one program that the words name.
pub(crate) fn program(words: &[String]) -> Result<Found, CliError> {
    let mut found = programs(words)?;
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (last, _) => {
            found.extend(last);
            let line = |f: &Found| format!("  id {}  {}  {}", f.info.id, f.info.name, f.info.prog_type);
            let list = found.iter().map(line).collect::<Vec<_>>().join("\n");
            Err(CliError::Ambiguous { what: "program", name: words.join(" "), count: found.len(), list })
        }
    }
}

fn all() -> Result<Vec<ProgInfo>, CliError> {
    progs::list().map_err(CliError::sys("list the programs"))
}

/// Opens what was listed; what has gone meanwhile is left out.
fn open(list: impl Iterator<Item = ProgInfo>) -> Vec<Found> {
    let found = |info: ProgInfo| {
        let program = sys::fd_by_id(ObjectKind::Prog, info.id).and_then(Program::from_fd).ok()?;
        Some(Found { program, info })
    };
    list.filter_map(found).collect()
}

/// `; did you mean ...?`, if one of the names is close.
pub(crate) fn near<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> String {
    let best = names.filter(|n| !n.is_empty()).map(|n| (distance(n, name), n)).min();
    match best {
        Some((far, best)) if far <= 1 + name.len() / 3 => format!("; did you mean `{best}`?"),
        _ => String::new(),
    }
}

/// A loaded program by its id, the path of its pin, or its name.
pub(crate) fn program_id(wanted: &str) -> Result<u32, CliError> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    if wanted.starts_with('/') {
        let program = Program::open_pin(wanted).and_then(|p| p.info());
        return Ok(program.map_err(CliError::sys(format!("open the program {wanted}")))?.id);
    }
    let all = rawbpf::progs::list().map_err(CliError::sys("list the programs"))?;
    let found: Vec<u32> = all.iter().filter(|p| p.name == wanted).map(|p| p.id).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(CliError::NoSuch { what: "program", wanted: format!("`{wanted}`"), near: String::new() }),
        many => {
            let list = many.iter().map(|id| format!("  id {id}")).collect::<Vec<_>>().join("\n");
            Err(CliError::Ambiguous { what: "program", name: wanted.into(), count: many.len(), list })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let read = |text| Selector::read(&words(text)).map(|s| format!("{s:?}"));
        assert_eq!(read("id 7").as_deref(), Some("Id(7)"));
        assert_eq!(read("id seven"), None);
        assert_eq!(read("/sys/fs/bpf/a").as_deref(), Some("Path(\"/sys/fs/bpf/a\")"));
        assert_eq!(read("pinned a").as_deref(), Some("Path(\"a\")"));
        assert_eq!(read("name id").as_deref(), Some("Name(\"id\")"));
        assert_eq!(read("count").as_deref(), Some("Name(\"count\")"));
        assert_eq!(read("count me"), None);
        assert_eq!(read("tag 00000000000000ff").as_deref(), Some("Tag([0, 0, 0, 0, 0, 0, 0, 255])"));
        assert_eq!(read("tag ff"), None);
        let all = words("tag 00000000000000ff rest");
        assert_eq!(Selector::split(&all).1, ["rest"]);
    }
}
