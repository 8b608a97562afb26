//! `rawbpf map`: what is in the tables.

use std::io::{self, Write};
use std::path::Path;

use rawbpf::maps::{self, Map};
use rawbpf::sys::Errno;
use serde::Serialize;
use serde_json::Value as Json;

use crate::args::MapDumpArgs;
use crate::bpffs;
use crate::error::CliError;
use crate::output::{Output, Report, Table};
use crate::store::{MAPS, Store};
use crate::values::Codec;

/// A map in a list.
#[derive(Debug, Serialize)]
pub(crate) struct MapRow {
    pub(crate) id: u32,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) map_type: String,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: Vec<String>,
    pub(crate) btf_id: u32,
    pub(crate) pinned: Vec<String>,
}

#[derive(Debug, Serialize)]
struct MapList {
    maps: Vec<MapRow>,
}

pub(crate) fn list(out: &Output) -> Result<(), CliError> {
    let pins = pins();
    let maps = all()?;
    let row = |map: &Map| MapRow { pinned: pinned(&pins, map.info().id), ..MapRow::new(map) };
    out.report("map list", &MapList { maps: maps.iter().map(row).collect() })
}

fn all() -> Result<Vec<Map>, CliError> {
    maps::list().map_err(CliError::sys("list the maps"))
}

impl MapRow {
    pub(crate) fn new(map: &Map) -> MapRow {
        let info = map.info();
        let flags = rawbpf::sys::map::flags::NAMES.iter().filter(|(bit, _)| info.flags & bit != 0);
        MapRow {
            id: info.id,
            name: info.name.clone(),
            map_type: info.map_type.to_string(),
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: flags.map(|(_, name)| name.to_string()).collect(),
            btf_id: info.btf_id,
            pinned: Vec::new(),
        }
    }
}

impl Report for MapList {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.maps.is_empty() {
            return writeln!(out, "no maps");
        }
        let mut table = Table::new(&["ID", "NAME", "TYPE", "KEY", "VALUE", "MAX", "FLAGS", "PINNED"]);
        for m in &self.maps {
            table.row(vec![
                m.id.to_string(),
                m.name.clone(),
                m.map_type.clone(),
                m.key_size.to_string(),
                m.value_size.to_string(),
                m.max_entries.to_string(),
                if m.flags.is_empty() { "-".into() } else { m.flags.join(",") },
                if m.pinned.is_empty() { "-".into() } else { m.pinned.join(",") },
            ]);
        }
        table.write(out)
    }
}

/// The pins of maps that rawbpf made: path and id.
fn pins() -> Vec<(String, u32)> {
    let entries = Store::new(Path::new(bpffs::DEFAULT)).entries();
    let paths = entries.iter().flat_map(|e| e.pins(MAPS));
    let id = |path: &Path| Map::open_pin(path).ok().map(|m| m.info().id);
    paths.filter_map(|(_, path)| Some((path.display().to_string(), id(&path)?))).collect()
}

fn pinned(pins: &[(String, u32)], id: u32) -> Vec<String> {
    pins.iter().filter(|(_, pin)| *pin == id).map(|(path, _)| path.clone()).collect()
}

/// Finds the map that `words` name: a name, `id N`, or a path.
///
/// A name is looked for among the pins of `rawbpf load`, then among the full names of all maps, then among
/// the 15 letters that the kernel keeps.
pub(crate) fn find(words: &[String]) -> Result<Map, CliError> {
    let bad = || CliError::BadSelector { what: "map", words: words.join(" ") };
    match words {
        [id, n] if id == "id" => {
            let id: u32 = n.parse().map_err(|_| bad())?;
            Map::open_id(id).map_err(|e| match e.errno {
                Errno::ENOENT => {
                    CliError::NoSuch { what: "map", wanted: format!("with id {id}"), near: String::new() }
                }
                _ => CliError::sys(format!("open the map with id {id}"))(e),
            })
        }
        [pinned, path] if pinned == "pinned" => by_path(path),
        [name, value] if name == "name" => by_name(value),
        [path] if path.starts_with('/') => by_path(path),
        [name] => by_name(name),
        _ => Err(bad()),
    }
}

fn by_path(path: &str) -> Result<Map, CliError> {
    Map::open_pin(path).map_err(CliError::sys(format!("open the map pinned at {path}")))
}

