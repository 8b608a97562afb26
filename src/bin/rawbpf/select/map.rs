//! Which map is meant: a name, LOAD/NAME, `id N`, or a path.

use std::path::Path;

use rawbpf::deploy::{PinPart, Selector, Store, pinned};
use rawbpf::maps::{self, Map};
use rawbpf::sys::Errno;

use crate::select;
use crate::ui::error::CliError;

/// Splits words into those that name a map and the rest.
pub(crate) fn selector(words: &[String]) -> (&[String], &[String]) {
    Selector::split(words)
}

/// Finds the map that `words` name: a name, `id N`, or a path.
///
/// A name is looked for among the pins of `rawbpf load`, then among the full names of all maps, then among
/// the 15 letters that the kernel keeps.
pub(crate) fn find(words: &[String]) -> Result<Map, CliError> {
    let bad = || CliError::BadSelector { what: "map", words: words.join(" ") };
    match Selector::read(words) {
        Some(Selector::Id(id)) => Map::open_id(id).map_err(|e| match e.errno {
            Errno::ENOENT => {
                CliError::NoSuch { what: "map", wanted: format!("with id {id}"), near: String::new() }
            }
            _ => CliError::sys(format!("open the map with id {id}"))(e),
        }),
        Some(Selector::Path(path)) => by_path(Path::new(&path)),
        Some(Selector::In { load, name }) => {
            match pinned(&Store::of_machine(), PinPart::Maps, Some(&load), &name)?.as_slice() {
                [path, ..] => by_path(path),
                [] => {
                    let wanted = format!("`{name}` under the name `{load}`");
                    Err(CliError::NoSuch { what: "map", wanted, near: String::new() })
                }
            }
        }
        Some(Selector::Name(name)) => by_name(&name),
        // Only programs have tags.
        Some(Selector::Tag(_)) | None => Err(bad()),
    }
}

fn by_path(path: &Path) -> Result<Map, CliError> {
    Map::open_pin(path).map_err(CliError::pin("map", path))
}

fn by_name(name: &str) -> Result<Map, CliError> {
    let mut found = Vec::new();
    for path in pinned(&Store::of_machine(), PinPart::Maps, None, name)? {
        found.push((Some(path.display().to_string()), by_path(&path)?));
    }
    if found.is_empty() {
        let all = all()?;
        let full = all.iter().any(|m| m.name() == name);
        let short: String = name.chars().take(15).collect();
        let matches =
            |m: &Map| if full { m.name() == name } else { kernel_name(m).is_some_and(|k| k == short) };
        found.extend(all.into_iter().filter(matches).map(|m| (None, m)));
    }
    match (found.pop(), found.len()) {
        (None, _) => Err(CliError::NoSuch { what: "map", wanted: format!("`{name}`"), near: near(name) }),
        (Some((_, only)), 0) => Ok(only),
        (Some(last), _) => {
            found.push(last);
            let line = |(path, m): &(Option<String>, Map)| {
                let info = m.info();
                let path = path.as_deref().map_or(String::new(), |p| format!("  {p}"));
                format!("  id {}  {}  {}{path}", info.id, info.name, info.map_type)
            };
            let list = found.iter().map(line).collect::<Vec<_>>().join("\n");
            Err(CliError::Ambiguous { what: "map", name: name.into(), count: found.len(), list })
        }
    }
}

/// The name that the kernel keeps, at most 15 letters.
fn kernel_name(map: &Map) -> Option<String> {
    maps::MapInfo::of(map).ok().map(|info| info.name)
}

/// `; did you mean ...?`, if a map has a name that is close.
fn near(name: &str) -> String {
    let all = all().unwrap_or_default();
    select::near(name, all.iter().map(Map::name))
}

/// All maps of the kernel.
pub(crate) fn all() -> Result<Vec<Map>, CliError> {
    maps::list().map_err(CliError::sys("list the maps"))
}
