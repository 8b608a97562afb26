//! Values that stand for objects of the kernel: maps in maps, programs, cgroups, interfaces.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};

use rawbpf::maps::{Map, Plain as _};
use rawbpf::uapi::MapType;
use rawbpf::{Program, progs};

use crate::select::map as map_select;
use crate::ui::error::CliError;

/// A value that is an object of the kernel's, held open until it is in the map.
pub(super) struct Object {
    pub(super) value: Vec<u8>,
    _held: Option<Held>,
}

#[allow(dead_code, reason = "what is in it is held, not looked at")]
enum Held {
    Map(Map),
    Program(Program),
    File(File),
}

/// For maps whose values are objects: the map, program, interface or cgroup that the words name.
pub(super) fn object(map: &Map, words: &[String]) -> Result<Option<Object>, CliError> {
    let fd = |held: Held| {
        let fd = match &held {
            Held::Map(map) => map.as_fd().as_raw_fd(),
            Held::Program(program) => program.as_fd().as_raw_fd(),
            Held::File(file) => file.as_raw_fd(),
        };
        Object { value: fd.bytes().to_vec(), _held: Some(held) }
    };
    Ok(Some(match map.info().map_type {
        MapType::ArrayOfMaps | MapType::HashOfMaps => fd(Held::Map(map_select::find(words)?)),
        MapType::ProgArray => fd(Held::Program(program(words)?)),
        MapType::CgroupArray => {
            let path = words.join(" ");
            fd(Held::File(File::open(&path).map_err(CliError::io(format!("open {path}")))?))
        }
        MapType::Devmap | MapType::DevmapHash => match interface(words) {
            Some((index, rest)) => {
                let mut value = index.bytes().to_vec();
                value.resize(map.value_len(), 0);
                match rest {
                    [] => Object { value, _held: None },
                    [word, rest @ ..] if word == "program" => with_program(map, value, program(rest)?)?,
                    _ => return Err(CliError::BadSelector { what: "program", words: rest.join(" ") }),
                }
            }
            None => return Ok(None),
        },
        MapType::PerfEventArray => {
            return Err(refused(map, "its channels are opened by whoever reads it, as `rawbpf events` does"));
        }
        MapType::Sockmap | MapType::Sockhash | MapType::Xskmap | MapType::ReuseportSockarray => {
            return Err(refused(map, "a socket belongs to a process, and that has to put it in"));
        }
        _ => return Ok(None),
    }))
}

/// The value as it has to be written, if reading it gave the id of an object of the kernel's: that object's descriptor
/// takes the place of the id.
pub(super) fn reopened(map: &Map, value: &[u8]) -> Result<Option<Object>, CliError> {
    let id = |at: usize| value.get(at..).and_then(u32::read).unwrap_or(0);
    let words = |id: u32| ["id".to_string(), id.to_string()];
    match map.info().map_type {
        MapType::ArrayOfMaps | MapType::HashOfMaps | MapType::ProgArray => object(map, &words(id(0))),
        // An interface or the length of a queue, and a program that may be behind it.
        MapType::Devmap | MapType::DevmapHash | MapType::Cpumap if id(PROGRAM_AT) != 0 => {
            with_program(map, value.to_vec(), program(&words(id(PROGRAM_AT)))?).map(Some)
        }
        _ => Ok(None),
    }
}

/// Where the program is in `struct bpf_devmap_val` and `struct bpf_cpumap_val` (since 5.8 and 5.9).
const PROGRAM_AT: usize = 4;

fn with_program(map: &Map, mut value: Vec<u8>, program: Program) -> Result<Object, CliError> {
    let place = value.get_mut(PROGRAM_AT..PROGRAM_AT + 4);
    let place =
        place.ok_or_else(|| refused(map, "its values are too short to hold a program; it needs 8 bytes"))?;
    place.copy_from_slice(program.as_fd().as_raw_fd().bytes());
    Ok(Object { value, _held: Some(Held::Program(program)) })
}

fn refused(map: &Map, why: &str) -> CliError {
    CliError::Option(format!("map `{}` cannot be written from here: {why}", map.name()))
}

/// An interface by its name, and the words behind it.
fn interface(words: &[String]) -> Option<(u32, &[String])> {
    let (name, rest) = words.split_first()?;
    Some((nix::net::if_::if_nametoindex(name.as_str()).ok()?, rest))
}

/// The program that the words name: `id N`, a path, or a name.
fn program(words: &[String]) -> Result<Program, CliError> {
    let shown = words.join(" ");
    match words {
        [id, n] if id == "id" => {
            let bad = |_| CliError::BadSelector { what: "program", words: shown.clone() };
            Program::open_id(n.parse().map_err(bad)?)
                .map_err(CliError::sys(format!("open the program with {shown}")))
        }
        [path] if path.starts_with('/') => Program::open_pin(path).map_err(CliError::pin("program", path)),
        [name] => {
            let all = progs::list().map_err(CliError::sys("list the programs"))?;
            let found: Vec<_> = all.iter().filter(|p| p.name == *name).collect();
            match found.as_slice() {
                [one] => Program::open_id(one.id).map_err(CliError::sys(format!("open program `{name}`"))),
                [] => Err(CliError::NoSuch {
                    what: "program",
                    wanted: format!("`{name}`"),
                    near: String::new(),
                }),
                many => {
                    let list = many
                        .iter()
                        .map(|p| format!("  id {}  {}", p.id, p.name))
                        .collect::<Vec<_>>()
                        .join("\n");
                    Err(CliError::Ambiguous { what: "program", name: name.clone(), count: many.len(), list })
                }
            }
        }
        _ => Err(CliError::BadSelector { what: "program", words: shown }),
    }
}