fn by_name(name: &str) -> Result<Map, CliError> {
    let mut found = Vec::new();
    let pin = name.replace('.', "_");
    for entry in Store::new(Path::new(bpffs::DEFAULT)).entries() {
        let here = entry.pins(MAPS).into_iter().filter(|(file, _)| *file == pin);
        for (_, path) in here {
            found.push((Some(path.display().to_string()), by_path(&path.to_string_lossy())?));
        }
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
    let names = all().unwrap_or_default();
    let distance = |m: &&Map| rawbpf::elf::section::distance(m.name(), name);
    match names.iter().filter(|m| !m.name().is_empty()).min_by_key(distance) {
        Some(m) if distance(&m) <= 1 + name.len() / 3 => format!("; did you mean `{}`?", m.name()),
        _ => String::new(),
    }
}

/// An element, as it is printed.
#[derive(Debug, Serialize)]
struct Element {
    key: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json>,
    /// One value for each CPU, and their sum where they are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<Json>,
    #[serde(skip)]
    text: (String, Vec<String>, Option<String>),
}

#[derive(Debug, Serialize)]
struct MapDump {
    map: MapRow,
    complete: bool,
    elements: Vec<Element>,
}

pub(crate) fn dump(args: &MapDumpArgs, out: &Output) -> Result<(), CliError> {
    let map = find(&args.map)?;
    let codec = Codec::of(&map);
    let mut elements = Vec::new();
    let doing = format!("read map `{}`", map.name());
    let walk = map
        .for_each(|key, value| elements.push(element(&codec, &map, key, value)))
        .map_err(|e| unreadable(&map, e).unwrap_or_else(|| CliError::sys(doing)(e)))?;
    out.report("map dump", &MapDump { map: MapRow::new(&map), complete: walk.complete, elements })
}

/// Types without elements that could be walked.
fn unreadable(map: &Map, e: rawbpf::sys::SysError) -> Option<CliError> {
    if e.errno.is_permission() {
        return None;
    }
    let instead = match map.info().map_type.name()? {
        "ringbuf" | "user_ringbuf" => "a ring buffer has no elements: it is a stream of records",
        "queue" | "stack" => "a queue or stack has no keys: its elements can only be taken out",
        "bloom_filter" => "a bloom filter cannot be listed: it can only be asked about a value",
        "perf_event_array" => "a perf event array holds channels, not data",
        _ => return None,
    };
    Some(CliError::Option(format!("map `{}` cannot be dumped: {instead}", map.name())))
}

fn element(codec: &Codec, map: &Map, key: &[u8], value: &[u8]) -> Element {
    let (key_text, key) = codec.key(key);
    if !map.info().is_per_cpu() {
        let (text, value) = codec.value(value);
        return Element {
            key,
            value: Some(value),
            values: None,
            sum: None,
            text: (key_text, vec![text], None),
        };
    }
    let size = map.info().value_size as usize;
    let slots =
        value.chunks_exact(size.next_multiple_of(8).max(8)).map(|slot| slot.get(..size).unwrap_or(slot));
    let (texts, values): (Vec<String>, Vec<Json>) = slots.map(|slot| codec.value(slot)).unzip();
    let sum = crate::values::sum(&values);
    let sum_text = sum.as_ref().map(crate::values::plain);
    Element { key, value: None, values: Some(values), sum, text: (key_text, texts, sum_text) }
}

impl Report for MapDump {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let per_cpu = self.elements.iter().any(|e| e.values.is_some());
        let mut table = Table::new(if per_cpu { &["KEY", "CPU", "VALUE"] } else { &["KEY", "VALUE"] });
        for e in &self.elements {
            let (key, values, sum) = &e.text;
            for (cpu, value) in values.iter().enumerate() {
                match per_cpu {
                    true => table.row(vec![key.clone(), cpu.to_string(), value.clone()]),
                    false => table.row(vec![key.clone(), value.clone()]),
                }
            }
            if let Some(sum) = sum {
                table.row(vec![key.clone(), "sum".into(), sum.clone()]);
            }
        }
        table.write(out)?;
        writeln!(out, "{}", crate::output::count(self.elements.len(), "element"))?;
        if !self.complete {
            writeln!(out, "the map changed too fast to be read whole")?;
        }
        Ok(())
    }
}
