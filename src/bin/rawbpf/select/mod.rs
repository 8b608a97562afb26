//! Which program or map is meant: what a [`Selector`] says, looked for among what is loaded by name, and in the kernel.

pub(crate) mod map;

use std::path::PathBuf;

use rawbpf::deploy::{PinPart, Selector, Store, pinned};
use rawbpf::progs::{self, ProgInfo};
use rawbpf::sys::{self, Errno, ObjectKind};
use rawbpf::{Program, elf::section::distance};

use crate::ui::error::CliError;

/// How the help text calls it.
pub(crate) const PROG: &str = "Which program: NAME, LOAD/NAME, `id N`, `tag HEX`, or the path of its pin";

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
            let program = Program::open_pin(&path).map_err(CliError::pin("program", &path))?;
            Ok(vec![Found::new(program)?])
        }
        Selector::Tag(tag) => {
            let found = open(all()?.into_iter().filter(|p| p.tag == tag));
            let hex: String = tag.iter().map(|b| format!("{b:02x}")).collect();
            if found.is_empty() { Err(none(format!("with tag {hex}"), String::new())) } else { Ok(found) }
        }
        Selector::In { load, name } => {
            let paths = pinned(&Store::of_machine(), PinPart::Programs, Some(&load), &name)?;
            if paths.is_empty() {
                return Err(none(format!("`{name}` under the name `{load}`"), String::new()));
            }
            let open = |path: &PathBuf| Program::open_pin(path).map_err(CliError::pin("program", path));
            paths.iter().map(|path| Found::new(open(path)?)).collect()
        }
        Selector::Name(name) => {
            let name = name.as_str();
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

/// The one program that a single word names; a bare number is an id.
pub(crate) fn program_of_word(word: &str) -> Result<Found, CliError> {
    match word.parse::<u32>() {
        Ok(id) => program(&["id".into(), id.to_string()]),
        Err(_) => program(&[word.into()]),
    }
}

/// Its id.
pub(crate) fn program_id(word: &str) -> Result<u32, CliError> {
    Ok(program_of_word(word)?.info.id)
}
